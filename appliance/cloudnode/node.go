package cloudnode

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"skerry/appliance/bundle"
	"skerry/appliance/cloudnode/lead"
	"skerry/appliance/engine"
	"skerry/appliance/engine/gpu"
	"skerry/appliance/httpd/match"
	"skerry/appliance/status"
	"skerry/board"
	"skerry/cloudlink/partition"
	"skerry/systemd"
)

// DefaultPort is where boards reach a cloud unless they are told otherwise.
const DefaultPort = 7537

// Options of a cloud partition. Check says which of them cannot be.
type Options struct {
	// Listen is HOST:PORT, where boards reach the partition. "" is a socket that
	// systemd has opened, else DefaultPort: on every address once the state directory
	// has certificates, on loopback before.
	Listen string
	// State is the directory of the certificates and of the record of boards.
	State string
	// Bundles are the directories of the bundles to serve, one or more.
	Bundles []string
	// Sessions at once, by bundle, of so many positions of Context each: the KV cache is
	// made for all of them by Open. 0 is as many as the GPU has memory for.
	Sessions, Context int
	// Threads that compute; 0 stands for the cores less one.
	Threads int
	// GPULayers are put on the GPU, of each bundle.
	GPULayers gpu.Layers
	// Whole serves the whole models of the bundles too, which costs their memory once
	// more.
	Whole bool
	// MemoryMB, in units of 1e6 bytes, bounds what is held for boards; above it contexts are
	// evicted.
	MemoryMB int64
	// DiskMB, in units of 1e6 bytes, bounds the files below State in which contexts outlive
	// the process; with 0 there are none.
	DiskMB int64
	// Keep is how long a context is kept for a board that is not connected.
	Keep time.Duration
	// MaxWait is how long an ask may wait for the work of others before it is refused.
	MaxWait time.Duration
	// PerBoard sessions at once, and Rows positions a minute, are what one board may
	// have; Rows 0 sets no bound.
	PerBoard, Rows int
	// PullMB, in units of 1e6 bytes a second, bounds what all boards together fetch of their
	// bundles' files; with 0 none may.
	PullMB int
	// Metrics is HOST:PORT, where Prometheus finds /metrics; "" serves none.
	Metrics string
	// Development serves this machine alone, with development certificates, and no
	// files.
	Development bool
	// Worker makes it one of several workers.
	Worker WorkerOptions

	Version string // of the program
	Log     *slog.Logger
}

// maxMemoryMB is the most that is taken for MemoryMB: a thousand terabytes.
const maxMemoryMB = 1e9

// Check returns an error that names the option whose value cannot be by its flag.
func (o *Options) Check() error {
	for _, f := range []struct {
		wrong bool
		flag  string
		value any
		want  string
	}{
		{o.Sessions < 0 || o.Sessions > engine.MaxSequences, "sessions", o.Sessions, fmt.Sprintf("choose 1 to %d, 0 for as many as the GPU has memory for", engine.MaxSequences)},
		{o.Context < 16, "context", o.Context, "choose 16 positions or more"},
		{o.Context > engine.MaxContext/max(o.Sessions, 1), "context", o.Context, fmt.Sprintf("--sessions %d times as many are more than the %d that one KV cache may hold", o.Sessions, engine.MaxContext)},
		{o.Threads < 0, "threads", o.Threads, "choose 1 or more, 0 for the cores less one"},
		{o.MemoryMB < 1 || o.MemoryMB > maxMemoryMB, "memory", o.MemoryMB, "give megabytes, 1 or more"},
		{o.DiskMB < 0 || o.DiskMB > maxMemoryMB, "disk", o.DiskMB, "give megabytes, 0 for no contexts in files"},
		{o.Keep <= 0, "keep", o.Keep, "give a time above 0, as 10m"},
		{o.MaxWait <= 0, "max-wait", o.MaxWait, "give a time above 0, as 5s"},
		{o.PerBoard < 1, "per-board", o.PerBoard, "choose 1 session or more"},
		{o.Rows < 0, "rows", o.Rows, "choose 1 position a minute or more, 0 for no bound"},
		{o.PullMB < 0 || o.PullMB > 1<<20, "pull-rate", o.PullMB, fmt.Sprintf("choose 0 to %d megabytes a second", 1<<20)},
	} {
		if f.wrong {
			return fmt.Errorf("--%s %v: %s", f.flag, f.value, f.want)
		}
	}
	return o.Worker.check(o.Development)
}

// memory is MemoryMB in bytes.
func (o *Options) memory() int64 { return o.MemoryMB * 1e6 }

// fileRate is PullMB as the partition has it, in bytes a second.
func (o *Options) fileRate() int {
	if o.PullMB == 0 || o.Development {
		return -1
	}
	return o.PullMB * 1e6
}

// Node is a cloud partition that boards can reach.
type Node struct {
	opt     Options
	bundles []partition.Bundle
	front   *front
	server  *partition.Server
	closers []func()

	draining atomic.Bool
}

// Open loads the bundles and begins to listen; Serve answers. An error of ctx ends the
// loading. The caller closes the node in the end.
func Open(ctx context.Context, opt Options) (_ *Node, err error) {
	if err := opt.Check(); err != nil {
		return nil, err
	}
	opt.Log = cmp.Or(opt.Log, slog.Default())
	if opt.Listen != "" {
		at, err := match.Listen(opt.Listen)
		if err != nil {
			return nil, fmt.Errorf("listen on %s: %w", opt.Listen, err)
		}
		opt.Listen = at
	}
	engine.WhenLost(func(not string) { opt.Log.Error("GPU: " + not) })
	n := &Node{opt: opt}
	defer func() {
		if err != nil {
			n.Close()
		}
	}()
	for _, dir := range opt.Bundles {
		if err := n.load(ctx, dir); err != nil {
			return nil, err
		}
	}
	given, err := systemd.Inherit()
	if err != nil {
		return nil, err
	}
	if n.front, err = openFront(opt, given); err != nil {
		return nil, err
	}
	n.onClose(n.front.close)
	keeper, err := n.front.keeper(opt)
	if err != nil {
		return nil, err
	}
	n.server, err = partition.NewServer(partition.Config{
		Bundles: n.bundles, Log: opt.Log, Version: opt.Version, Devices: n.front.devices, Owners: n.front.owners(), Quotas: n.front.quotas(), Offer: n.front.offer, Grace: 5 * time.Second,
		Budget: opt.memory(), IdleContext: opt.Keep, MaxWait: opt.MaxWait, Keeper: keeper,
		FileRate: opt.fileRate(), Quota: partition.Quota{Sessions: opt.PerBoard, Rows: opt.Rows},
	})
	if err != nil {
		return nil, err
	}
	if err := n.front.operate(n.server); err != nil {
		return nil, err
	}
	if m := n.front.member; m != nil {
		m.serving(n.server, n.bundles, opt.MaxWait, opt.Keep)
	}
	if opt.Metrics != "" {
		m, err := serveMetrics(opt.Metrics, opt.Version, func() Load { return n.front.load(n.server) }, n.unready, opt.Log)
		if err != nil {
			return nil, err
		}
		n.onClose(m.close)
	}
	return n, nil
}

// unready says why no boards should be sent here now, "" where they may. A worker without etcd goes
// on with the boards that it has; that it takes no others should stop who replaces one worker after
// the other.
func (n *Node) unready() string {
	switch m := n.front.member; {
	case n.draining.Load():
		return "draining"
	case m != nil && !m.fleet.Status().Connected:
		return "etcd does not answer"
	}
	return ""
}

// load makes one bundle ready to be served.
func (n *Node) load(ctx context.Context, dir string) error {
	b, err := bundle.Open(ctx, dir, bundle.Cloud)
	if err != nil {
		return err
	}
	o := n.opt
	so := n.stageOptions(b)
	tail, err := engine.OpenStage(b.Path(bundle.Cloud), so)
	if err != nil {
		return fmt.Errorf("%w (the KV cache is made for --sessions %d of --context %d positions: fewer take less memory)", err, so.Sequences, o.Context)
	}
	n.onClose(func() { tail.Close() })
	n.logPlace(b.Manifest.Name, tail)
	if err := b.Unserved(); err != nil {
		o.Log.Info("boards cannot fetch this bundle here", "bundle", b.Manifest.Name, "why", err)
	}
	served := partition.Bundle{ID: b.Manifest.ID(), Name: b.Manifest.Name, Stage: NewTail(tail), Files: boardFiles(b)}
	if o.Whole {
		whole, err := openWhole(ctx, dir, tail.Options())
		if err != nil {
			return err
		}
		n.onClose(func() { whole.Close() })
		n.logPlace(b.Manifest.Name+", whole", whole)
		if err := n.lead(ctx, &served, dir, whole); err != nil {
			return err
		}
	}
	n.bundles = append(n.bundles, served)
	return nil
}

// Of a cloud without a GPU, and of one with a large one: sessions where that is left to it, and
// rows of a pass.
const (
	usualSessions = 8
	largeGPU      = 8e9 // bytes that are free
	largeRows     = 512
)

// stageOptions are those of a bundle's stages. A GPU computes more rows in one pass as fast, and
// its memory says how many sessions there are where that is left to it: what the bundles after
// this one may have of it is left out.
func (n *Node) stageOptions(b *bundle.Bundle) engine.Options {
	o := n.opt
	so := engine.Options{Context: o.Context * o.Sessions, Sequences: o.Sessions, Threads: o.Threads, GPULayers: o.GPULayers}
	d := engine.Device()
	if o.GPULayers == 0 {
		d = engine.GPU{}
	}
	if d.Free >= largeGPU {
		so.Rows = largeRows
	}
	if o.Sessions > 0 {
		return so
	}
	copies := len(o.Bundles) - len(n.bundles)
	role := bundle.Cloud
	if o.Whole { // which is the larger of two
		role, copies = bundle.Unsplit, 2*copies
	}
	most := min(engine.MaxSequences, engine.MaxContext/o.Context)
	if m, err := board.ReadMemory("/"); d.Name != "" && err == nil {
		most = min(most, sessionsToKeep(b.Manifest.Embedding, o.Context, int64(m.Available)/int64(copies)))
	}
	so.Sequences = engine.SequencesThatFit(b.Path(role), so, o.Context, d.Free/int64(copies), most)
	if so.Sequences == 0 {
		so.Sequences = min(usualSessions, most)
	}
	so.Context = o.Context * so.Sequences
	return so
}

// sessionsToKeep is for how many sessions of so many positions half of the free bytes of the
// machine hold what a GPU was fed, which is computed again where the GPU fails; at least 1.
func sessionsToKeep(embedding, positions int, free int64) int {
	return int(max(1, free/2/(int64(positions)*engine.FedBytes(embedding, false))))
}

// logPlace says where a stage is, where there is a GPU or was to be one.
func (n *Node) logPlace(name string, s *engine.Stage) {
	p := s.Placement()
	d, not := engine.DeviceName()
	if n.opt.GPULayers == 0 || d == "" && not == "" {
		return
	}
	n.opt.Log.Info("placed", "bundle", name, "gpu", d, "blocks", p.Blocks, "of", s.Blocks(), "bytes", p.Bytes, "rows", s.Options().Rows, "sessions", s.Options().Sequences)
	if p.Why != "" {
		n.opt.Log.Warn("fewer layers are on the GPU than were wanted", "bundle", name, "why", p.Why)
	}
}

// lead has the whole model of a bundle go on with answers by itself, with the bundle's draft model
// where that is of use.
func (n *Node) lead(ctx context.Context, served *partition.Bundle, dir string, whole *engine.Stage) error {
	vocab := whole.Vocab()
	n.onClose(vocab.Close)
	turn := new(sync.Mutex)
	opt := lead.Options{Vocab: vocab, Sequences: whole.Options().Sequences, Turn: turn}
	draft, model, err := openDraft(ctx, dir, whole.Options())
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case err != nil:
		n.opt.Log.Warn("answers that this cloud leads go on without the draft model", "bundle", served.Name, "why", status.OneLine(err))
	case draft != nil:
		n.onClose(func() { draft.Close() })
		opt.Draft = model
	}
	served.Whole, served.Leader = &inTurn{NewWhole(whole), turn}, lead.New(opt)
	return nil
}

// boardFiles are the files of a bundle that boards may fetch.
func boardFiles(b *bundle.Bundle) (files []partition.File) {
	for _, f := range b.Served() {
		files = append(files, partition.File{Name: f.Name, Path: f.Path, Bytes: f.Bytes, Extra: f.Extra})
	}
	return files
}

// Addr is where boards reach the partition.
func (n *Node) Addr() net.Addr { return n.front.ln.Addr() }

// Bundles are those that are served.
func (n *Node) Bundles() []partition.Bundle { return n.bundles }

// Serve answers boards until ctx is done or the operator has it drained, and then finishes the asks in flight. It tells
// systemd of both.
func (n *Node) Serve(ctx context.Context) error {
	notify := new(systemd.Notifier)
	notify.Ready(fmt.Sprintf("serving %s on %s", status.Plural(len(n.bundles), "bundle"), n.Addr()))
	serving, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	var draining sync.WaitGroup
	draining.Go(func() {
		select {
		case <-ctx.Done():
		case <-n.front.drained:
		case <-serving.Done():
			return
		}
		n.draining.Store(true)
		notify.Stopping("finishing asks in flight")
		if m := n.front.member; m != nil {
			m.drain() // first, so that the others take the boards that come
		}
		stop()
	})
	err := n.server.Serve(serving, n.front.ln)
	stop()
	draining.Wait()
	return err
}

func (n *Node) onClose(f func()) { n.closers = append(n.closers, f) }

// Close frees everything, the newest first.
func (n *Node) Close() {
	for _, f := range slices.Backward(n.closers) {
		f()
	}
	n.closers = nil
}
