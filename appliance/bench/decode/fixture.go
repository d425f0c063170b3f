package decode

import (
	"context"
	"fmt"
	"slices"

	"skerry/appliance/bundle"
	"skerry/appliance/engine"
)

// Names of candidates; exits have names of their own.
const (
	unsplit = "unsplit"
	chained = "chained"
	peer    = "peer"
	memory  = "memory" // reads, and computes nothing
)

// candidate takes turns in rounds.
type candidate struct {
	name       string
	PeerRunner // nil for the memory
}

// exit describes a candidate that ends at an exit.
type exit struct {
	name   string
	blocks int
	head   Head
	number int // 1 and 2 of the first split, 0 of another
}

// fixture has everything of a model loaded.
type fixture struct {
	o       Options
	context int
	whole   *engine.Stage
	reader  *reader
	entries []candidate
	exits   []exit
	peer    PeerReport
	closers []func()
}

// close may be called more than once.
func (r *fixture) close() {
	for i := len(r.closers) - 1; i >= 0; i-- {
		r.closers[i]()
	}
	r.closers = nil
}

// shortPrompt is what is in the cache when decoding begins, in tokens.
const shortPrompt = 16

func newFixture(ctx context.Context, s Model, o Options) (_ *fixture, err error) {
	r := &fixture{o: o, reader: newReader(o.Threads), context: max(o.Prompt, shortPrompt+o.Decode)}
	defer func() {
		if err != nil {
			r.close()
		}
	}()
	path := s.Splits[0].Path(bundle.Unsplit)
	if r.whole, err = r.open(path); err != nil {
		return nil, err
	}
	r.add(unsplit, &chain{stages: []*engine.Stage{r.whole}})
	r.add(memory, nil)
	for i, b := range s.Splits {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if err := r.addSplit(b, i == 0); err != nil {
			return nil, err
		}
	}
	return r, r.addPeer(ctx, path)
}

func (r *fixture) add(name string, p PeerRunner) {
	r.entries = append(r.entries, candidate{name, p})
}

func (r *fixture) open(path string) (*engine.Stage, error) {
	s, err := engine.OpenStage(path, engine.Options{Context: r.context, Rows: max(r.o.Prompt, shortPrompt), Threads: r.o.Threads, Poll: r.o.Poll})
	if err == nil {
		r.closers = append(r.closers, s.Close)
	}
	return s, err
}

// addSplit loads the stages of a bundle. The chain and both exits are of the
// first; another only adds its last exit.
func (r *fixture) addSplit(b *bundle.Bundle, first bool) error {
	var board []*engine.Stage
	for i, e := range b.Manifest.Exits {
		s, err := r.open(b.Path([]bundle.Role{bundle.Board1, bundle.Board2}[i]))
		if err != nil {
			return err
		}
		board = append(board, s)
		if i == 0 && first {
			tail, err := r.open(b.Path(bundle.Cloud))
			if err != nil {
				return err
			}
			r.add(chained, &chain{stages: []*engine.Stage{s, tail}})
		}
		number := i + 1
		if !first {
			number = 0
			if i < len(b.Manifest.Exits)-1 {
				continue
			}
		}
		if err := r.addExit(b, board, e, number); err != nil {
			return err
		}
	}
	return nil
}

// addExit adds the exit after board's stages with either kind of head.
func (r *fixture) addExit(b *bundle.Bundle, board []*engine.Stage, blocks, number int) error {
	for _, kind := range []string{Shortlist, Vocabulary} {
		h, d, err := newHead(kind, board[len(board)-1], board[0], b.Path(bundle.Board1), r.o.Shortlist, r.o)
		if err != nil {
			return err
		}
		r.closers = append(r.closers, h.Close)
		name := exitName(blocks, kind)
		r.add(name, &chain{stages: board[:len(board):len(board)], head: h})
		r.exits = append(r.exits, exit{name, blocks, d, number})
	}
	return nil
}

// without leaves out the exits with a kind of head.
func (r *fixture) without(kind string) []candidate {
	return slices.DeleteFunc(slices.Clone(r.entries), func(c candidate) bool {
		return slices.ContainsFunc(r.exits, func(e exit) bool { return e.name == c.name && e.head.Kind == kind })
	})
}

func exitName(blocks int, kind string) string { return fmt.Sprintf("exit after %d, %s", blocks, kind) }

// addPeer starts the peer, where there is one; without it the run goes on.
func (r *fixture) addPeer(ctx context.Context, model string) error {
	if r.o.Peer == nil {
		r.peer.Reason = r.o.PeerReason
		return nil
	}
	p, err := r.o.Peer.Start(ctx, model, PeerOptions{Threads: r.o.Threads, Context: r.context, Batch: max(r.o.Prompt, shortPrompt)})
	if err != nil {
		r.peer.Reason = err.Error()
		return ctx.Err()
	}
	r.closers = append(r.closers, func() { p.Close() })
	r.peer.Name = r.o.Peer.Name()
	r.add(peer, p)
	return nil
}
