package node

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"runtime"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"skerry/appliance/bundle"
	"skerry/appliance/bundle/calibrate"
	"skerry/appliance/config"
	"skerry/appliance/decode"
	"skerry/appliance/decode/batch"
	"skerry/board"
)

// newCalibrator is the daemon's.
func newCalibrator(n *Node) *calibrator {
	c := &calibrator{
		log: n.log, settings: func() config.Calibrate { return n.config().Calibrate },
		room: n.loader.roomToCalibrate, leisure: n.core.Leisure, warm: n.warm,
		renew: func(ctx context.Context, c *calibrated) (bool, error) { return n.core.Renew(ctx, BundleID(c.as)) },
		work: func(ctx context.Context, c *calibrated, progress func(string, int64, int64)) error {
			return calibrateQuietly(ctx, c, calibrate.Options{
				Threads: max(1, computeThreads(n.config())/2), Progress: progress,
				Note: func(format string, args ...any) { n.log.Info("calibrating: " + fmt.Sprintf(format, args...)) },
			})
		},
	}
	c.target = func() *calibrated { return c.choose(n.loader.calibrated()) }
	c.drop = n.loader.dropCalibrated
	return c
}

// choose returns the first of the bundles that is not calibrated, those that could not be last.
func (c *calibrator) choose(all []*calibrated) (t *calibrated) {
	for _, is := range all {
		if is.by(is.as) {
			continue
		}
		if !time.Now().Before(c.failed[is.dir].retry) {
			return is
		}
		t = is
	}
	return t
}

// calibrated are the bundles that were loaded whose modes ask exits or a draft model, in the
// order of their directories.
func (l *loader) calibrated() (all []*calibrated) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, dir := range slices.Sorted(maps.Keys(l.toCalibrate)) {
		all = append(all, l.toCalibrate[dir])
	}
	return all
}

// dropCalibrated leaves a bundle alone until it is loaded the next time.
func (l *loader) dropCalibrated(c *calibrated) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.toCalibrate[c.dir] == c { // else it is loaded again
		delete(l.toCalibrate, c.dir)
	}
}

// noteLoaded has the bundle of o be calibrated, where it is not yet and its mode is one that
// it matters to.
func (l *loader) noteLoaded(o *opening) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !decode.HasExits(o.mode) {
		delete(l.toCalibrate, o.bundle.Dir)
		return
	}
	if l.toCalibrate == nil {
		l.toCalibrate = map[string]*calibrated{}
	}
	l.toCalibrate[o.bundle.Dir] = &calibrated{dir: o.bundle.Dir, draft: o.model.Draft != nil, as: o.bundle.Manifest}
}

// roomToCalibrate says that memory has no room for the whole model, and for the draft or the
// fit of the exits, beside what is loaded.
func (l *loader) roomToCalibrate(c *calibrated) error {
	b := &bundle.Bundle{Dir: c.dir, Manifest: c.as}
	_, has := c.as.Stage(bundle.Unsplit)
	if _, err := os.Stat(b.Path(bundle.Unsplit)); !has || errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("the whole model is %w: calibrate where it was split (skerry model calibrate DIR), and copy it here", bundle.ErrMissing)
	}
	sizes := batch.Sizes{}
	if err := AddStage(&sizes, b, bundle.Unsplit); err != nil {
		return err
	}
	if c.draft {
		sizes.Weights += c.as.Draft.Bytes
	} else {
		fit, err := calibrate.FitBytes(b, calibrate.Options{})
		if err != nil {
			return err
		}
		sizes.Scratch += fit
	}
	memory, _ := MachineMemory(l.root) // what is not known is no reason to refuse
	if _, err := batch.Fit(batch.Want{Context: calibrate.Positions, Parallel: 1}, memory, sizes); errors.Is(err, batch.ErrMemory) {
		return err
	}
	return nil
}

// leastNice is the lowest priority that a thread can have.
const leastNice = 19

// calibrateQuietly calibrates at the lowest priority: that of a thread of its own, which ends
// with the work, and of the threads that compute, which are made by it.
func calibrateQuietly(ctx context.Context, c *calibrated, o calibrate.Options) error {
	o.Seed, o.DraftOnly, o.WithoutDraft = 1, c.draft, !c.draft
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with the goroutine
		unix.Setpriority(unix.PRIO_PROCESS, unix.Gettid(), leastNice)
		_, err := calibrate.Run(ctx, c.dir, o)
		done <- err
	}()
	return <-done
}

// coolBelow is how far below what is hot a board is that may compute for nobody, in °C.
const coolBelow = 10

// warm says why the board is not to compute for nobody, "" where it may.
func (n *Node) warm() string {
	if now := n.thermal.now(); now.Spared {
		return now.Reason
	}
	zones, _ := n.thermal.zones.Read(n.machine.root) // why one fails is in the status
	most := float64(n.config().Board.Hot - coolBelow)
	if hottest, known := board.Hottest(zones); known && hottest.Value >= most {
		return fmt.Sprintf("%s is %.0f °C, and it is done below %.0f", hottest.Name, hottest.Value, most)
	}
	return ""
}
