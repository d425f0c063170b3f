package main

import (
	"context"
	"encoding/json"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"skerry/appliance/bench/strategies"
	"skerry/appliance/bundle"
	"skerry/appliance/engine"
	"skerry/cloudlink"
	"skerry/cloudlink/partition"
)

// benchPartitionCmd is the cloud of bench strategies: a partition on one core and
// one thread that counts what it computes, and answers on stdout what is asked of
// it on stdin, as lines of JSON. It ends with stdin.
type benchPartitionCmd struct {
	Bundle  string `required:"" type:"path"`
	State   string `required:"" type:"path"`
	Context int    `required:""`
	Core    int    `default:"-1"`
}

func (c *benchPartitionCmd) Run(ctx context.Context, out *console) error {
	if c.Core >= 0 {
		if err := pin(c.Core); err != nil {
			return err
		}
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	engine.Init("")
	b, err := bundle.Open(ctx, c.Bundle, bundle.Cloud, bundle.Unsplit)
	if err != nil {
		return err
	}
	// More than one, as a session that was closed may still be on its way out.
	const sessions = 4
	opt := engine.Options{Context: sessions * c.Context, Sequences: sessions, Threads: 1}
	p := &benchPartition{}
	tail, err := p.open(b, bundle.Cloud, opt)
	if err != nil {
		return err
	}
	defer p.close()
	whole, err := p.open(b, bundle.Unsplit, opt)
	if err != nil {
		return err
	}
	if p.score, err = p.open(b, bundle.Unsplit, engine.Options{Context: c.Context, Threads: 1}); err != nil {
		return err
	}
	ln, err := cloudlink.ListenDev("127.0.0.1:0", filepath.Join(c.State, "dev"))
	if err != nil {
		return err
	}
	served := partition.Bundle{ID: b.Manifest.ID(), Name: b.Manifest.Name,
		Stage: &countedStage{&tailStage{tail}, p}, Whole: &countedWhole{newWholeStage(whole), p}}
	server, err := partition.NewServer(partition.Config{Bundles: []partition.Bundle{served}, Log: slog.New(slog.DiscardHandler), Version: version})
	if err != nil {
		ln.Close()
		return err
	}
	json.NewEncoder(out.stdout).Encode(announcement{Listening: ln.Addr().String(), PID: os.Getpid()})
	go func() { // ends with stdin, which cannot be interrupted, or with the process
		defer cancel()
		p.answer(out.stdin, out.stdout)
	}()
	return server.Serve(ctx, ln)
}

// benchPartition counts what the stages compute.
type benchPartition struct {
	score   *engine.Stage // of nobody's session
	stages  []*engine.Stage
	telling sync.Mutex // held while a question is answered, and for good once the stages are closed

	mu    sync.Mutex // guards spent
	spent strategies.Spent
}

func (p *benchPartition) open(b *bundle.Bundle, role bundle.Role, o engine.Options) (*engine.Stage, error) {
	s, err := engine.OpenStage(b.Path(role), o)
	if err == nil {
		p.stages = append(p.stages, s)
	}
	return s, err
}

func (p *benchPartition) close() {
	p.telling.Lock()
	for _, s := range p.stages {
		s.Close()
	}
}

// count adds a forward pass.
func (p *benchPartition) count(rows int, start time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.spent.Seconds += time.Since(start).Seconds()
	p.spent.Positions += rows
}

type countedStage struct {
	*tailStage
	p *benchPartition
}

func (s *countedStage) Forward(rows []partition.Row) ([][]float32, error) {
	defer s.p.count(len(rows), time.Now())
	return s.tailStage.Forward(rows)
}

type countedWhole struct {
	*wholeStage
	p *benchPartition
}

func (s *countedWhole) Forward(rows []partition.Row) ([][]float32, error) {
	defer s.p.count(len(rows), time.Now())
	return s.wholeStage.Forward(rows)
}
