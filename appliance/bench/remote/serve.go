package remote

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"skerry/appliance/bench/strategies"
	"skerry/appliance/bundle"
	"skerry/appliance/bundle/draftmodel"
	"skerry/appliance/cloudnode"
	"skerry/appliance/cloudnode/child"
	"skerry/appliance/cloudnode/lead"
	"skerry/appliance/engine"
	"skerry/cloudlink"
	"skerry/cloudlink/partition"
)

// ServeOptions of a partition that is benchmarked.
type ServeOptions struct {
	Version string
	State   string // where the development certificates are kept
	Bundle  string // its directory
	Context int    // positions of a session
	// Sessions it has room for.
	Sessions int
}

// Serve is the cloud of a benchmark: a partition on one thread that counts what it
// computes, and answers on out what is asked of it on in. It ends with in.
func Serve(ctx context.Context, in io.Reader, out io.Writer, o ServeOptions) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	engine.Init("")
	man, err := bundle.ReadManifest(o.Bundle)
	if err != nil {
		return err
	}
	roles := []bundle.Role{bundle.Cloud, bundle.Unsplit}
	if man.Draft != nil {
		roles = append(roles, bundle.DraftModel)
	}
	b, err := bundle.Open(ctx, o.Bundle, roles...)
	if err != nil {
		return err
	}
	sessions := o.Sessions
	opt := engine.Options{Context: sessions * o.Context, Sequences: sessions, Threads: 1}
	p := &served{}
	tail, err := p.open(b, bundle.Cloud, opt)
	if err != nil {
		return err
	}
	defer p.close()
	whole, err := p.open(b, bundle.Unsplit, opt)
	if err != nil {
		return err
	}
	if p.score, err = p.open(b, bundle.Unsplit, engine.Options{Context: o.Context, Threads: 1}); err != nil {
		return err
	}
	vocab := whole.Vocab()
	defer vocab.Close()
	leads := lead.Options{Vocab: vocab, Sequences: sessions, Turn: &p.turn, Count: func(_ int, start time.Time) { p.count(0, start) }}
	if b.Manifest.Draft != nil {
		s, d, err := draftmodel.Open(b, opt)
		if err != nil {
			return err
		}
		p.stages, leads.Draft = append(p.stages, s), d
	}
	ln, err := cloudlink.ListenDev("127.0.0.1:0", filepath.Join(o.State, "dev"))
	if err != nil {
		return err
	}
	offered := partition.Bundle{ID: b.Manifest.ID(), Name: b.Manifest.Name,
		Stage: &countedTail{cloudnode.NewTail(tail), p}, Whole: &countedWhole{cloudnode.NewWhole(whole), p}, Leader: lead.New(leads)}
	server, err := partition.NewServer(partition.Config{Bundles: []partition.Bundle{offered}, Log: slog.New(slog.DiscardHandler), Version: o.Version})
	if err != nil {
		ln.Close()
		return err
	}
	json.NewEncoder(out).Encode(child.Announcement{Listening: ln.Addr().String(), PID: os.Getpid()})
	go func() { // ends with stdin, which cannot be interrupted, or with the process
		defer cancel()
		p.answer(in, out)
	}()
	return server.Serve(ctx, ln)
}

// served counts what the stages compute.
type served struct {
	score   *engine.Stage // of nobody's session
	scored  []int32       // the tokens that it holds
	stages  []*engine.Stage
	telling sync.Mutex // held while a question is answered, and for good once the stages are closed

	turn  sync.Mutex // held by whatever computes, as in a cloud: on one core two would starve one another
	mu    sync.Mutex // guards spent
	spent strategies.Spent
}

func (p *served) open(b *bundle.Bundle, role bundle.Role, o engine.Options) (*engine.Stage, error) {
	s, err := engine.OpenStage(b.Path(role), o)
	if err == nil {
		p.stages = append(p.stages, s)
	}
	return s, err
}

func (p *served) close() {
	p.telling.Lock()
	for _, s := range p.stages {
		s.Close()
	}
}

// count adds a forward pass.
func (p *served) count(rows int, start time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.spent.Seconds += time.Since(start).Seconds()
	p.spent.Positions += rows
}

type countedTail struct {
	*cloudnode.Tail
	p *served
}

func (s *countedTail) Forward(rows partition.Rows) ([]float32, error) {
	s.p.turn.Lock()
	defer s.p.turn.Unlock()
	defer s.p.count(rows.Len(), time.Now())
	return s.Tail.Forward(rows)
}

type countedWhole struct {
	*cloudnode.Whole
	p *served
}

func (s *countedWhole) Forward(rows partition.Rows) ([]float32, error) {
	s.p.turn.Lock()
	defer s.p.turn.Unlock()
	defer s.p.count(rows.Len(), time.Now())
	return s.Whole.Forward(rows)
}
