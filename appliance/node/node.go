package node

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"sync"
	"time"

	"skerry/appliance/admin"
	"skerry/appliance/config"
	"skerry/appliance/decode"
	"skerry/appliance/engine"
	"skerry/appliance/engine/gpu"
	"skerry/appliance/httpd"
	"skerry/appliance/infer"
	"skerry/appliance/server"
	"skerry/appliance/status"
	"skerry/appliance/status/health"
	"skerry/appliance/status/metrics"
	"skerry/appliance/update/install"
	"skerry/systemd"
)

// Options of Start.
type Options struct {
	// Sources of the settings, which are read again by Reload; Config and Origins are what
	// config.Load made of them.
	Sources config.Sources
	Config  config.Config
	Origins []config.Origin
	Version string    // of the program
	Stderr  io.Writer // takes the log where systemd's journal does not
}

// Node is a running daemon: a board and its listeners. Its methods may be called
// concurrently.
type Node struct {
	Board
	sources    config.Sources
	level      *slog.LevelVar
	logs       *status.Logs
	hub        *status.Hub
	health     *health.Tracker
	metrics    *metrics.Metrics
	machine    *machine
	notify     systemd.Notifier
	watchdog   *systemd.Watchdog
	thermal    *thermalControl
	calibrator *calibrator // nil in tests
	outlooks   outlooks
	installed  *install.Installation // nil where updates are not this program's
	started    time.Time

	listeners *httpd.Server
	failed    chan error         // of the listeners
	orders    chan admin.Power   // of the command line
	soon      chan struct{}      // holds one token when the health is to be looked at
	cut       context.CancelFunc // ends what runs beside the listeners
	wg        sync.WaitGroup

	confMu  sync.Mutex // guards all following
	conf    config.Config
	origins []config.Origin
}

// Start puts a board together and opens its listeners at once; the model is loaded behind
// them. A cloud that cannot be reached or a database that cannot be opened is no error:
// the health says what is missing. Stop ends the board.
func Start(o Options) (_ *Node, err error) {
	conf := o.Config
	n := &Node{
		sources: o.Sources, conf: conf, origins: o.Origins, started: time.Now(), level: new(slog.LevelVar),
		hub: status.NewHub(), health: health.NewTracker(time.Now), machine: newMachine("/"), watchdog: systemd.NewWatchdog(),
		failed: make(chan error, 1), orders: make(chan admin.Power, 1), soon: make(chan struct{}, 1),
	}
	n.outlooks.now = time.Now
	n.version = o.Version
	n.openLog(o.Stderr)
	n.findInstallation()
	n.thermal = newThermalControl(n)
	n.metrics = metrics.New(n.status)
	if n.state, err = config.StateDir(conf.State); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(n.state, 0o700); err != nil {
		return nil, fmt.Errorf("the state directory cannot be made: %w", err)
	}
	given, err := systemd.Inherit()
	if err != nil {
		return nil, err
	}
	if err := n.openListeners(given); err != nil {
		return nil, err
	}
	if err := n.openDatabase(conf); err != nil {
		n.listeners.Shutdown(context.Background())
		return nil, err
	}
	for _, note := range KernelNotes(n.state, conf.GPULayers) {
		n.log.Warn(note)
	}
	engine.WhenLost(func(not string) { n.log.Error("GPU: " + not) })
	n.openLink(conf)
	l := &loader{conf: conf, root: n.machine.root, opened: n.outlooks.load}
	l.conf.Bundle = n.bundleOf(conf)
	if n.link != nil {
		l.withLink(n.link, n.lookSoon)
	}
	n.openCore(l, server.Options{
		Defaults: defaultOptions(conf), KeepAlive: time.Duration(conf.KeepAlive),
		Pin: conf.Pin, Waiting: max(mostWaiting, conf.Queue),
		Observe: n.observe, Queued: n.metrics.ObserveQueueWait, Watch: n.watch(), Choose: n.choose, BoardLeads: n.boardLeads, CloudLeads: n.cloudLeads,
	})
	if n.link != nil {
		n.link.reportTo(n.link.Link, n.report)
	}
	n.calibrator = newCalibrator(n)
	ctx, cut := context.WithCancel(context.Background())
	n.cut = cut
	n.serve(ctx)
	n.thermal.start(ctx, &n.wg, conf.Board)
	n.wg.Go(func() { n.look(ctx) })
	n.wg.Go(func() { n.calibrator.run(ctx) })
	if interval := systemd.Interval(); interval > 0 {
		n.wg.Go(func() { n.watchdog.Run(ctx, interval) })
	}
	n.notify.Ready(n.summary(n.status()))
	return n, nil
}

// mostWaiting is how many requests may wait for their models at least.
const mostWaiting = 64

// BaselineWarning is for a program that found none of the kernels made for its
// processor.
const BaselineWarning = "kernels: portable baseline, several times slower than those built for this processor: run make kernels, or set SKERRY_KERNELS to their directory"

// KernelNotes are what is to be said of the kernels where layers are wanted on a GPU: those
// that are not used, and why. What is known of the GPU's failures is in the state directory.
func KernelNotes(state string, layers gpu.Layers) (notes []string) {
	if dir, err := config.StateDir(state); err == nil {
		engine.GuardGPU(dir)
	}
	k := engine.Init("")
	if k.Refused != "" {
		notes = append(notes, "kernels: "+k.Refused)
	}
	if k.Baseline() {
		notes = append(notes, BaselineWarning)
	}
	if not := engine.Device().Not; not != "" && layers != 0 {
		notes = append(notes, "GPU: "+not)
	}
	return notes
}

// otherState is what may be done where the state directory cannot be used.
const otherState = "name another directory with --state"

// Failed yields the error of a listener, at most one: the board is then to be stopped.
func (n *Node) Failed() <-chan error { return n.failed }

// Ordered yields what an operator has ordered of the program: to end or to start anew.
func (n *Node) Ordered() <-chan admin.Power { return n.orders }

// openLog has records remembered for the page, and written to the journal with
// their fields or to stderr.
func (n *Node) openLog(stderr io.Writer) {
	n.level.UnmarshalText([]byte(n.conf.Log.Level)) // config has checked it
	var h slog.Handler = systemd.NewJournalHandler(n.level)
	if n.conf.Log.Format != "auto" || !systemd.UnderJournal() {
		h = textLog(n.conf.Log.Format, stderr, n.level)
	}
	n.logs = status.NewLogs(n.conf.Log.Lines, h)
	n.logs.FanOut(n.hub)
	n.log = slog.New(n.logs)
}

func textLog(format string, w io.Writer, level slog.Leveler) slog.Handler {
	opt := &slog.HandlerOptions{Level: level}
	if format == "json" {
		return slog.NewJSONHandler(w, opt)
	}
	return slog.NewTextHandler(w, opt)
}

// stuckAfter is how long a decode may make no progress before the watchdog is fed no
// more, where the unit's WatchdogSec says nothing else: a batch of prompt on the
// slowest board takes half of it.
const stuckAfter = time.Minute

// watch has the watchdog see to the progress of answers.
func (n *Node) watch() func() server.Watched {
	limit := cmp.Or(systemd.Interval(), stuckAfter)
	return func() server.Watched { return n.watchdog.Begin(limit) }
}

// observe takes in every token.
func (n *Node) observe(t server.TokenSeen) {
	if t.First {
		n.metrics.ObserveFirstToken(t.Took)
	} else {
		n.metrics.ObserveInterval(t.Took)
	}
	n.count(t)
	n.outlooks.get(t.Bundle).observe(t)
	n.hub.Token(status.Said{Session: t.Session, Owner: t.Owner, Source: string(t.Source), Text: t.Text, Index: t.Index})
}

// config is the configuration in force.
func (n *Node) config() config.Config {
	n.confMu.Lock()
	defer n.confMu.Unlock()
	return n.conf
}

// defaultOptions of answers whose requests say nothing else.
func defaultOptions(conf config.Config) decode.Options {
	return decode.Options{
		Mode: infer.Mode(conf.Mode), Thresholds: conf.Threshold, MaxTokens: conf.MaxTokens, OnLoss: infer.OnLoss(conf.OnLoss), Eager: conf.Eager, Draft: infer.Drafting(conf.Draft),
		MaxTokenLatency: time.Duration(conf.MaxTokenLatency),
		Sampling:        infer.Sampling{Temperature: 0.8, TopK: 40, TopP: 0.95, MinP: 0.05},
	}
}

// Stop ends the board, and returns err with what could not be written down: answers finish within the grace time or are journalled, and
// only then the listeners close.
func (n *Node) Stop(err error) error {
	n.notify.Stopping("finishing answers")
	n.log.Info("stopping", "grace", time.Duration(n.config().Grace))
	grace, cancel := context.WithTimeout(context.Background(), time.Duration(n.config().Grace))
	defer cancel()
	err = errors.Join(err, n.core.Shutdown(grace))
	last, cancelLast := context.WithTimeout(context.Background(), lastWords)
	defer cancelLast()
	n.hub.Close()
	n.listeners.Shutdown(last) // what is left then is cut
	n.cut()
	n.wg.Wait()
	return errors.Join(err, n.closeAll())
}

// lastWords is how long readers may take for what is said at the end.
const lastWords = 2 * time.Second
