// Package fleetsim plays a fleet of cloud workers and its boards by events on virtual time.
// What decides is the program's own: workers are chosen by package place, who computes next and
// what a pass will take by partition/sched, and when a board dials again by its backoff. What
// machines, links and the store take is given (Settings); nothing is measured, and no time
// passes.
//
// A board has one connection. It asks for an answer now and then: the prompt's rows first, then,
// after a few tokens that its own exits have said, the rows since. A worker has one stage, whose
// passes all contexts share. Not in it: loss of packets, the bandwidth of links, the cost of
// attention over a longer prefix, and boards that go on alone: one that waits, waits.
//
// Read first: Run, which has the events; worker.pass, and board.go for what a board does.
package fleetsim

import (
	"errors"
	"fmt"
	"time"
)

// Settings are what is played. Times are virtual.
type Settings struct {
	Seed    uint64 `json:"seed"`
	Workers int    `json:"workers"`
	Boards  int    `json:"boards"`

	// What a worker is: a pass of n rows takes T(1+m(n-1)) over its speed, which is drawn
	// between 1/Spread and Spread, and it has so many contexts.
	T        time.Duration `json:"T_ns"`
	M        float64       `json:"m"`
	Spread   float64       `json:"spread"`
	Contexts int           `json:"contexts"`
	// Handshake is what letting one board in takes of one of its Cores.
	Handshake time.Duration `json:"handshake_ns"`
	Cores     int           `json:"cores"`

	// What boards do: answers each an hour, of so many tokens after a prompt of so many rows;
	// Asks of each token go to the cloud, and the board needs Edge for each.
	Answers float64       `json:"answers_per_hour"`
	Prompt  int           `json:"prompt"`
	Tokens  int           `json:"tokens"`
	Asks    float64       `json:"asks_per_token"`
	Edge    time.Duration `json:"edge_ns"`
	RTT     time.Duration `json:"rtt_ns"`

	// What the store takes: one claim alone, so many a second of all workers, and so many
	// changes a second that watchers are told of.
	ClaimTime time.Duration `json:"claim_ns"`
	Claims    float64       `json:"claims_per_second"`
	Watched   float64       `json:"watched_per_second"`

	// What happens: after a minute a share Kill of workers dies and a share Cut of boards loses
	// its network for CutFor; it is played For after that.
	For    time.Duration `json:"for_ns"`
	Kill   float64       `json:"kill"`
	Cut    float64       `json:"cut"`
	CutFor time.Duration `json:"cut_for_ns"`
}

// Defaults are what build/MEASURED.md has: T and m of the simulated strategies, their asks for
// each token and the edge's time of one, and what was measured of etcd and of handshakes.
func Defaults() Settings {
	return Settings{
		Seed: 1, Workers: 10, Boards: 10000,
		T: 35 * time.Millisecond, M: 0.05, Spread: 1.5, Contexts: 64, Handshake: time.Millisecond, Cores: 2,
		Answers: 2, Prompt: 200, Tokens: 64, Asks: 0.48, Edge: 20 * time.Millisecond, RTT: 30 * time.Millisecond,
		ClaimTime: 2300 * time.Microsecond, Claims: 1000, Watched: 3500,
		For: 5 * time.Minute,
	}
}

// ErrSettings is wrapped by what is wrong with Settings.
var ErrSettings = errors.New("bad simulation of a fleet")

// Check says what cannot be played, by the names that the command has for it.
func (s Settings) Check() error {
	for _, c := range []struct {
		flag      string
		v, lo, hi float64
	}{
		{"workers", float64(s.Workers), 1, 10000}, {"boards", float64(s.Boards), 1, 4e6}, {"m", s.M, 0, 1}, {"spread", s.Spread, 1, 16},
		{"contexts", float64(s.Contexts), 1, 1 << 16}, {"cores", float64(s.Cores), 1, 1024}, {"answers", s.Answers, 0.001, 3600},
		{"prompt", float64(s.Prompt), 1, 1 << 16}, {"tokens", float64(s.Tokens), 1, 1 << 14}, {"asks", s.Asks, 0.01, 1},
		{"claims", s.Claims, 1, 1e7}, {"watched", s.Watched, 1, 1e10}, {"kill", 100 * s.Kill, 0, 99}, {"cut", 100 * s.Cut, 0, 100},
	} {
		if !(c.v >= c.lo && c.v <= c.hi) { // NaN too
			return fmt.Errorf("%w: --%s is %g: choose %g to %g", ErrSettings, c.flag, c.v, c.lo, c.hi)
		}
	}
	for _, c := range []struct {
		flag      string
		v, lo, hi time.Duration
	}{
		{"pass", s.T, time.Microsecond, time.Minute}, {"edge", s.Edge, 0, time.Minute}, {"rtt", s.RTT, 0, time.Minute},
		{"handshake", s.Handshake, 0, time.Minute}, {"claim", s.ClaimTime, 0, time.Minute},
		{"for", s.For, 10 * time.Second, 24 * time.Hour}, {"cut-for", s.CutFor, 0, s.For},
	} {
		if c.v < c.lo || c.v > c.hi {
			return fmt.Errorf("%w: --%s is %v: choose %v to %v", ErrSettings, c.flag, c.v, c.lo, c.hi)
		}
	}
	if s.Kill > 0 && int(s.Kill*float64(s.Workers)+0.5) >= s.Workers {
		return fmt.Errorf("%w: --kill leaves none of %d workers: choose less", ErrSettings, s.Workers)
	}
	return nil
}

// settled is how long boards ask before anything happens.
const settled = time.Minute

// What the program has, and the simulation with it.
const (
	maxWait   = 5 * time.Second       // of an ask: partition.Config.MaxWait
	passFor   = 40 * time.Millisecond // a pass while several wait: partition.Config.Pass
	maxRows   = 512                   // of a pass of one
	callTime  = 2 * time.Second       // of a call of the store
	leaseFor  = 5 * time.Second       // how long a dead worker counts as alive
	tellEvery = 2 * time.Second       // how often a worker tells of itself, where it changed
	tellWait  = time.Second           // a wait is told in whole ones of these

	noticeBusy = 700 * time.Millisecond // of a dead link while a token waits (build/MEASURED.md)
	keepAlive  = 25 * time.Second       // between the packets that keep one open which nobody uses
	dialTry    = 3 * time.Second        // an address that is silent, before the next is dialled
	mostLater  = 2 * time.Second        // that a refusal keeps a board away which waits for a token
)
