package server

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"skerry/appliance/decode"
	"skerry/appliance/infer"
	"skerry/appliance/status"
)

// zoo is a loader of several models within so much memory; a is the default.
type zoo struct {
	room  int
	sizes map[string]int

	mu    sync.Mutex // guards all following
	load  time.Duration
	fail  map[string]error
	in    map[string]*world // that are loaded
	taken int
	most  int      // of taken
	log   []string // "+a" loaded, "-a" closed
	tries map[string]int
}

func newZoo(room int, sizes map[string]int) *zoo {
	return &zoo{room: room, sizes: sizes, fail: map[string]error{}, in: map[string]*world{}, tries: map[string]int{}}
}

func digestOf(name string) string { return "d-" + name }

func (z *zoo) Models() (all []infer.Model) {
	for _, name := range slices.Sorted(maps.Keys(z.sizes)) {
		all = append(all, infer.Model{Name: name, Digest: digestOf(name), Path: "/" + name})
	}
	return all
}

func (z *zoo) Resolve(name string) (infer.Model, error) { return infer.ByName(z.Models(), name) }

func (z *zoo) Pull(context.Context, string, func(infer.Progress)) error { return nil }

func (z *zoo) Load(ctx context.Context, of infer.Model, report func(status.State, status.Progress)) (*Model, error) {
	name := of.Name
	z.mu.Lock()
	z.tries[name]++
	size, err, pause := z.sizes[name], z.fail[name], z.load
	var crowded error
	if z.taken+size > z.room {
		crowded = fmt.Errorf("it takes %d of %d, and %d are taken", size, z.room, z.taken)
	}
	z.mu.Unlock()
	switch {
	case size > z.room:
		return nil, crowded
	case crowded != nil:
		return nil, fmt.Errorf("%w: %w", ErrCrowded, crowded)
	}
	report(status.Loading, status.Progress{What: "loading " + name, Share: 0.5})
	select {
	case <-time.After(pause):
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if err != nil {
		return nil, err
	}
	w := newWorld()
	z.mu.Lock()
	defer z.mu.Unlock()
	z.in[name] = w
	z.taken += size
	z.most = max(z.most, z.taken)
	z.log = append(z.log, "+"+name)
	return &Model{
		Info:  infer.Model{Name: name, Digest: digestOf(name), Path: of.Path, Loaded: true, Context: 1000},
		Modes: []infer.Mode{decode.Unsplit}, Vocab: letters{}, Slots: fakeSlots{w},
		Close: func() {
			z.mu.Lock()
			defer z.mu.Unlock()
			delete(z.in, name)
			z.taken -= size
			z.log = append(z.log, "-"+name)
		},
	}, nil
}

// since returns what was loaded and closed after the first n of it, in words.
func (z *zoo) since(n int) string {
	z.mu.Lock()
	defer z.mu.Unlock()
	return strings.Join(z.log[n:], " ")
}

func (z *zoo) opened(j Journal, change ...func(*Options)) *Core {
	o := Options{Loader: z, Journal: j}
	for _, f := range change {
		f(&o)
	}
	return New(o)
}

// of is a request for so many letters of a model.
func of(model string, n int) infer.Request {
	r := raw("", n)
	r.Model = model
	return r
}

// kept is the same with a keep_alive.
func (z *zoo) kept(model string, keep time.Duration) infer.Request {
	r := of(model, 3)
	r.KeepAlive = &keep
	return r
}

// hears has a question answered, and returns its end.
func hears(t *testing.T, c *Core, r infer.Request) infer.Event {
	t.Helper()
	h := listen(t, ask(t, c, r), 0, 0)
	if h.end.Err != nil || len(h.text) != r.MaxTokens {
		t.Errorf("%s says %q, want %d letters: %v", r.Model, h.text, r.MaxTokens, h.end.Err)
	}
	return h.end
}

// lateDefault is a zoo whose default is not known before it is loaded.
type lateDefault struct{ *zoo }

func (z lateDefault) Resolve(name string) (infer.Model, error) {
	if name == "" {
		return infer.Model{}, nil
	}
	return z.zoo.Resolve(name)
}

func (z lateDefault) Load(ctx context.Context, of infer.Model, report func(status.State, status.Progress)) (*Model, error) {
	if of.Name == "" {
		z.mu.Lock()
		err := z.fail[""]
		z.mu.Unlock()
		if err != nil {
			return nil, err
		}
		of, _ = z.zoo.Resolve("a")
	}
	return z.zoo.Load(ctx, of, report)
}

func (z lateDefault) opened(o Options) *Core {
	o.Loader = z
	return New(o)
}

// endsInUse is a world whose models call end as they are put into use.
type endsInUse struct {
	*world
	end func()
}

func (w endsInUse) Load(ctx context.Context, of infer.Model, report func(status.State, status.Progress)) (*Model, error) {
	m, err := w.world.Load(ctx, of, report)
	if err == nil {
		m.SetThreads = func(int) { w.end() }
	}
	return m, err
}
