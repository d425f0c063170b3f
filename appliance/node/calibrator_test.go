package node

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"

	"skerry/appliance/bundle"
	"skerry/appliance/bundle/bundletest"
	"skerry/appliance/bundle/calibrate"
	"skerry/appliance/bundle/disk"
	"skerry/appliance/bundle/split"
	"skerry/appliance/config"
	"skerry/appliance/decode/batch"
	"skerry/appliance/server"
	"skerry/appliance/status"
)

// idleBoard is what a calibrator sees of a board that does nothing but what a test says.
type idleBoard struct {
	*calibrator
	dir string

	mu      sync.Mutex // guards all following fields while it runs; the test has it but in at
	conf    config.Calibrate
	heat    string
	needs   time.Duration // of work until the bundle is calibrated
	fails   error
	ask     context.CancelCauseFunc // ends the leisure of now
	begun   int                     // works
	renewed int
	away    bool          // the model is not loaded any more
	others  []*calibrated // that are looked at before it
	dropped []*calibrated
}

func newIdleBoard(t *testing.T) *idleBoard {
	t.Helper()
	dir, m := draftedBundle(t)
	b := &idleBoard{dir: dir, conf: config.Default().Calibrate, needs: 30 * time.Minute}
	loaded := &calibrated{dir: dir, draft: true, as: m}
	b.calibrator = &calibrator{
		log: slog.New(slog.DiscardHandler), settings: func() config.Calibrate { defer b.locked()(); return b.conf },
		target: func() *calibrated {
			defer b.locked()()
			left := slices.DeleteFunc(append(slices.Clone(b.others), loaded), func(c *calibrated) bool { return slices.Contains(b.dropped, c) })
			return b.choose(left)
		},
		drop: func(c *calibrated) { defer b.locked()(); b.dropped = append(b.dropped, c) },
		room: func(*calibrated) error { return nil }, warm: func() string { defer b.locked()(); return b.heat },
		leisure: func(ctx context.Context, quiet time.Duration) (context.Context, context.CancelCauseFunc, error) {
			select {
			case <-time.After(quiet):
			case <-ctx.Done():
				return nil, nil, ctx.Err()
			}
			free, end := context.WithCancelCause(ctx)
			defer b.locked()()
			b.ask = end
			return free, end, nil
		},
		work: func(ctx context.Context, c *calibrated, progress func(string, int64, int64)) error {
			if c.dir != dir {
				return errors.New("it has no room")
			}
			unlock := b.locked()
			b.begun++
			fails := b.fails
			if unlock(); fails != nil {
				return fails
			}
			for ; b.needs > 0; b.needs -= time.Minute {
				progress("measure", 30-int64(b.needs/time.Minute), 30)
				select {
				case <-time.After(time.Minute):
				case <-ctx.Done():
					return ctx.Err()
				}
			}
			return (&bundle.Bundle{Dir: dir, Manifest: m}).SetDraft(bundle.Draft{Threshold: 0.8})
		},
		renew: func(_ context.Context, c *calibrated) (bool, error) {
			if c.dir != dir {
				return false, nil
			}
			defer b.locked()()
			if b.renewed++; b.away {
				return false, nil
			}
			as, err := bundle.ReadManifest(dir)
			loaded = &calibrated{dir: dir, draft: true, as: as}
			return err == nil, err
		},
	}
	return b
}

// locked locks the board, and returns what unlocks it.
func (b *idleBoard) locked() func() {
	b.mu.Lock()
	return b.mu.Unlock
}

// runs lets the calibrator run for the time of a test in a bubble.
func (b *idleBoard) runs(t *testing.T) {
	b.mu.Lock()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		b.run(ctx)
	}()
	t.Cleanup(func() {
		b.mu.Unlock()
		cancel()
		<-done
	})
}

// at waits until so long after the start and returns the status then.
func (b *idleBoard) at(t *testing.T, start time.Time, after time.Duration) status.Calibration {
	t.Helper()
	b.mu.Unlock()
	time.Sleep(time.Until(start.Add(after)))
	synctest.Wait()
	b.mu.Lock()
	if s := b.status(); s != nil {
		return *s
	}
	return status.Calibration{}
}

// A bundle that is not calibrated is, once the board has nothing to do: a request interrupts
// it, it goes on where it was, and the result is taken up.
func TestCalibratesAtLeisure(t *testing.T) {
	board := newIdleBoard(t)
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		board.runs(t)
		if s := board.at(t, start, 5*time.Minute); s.State != status.CalibrationWaits || board.begun != 0 || !strings.Contains(s.Says(), "the draft model is not calibrated: it is done once nobody has asked anything for 10 min") {
			t.Errorf("%q, begun %d times", s.Says(), board.begun)
		}
		if s := board.at(t, start, 20*time.Minute+time.Second); s.State != status.CalibrationRuns || s.Progress == nil || s.Progress.Share < 0.3 || s.Progress.ETAs <= 0 {
			t.Errorf("%+v", s)
		}
		board.ask(server.ErrAsked)
		if s := board.at(t, start, 20*time.Minute+2*time.Second); s.State != status.CalibrationWaits || !strings.Contains(s.Why, "a request came") || s.SpentS < 600 {
			t.Errorf("%+v", s)
		}
		if s := board.at(t, start, time.Hour); s != (status.Calibration{}) || board.begun != 2 || board.renewed != 1 {
			t.Errorf("%+v after %d works, loaded anew %d times", s, board.begun, board.renewed)
		}
		board.at(t, start, 24*time.Hour)
		if board.begun != 2 || board.renewed != 1 {
			t.Errorf("%d works of a calibrated bundle, loaded anew %d times", board.begun, board.renewed)
		}
	})
}

// It computes no longer in a day than it may, stops on a board that becomes too warm, and not
// at all where it is switched off.
func TestCalibrationKeepsToItsBounds(t *testing.T) {
	board := newIdleBoard(t)
	board.needs, board.conf.Budget = 5*time.Hour, config.Duration(time.Hour)
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		board.runs(t)
		s := board.at(t, start, 2*time.Hour)
		if s.State != status.CalibrationWaits || !strings.Contains(s.Why, "calibrate.budget are spent") || s.SpentS != 3600 || board.begun != 1 {
			t.Errorf("%+v after %d works", s, board.begun)
		}
		board.at(t, start, 23*time.Hour)
		if board.begun != 1 {
			t.Errorf("%d works in a day", board.begun)
		}
		if s = board.at(t, start, 24*time.Hour+40*time.Minute); s.State != status.CalibrationRuns || board.begun != 2 {
			t.Errorf("%+v after %d works", s, board.begun)
		}
		board.heat = "cpu is 79 °C"
		if s = board.at(t, start, 24*time.Hour+41*time.Minute); s.State != status.CalibrationWaits || !strings.Contains(s.Why, "79 °C") {
			t.Errorf("%+v", s)
		}
		board.at(t, start, 25*time.Hour)
		if board.begun != 2 {
			t.Error("it computes on a warm board")
		}
		board.heat = ""
		if s = board.at(t, start, 25*time.Hour+20*time.Minute); s.State != status.CalibrationRuns || board.begun != 3 {
			t.Errorf("%+v after %d works", s, board.begun)
		}
		board.conf.Enabled = false
		if s = board.at(t, start, 25*time.Hour+21*time.Minute); s.State != status.CalibrationOff || board.begun != 3 || !strings.Contains(s.Says(), "skerry model calibrate "+board.dir) {
			t.Errorf("%+v after %d works", s, board.begun)
		}
	})
}

// What cannot be calibrated is tried again, ever more rarely, and said.
func TestFailedCalibrationIsSaid(t *testing.T) {
	board := newIdleBoard(t)
	board.fails = errors.New("the disk is read-only")
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		board.runs(t)
		if s := board.at(t, start, 11*time.Minute); s.State != status.CalibrationFailed || !strings.Contains(s.Says(), "and cannot be: the disk is read-only") {
			t.Errorf("%+v", s)
		}
		board.at(t, start, 24*time.Hour)
		if board.begun < 4 || board.begun > 6 { // after 1, 2, 4 and 8 hours
			t.Errorf("%d tries in a day", board.begun)
		}
		board.fails = nil
		if s := board.at(t, start, 36*time.Hour); s != (status.Calibration{}) || board.renewed != 1 {
			t.Errorf("%+v", s)
		}
	})
}

// A bundle that somebody else has calibrated is loaded anew, and one whose mode has no use for
// it is left alone.
func TestCalibratedByHand(t *testing.T) {
	board := newIdleBoard(t)
	release, err := disk.Lock(board.dir)
	if err != nil {
		t.Fatal(err)
	}
	m, err := bundle.ReadManifest(board.dir)
	if err == nil {
		err = (&bundle.Bundle{Dir: board.dir, Manifest: m}).SetDraft(bundle.Draft{Threshold: 0.9})
	}
	if release(); err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		board.runs(t)
		if s := board.at(t, start, time.Minute); s.State != status.CalibrationDone {
			t.Errorf("%+v", s)
		}
		if s := board.at(t, start, time.Hour); s != (status.Calibration{}) || board.begun != 0 || board.renewed != 1 {
			t.Errorf("%+v after %d works, loaded anew %d times", s, board.begun, board.renewed)
		}
	})
}

// A bundle that was calibrated while its model was not loaded is not loaded for that, nor
// looked at again until it is.
func TestCalibratedWhileUnloaded(t *testing.T) {
	board := newIdleBoard(t)
	board.away = true
	var lines strings.Builder
	board.log = slog.New(slog.NewTextHandler(&lines, nil))
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		board.runs(t)
		s := board.at(t, start, 24*time.Hour)
		if s != (status.Calibration{}) || board.begun != 1 || board.renewed != 1 || strings.Contains(lines.String(), "loaded anew") {
			t.Errorf("%+v after %d works, loaded anew %d times: %s", s, board.begun, board.renewed, lines.String())
		}
	})
}

// Bundles that are gone, that are calibrated and not loaded any more, or that cannot be
// calibrated, keep no other from its turn.
func TestCalibrationOfOthersGoesOn(t *testing.T) {
	board := newIdleBoard(t)
	for _, threshold := range []float64{0.9, 0.9, 0, 0} {
		dir, m := draftedBundle(t)
		board.others = append(board.others, &calibrated{dir: dir, draft: true, as: m})
		if threshold > 0 {
			if err := (&bundle.Bundle{Dir: dir, Manifest: m}).SetDraft(bundle.Draft{Threshold: threshold}); err != nil {
				t.Fatal(err)
			}
		}
	}
	gone := *board.others[0]
	gone.dir = filepath.Join(t.TempDir(), "gone")
	board.others = append(board.others, &gone)
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		board.runs(t)
		board.at(t, start, 24*time.Hour)
		if board.begun != 1 || board.renewed != 1 || len(board.dropped) != 3 {
			t.Errorf("%d works, loaded anew %d times, %d left out", board.begun, board.renewed, len(board.dropped))
		}
	})
}

// The daemon's own work measures the draft of a bundle, and leaves what it read in the cache
// where it is interrupted.
func TestCalibrateQuietly(t *testing.T) {
	src := bundletest.Synth(t, "tiny", split.TypeQ4_0)
	dir, m := draftedWith(t, src, src)
	text := filepath.Join("..", "..", "README.md")
	c, cache := &calibrated{dir: dir, draft: true, as: m}, t.TempDir()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	o := calibrate.Options{Texts: []string{text}, Threads: 1, Cache: cache, Progress: func(step string, done, total int64) {
		// The kernel gives 20 less the niceness.
		if p, err := unix.Getpriority(unix.PRIO_PROCESS, unix.Gettid()); err != nil || p != 20-leastNice {
			t.Errorf("it computes at a priority of %d, %v", p, err)
		}
		if strings.Contains(step, "draft") {
			cancel()
		}
	}}
	if err := calibrateQuietly(ctx, c, o); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	if kept, err := filepath.Glob(filepath.Join(cache, "*")); err != nil || len(kept) == 0 {
		t.Errorf("nothing is kept: %v", err)
	}
	o.Progress = nil
	if err := calibrateQuietly(t.Context(), c, o); err != nil {
		t.Fatal(err)
	}
	if m, err := bundle.ReadManifest(dir); err != nil || !c.by(m) || c.by(c.as) {
		t.Errorf("%+v, %v", m.Draft, err)
	}
	l := &loader{root: "/"}
	if err := l.roomToCalibrate(c); err != nil {
		t.Errorf("a tiny model has no room: %v", err)
	}
	// The fit of exits grows with the model's width.
	limited, wide := &loader{root: limitedTo(t, 2000)}, *m
	wide.Embedding = 4096
	if err := limited.roomToCalibrate(&calibrated{dir: dir, as: m}); err != nil {
		t.Errorf("a tiny model's exits have no room: %v", err)
	}
	if err := limited.roomToCalibrate(&calibrated{dir: dir, as: &wide}); !errors.Is(err, batch.ErrMemory) {
		t.Errorf("a wide model's exits: %v", err)
	}
	if err := os.Remove(filepath.Join(dir, bundle.Unsplit.File())); err != nil {
		t.Fatal(err)
	}
	if err := l.roomToCalibrate(c); !errors.Is(err, bundle.ErrMissing) || !strings.Contains(err.Error(), "calibrate where it was split") {
		t.Errorf("without the whole model's file: %v", err)
	}
	lacking := *m
	lacking.Stages = lacking.Stages[:len(lacking.Stages)-1]
	if err := l.roomToCalibrate(&calibrated{dir: dir, draft: true, as: &lacking}); !errors.Is(err, bundle.ErrMissing) {
		t.Errorf("without the whole model: %v", err)
	}
}
