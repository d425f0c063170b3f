// Package fleet has the flags and the tables of skerry bench fleet, which plays a fleet of cloud
// workers by events on virtual time (cloudlink/fleet/fleetsim).
package fleet

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"skerry/appliance/cli"
	"skerry/appliance/status"
	"skerry/cloudlink/fleet/fleetsim"
)

// Share is a part of a whole, as 10% or 0.1.
type Share float64

// UnmarshalText reads a share from 0 to 1.
func (s *Share) UnmarshalText(text []byte) error {
	number, percent := strings.CutSuffix(string(text), "%")
	v, err := strconv.ParseFloat(number, 64)
	if percent {
		v /= 100
	}
	if err != nil || !(v >= 0 && v <= 1) {
		return fmt.Errorf("%q is no share: write it as 10%%", text)
	}
	*s = Share(v)
	return nil
}

// Flags are those of the command. What is not given is fleetsim.Defaults'.
type Flags struct {
	Workers   int           `help:"Play so many workers." default:"10"`
	Boards    int           `help:"Play so many boards." default:"10000"`
	Kill      Share         `help:"Kill this share of the workers after a minute, as 10%." placeholder:"SHARE"`
	Cut       Share         `help:"Take the network from this share of the boards after a minute, as 50%." placeholder:"SHARE"`
	CutFor    time.Duration `help:"Give the network back after this time." default:"1m"`
	For       time.Duration `help:"Play so long after that." default:"5m"`
	Seed      uint64        `help:"Draw all that is random with this seed." default:"1"`
	Pass      time.Duration `help:"Let a pass of one position take this time in a cloud: T." default:"35ms"`
	M         float64       `name:"m" help:"Let a further position of a pass take this share of T." default:"0.05"`
	Spread    float64       `help:"Draw the speed of workers between its inverse and this." default:"1.5"`
	Contexts  int           `help:"Give each worker so many contexts." default:"64"`
	Answers   float64       `help:"Have each board ask for so many answers an hour." default:"2"`
	Prompt    int           `help:"Have prompts of so many positions." default:"200"`
	Tokens    int           `help:"Have answers of so many tokens." default:"64"`
	Asks      float64       `help:"Ask the cloud for this share of the tokens." default:"0.48"`
	Edge      time.Duration `help:"Let a token take this time at the board." default:"20ms"`
	RTT       time.Duration `name:"rtt" help:"Let a round trip take this time." default:"30ms"`
	Handshake time.Duration `help:"Let a handshake take this time of one of a worker's cores." default:"1ms"`
	Cores     int           `help:"Give each worker so many cores for handshakes." default:"2"`
	Claim     time.Duration `help:"Let one claim take etcd this time." default:"2.3ms"`
	Claims    float64       `help:"Let etcd make so many claims a second." default:"1000"`
	Watched   float64       `help:"Let etcd tell watchers so many changes a second." default:"3500"`
	JSON      bool          `name:"json" help:"Print the result as JSON, with every virtual second."`
}

// Settings are what the flags say.
func (f Flags) Settings() fleetsim.Settings {
	return fleetsim.Settings{
		Seed: f.Seed, Workers: f.Workers, Boards: f.Boards, T: f.Pass, M: f.M, Spread: f.Spread, Contexts: f.Contexts,
		Handshake: f.Handshake, Cores: f.Cores, Answers: f.Answers, Prompt: f.Prompt, Tokens: f.Tokens, Asks: f.Asks, Edge: f.Edge,
		RTT: f.RTT, ClaimTime: f.Claim, Claims: f.Claims, Watched: f.Watched, For: f.For, Kill: float64(f.Kill), Cut: float64(f.Cut),
		CutFor: min(f.CutFor, f.For),
	}
}

// Run plays the fleet and prints what came of it.
func (f Flags) Run(ctx context.Context, out *cli.Console) error {
	r, err := fleetsim.Run(ctx, f.Settings())
	switch {
	case errors.Is(err, fleetsim.ErrSettings):
		return cli.Usagef("%w", err)
	case err != nil:
		return err
	case f.JSON:
		return cli.IndentedJSON(out.Stdout, r)
	}
	return write(out.Stdout, r)
}

// write prints a result as tables.
func write(w io.Writer, r *fleetsim.Result) error {
	s := r.Settings
	what := "nothing happens"
	if s.Kill > 0 {
		what = fmt.Sprintf("%d of them die", r.Killed)
	}
	if s.Cut > 0 {
		if s.Kill == 0 {
			what = ""
		} else {
			what += " and "
		}
		what += fmt.Sprintf("%.0f %% of boards have no network for %s", 100*s.Cut, short(s.CutFor))
	}
	var wrong error
	print := func(err error) { wrong = errors.Join(wrong, err) }
	text := func(format string, args ...any) {
		_, err := fmt.Fprintf(w, format+"\n", args...)
		print(err)
	}
	text("seed %d: %d boards of %d workers, T %s, m %g; after a minute %s", s.Seed, s.Boards, s.Workers, short(s.T), s.M, what)
	text("simulated by events on virtual time: nothing of it is measured\n")
	a, b := r.Before, r.After
	length := s.For.Seconds()
	share := func(v float64) string { return fmt.Sprintf("%.0f %%", 100*v) }
	print(cli.Table(w,
		[]string{"THE FLEET", "BEFORE", "AFTER"},
		[]string{"answers a second", fmt.Sprintf("%.1f", float64(a.Answers)/60), fmt.Sprintf("%.1f", float64(b.Answers)/length)},
		[]string{"positions a second", fmt.Sprintf("%.0f", a.Rows), fmt.Sprintf("%.0f", b.Rows)},
		[]string{"an ask, half of them", short(a.Asks.P50), short(b.Asks.P50)},
		[]string{"an ask, 95 %", short(a.Asks.P95), short(b.Asks.P95)},
		[]string{"an ask, 99 %", short(a.Asks.P99), short(b.Asks.P99)},
		[]string{"asks told to come later", fmt.Sprint(a.Refused), fmt.Sprint(b.Refused)},
		[]string{"workers compute, of the time", share(a.Busy), share(b.Busy)},
		[]string{"the busiest", share(a.Busiest), share(b.Busiest)},
		[]string{"most boards of a worker, over what its speed is worth", fmt.Sprintf("%.2f", a.MostOver), fmt.Sprintf("%.2f", b.MostOver)},
	))
	if r.Lost > 0 {
		text("")
		row := func(what string, s fleetsim.Spread) []string {
			return []string{what, fmt.Sprint(s.N), short(s.P50), short(s.P95), short(s.P99), short(s.Most)}
		}
		print(cli.Table(w, []string{"AFTER THE LOSS", "HOW MANY", "HALF", "95 %", "99 %", "ALL"},
			row("boards had a link again", r.Back), row("boards in mid-answer had a token of the cloud", r.Served), row("claims were made", r.ClaimWait)))
		text("\nof %s that lost their link %d were in mid-answer and %d had none at the end; %d moved, with %s and %s",
			status.Plural(r.Lost, "board"), r.LostBusy, r.Gone, r.Moved, status.Plural(r.Dials, "dial"), status.Plural(r.CaughtUp, "position")+" computed again")
		if r.ClaimsLate+r.ClaimsNone > 0 {
			text("%d claims were made when their worker had given up, and %d not tried for the backlog", r.ClaimsLate, r.ClaimsNone)
		}
	}
	text("")
	limits := [][]string{{"WHAT BREAKS FIRST", "IN THE WORST SECOND", "LIMIT", "SHARE"}}
	for _, l := range r.Limits {
		limits = append(limits, []string{l.What, number(l.Peak), number(l.Can), share(l.Share())})
	}
	print(cli.Table(w, limits...))
	text("\n%d events in %s, %s of memory", r.Events, r.Took.Round(time.Second/10), status.Bytes(int64(r.Memory)))
	return wrong
}

// short is a time in few digits, "-" for none.
func short(d time.Duration) string {
	switch {
	case d == 0:
		return "-"
	case d < time.Second:
		return fmt.Sprintf("%.3g ms", float64(d)/float64(time.Millisecond))
	case d < 100*time.Second:
		return fmt.Sprintf("%.3g s", d.Seconds())
	}
	return d.Round(time.Second).String()
}

func number(v float64) string {
	if v >= 100 {
		return strconv.FormatFloat(v, 'f', 0, 64)
	}
	return strconv.FormatFloat(v, 'g', 3, 64)
}
