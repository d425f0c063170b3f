package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"skerry/appliance/bundle"
	"skerry/appliance/config"
	"skerry/appliance/status"
)

// calibrator calibrates the loaded bundle while the board has nothing to do, where nobody has
// done so: it begins once nobody has asked for a while and the board is cool, computes no
// longer than the budget allows, stops for any request, and goes on where it was.
type calibrator struct {
	log      *slog.Logger
	settings func() config.Calibrate
	// target is one of what was loaded, nil while there is nothing whose exits or draft could be
	// calibrated.
	target func() *calibrated
	// drop leaves one of these out until it is loaded anew.
	drop func(*calibrated)
	// leisure and renew are the core's Leisure and Renew.
	leisure func(ctx context.Context, quiet time.Duration) (context.Context, context.CancelCauseFunc, error)
	renew   func(ctx context.Context, t *calibrated) (bool, error)
	// warm says why the board is too warm to compute for nobody, "" where it is not.
	warm func() string
	// room is an error where memory has none for a calibration beside the model.
	room func(*calibrated) error
	// work calibrates, and returns soon after ctx ends; what was computed is kept.
	work func(ctx context.Context, c *calibrated, progress func(step string, done, total int64)) error

	// Of the goroutine that runs:
	window time.Time // when the 24 hours of the budget began
	spent  time.Duration
	failed map[string]calibrationFailure // by the bundle's directory

	mu sync.Mutex // guards is
	is *status.Calibration
}

// calibrationFailure is how often a bundle could not be calibrated, and when it is tried again.
type calibrationFailure struct {
	times int
	retry time.Time
}

// calibrated is a bundle that is loaded, or was last.
type calibrated struct {
	dir   string
	draft bool             // its draft model is asked, and not its exits
	as    *bundle.Manifest // that it was loaded by
}

// by reports whether the manifest says what a calibration finds out.
func (c *calibrated) by(m *bundle.Manifest) bool {
	if c.draft {
		return m.Draft != nil && m.Draft.Threshold > 0
	}
	return m.Calibration != nil
}

func (c *calibrated) what() string {
	if c.draft {
		return "the draft model is"
	}
	return "the exits are"
}

const (
	calibratorLooks = 30 * time.Second // between two looks at what there is to do
	budgetSpan      = 24 * time.Hour
	firstCalibRetry = time.Hour // after a failure, twice as long after each other
	workLooks       = lookEvery
)

// run goes on until ctx ends.
func (c *calibrator) run(ctx context.Context) {
	for ctx.Err() == nil {
		c.round(ctx)
		t := time.NewTimer(calibratorLooks)
		select {
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
		}
	}
}

// round does what there is to do now.
func (c *calibrator) round(ctx context.Context) {
	t := c.target()
	if t == nil || t.by(t.as) {
		c.say(nil)
		return
	}
	m, err := bundle.ReadManifest(t.dir)
	switch conf := c.settings(); {
	case err != nil: // what is wrong with a bundle is said where it is loaded: others have their turn
		c.say(nil)
		c.drop(t)
	case t.by(m):
		c.takeUp(ctx, t)
	case !conf.Enabled:
		c.say(&status.Calibration{Of: t.what(), State: status.CalibrationOff, Why: fmt.Sprintf("calibrate.enabled is false (skerry model calibrate %s does it)", t.dir)})
	case time.Now().Before(c.failed[t.dir].retry): // as is said
	default:
		c.calibrate(ctx, t, conf)
	}
}

// takeUp has a bundle that was calibrated since it was loaded be loaded anew.
func (c *calibrator) takeUp(ctx context.Context, t *calibrated) {
	c.say(&status.Calibration{Of: t.what(), State: status.CalibrationDone})
	free, end, err := c.leisure(ctx, time.Duration(c.settings().After))
	if err != nil {
		return
	}
	defer end(nil)
	if free.Err() == nil {
		c.loadAnew(ctx, t)
	}
}

// loadAnew has a bundle that was calibrated be loaded anew, if it is loaded.
func (c *calibrator) loadAnew(ctx context.Context, t *calibrated) {
	switch done, err := c.renew(ctx, t); {
	case err != nil:
		c.log.Warn("the calibrated model could not be loaded anew", "error", status.OneLine(err))
	case done:
		c.say(nil)
		c.log.Info("the model was loaded anew, as it was calibrated")
	default: // it is not loaded any more: its next load takes that up
		c.say(nil)
		c.drop(t)
	}
}

// calibrate waits until the board has nothing to do, and uses the time.
func (c *calibrator) calibrate(ctx context.Context, t *calibrated, conf config.Calibrate) {
	waits := func(why string) {
		c.say(&status.Calibration{Of: t.what(), State: status.CalibrationWaits, Why: why})
	}
	if time.Since(c.window) >= budgetSpan {
		c.window, c.spent = time.Now(), 0
	}
	left := time.Duration(conf.Budget) - c.spent
	if left <= 0 {
		waits(fmt.Sprintf("the %s of calibrate.budget are spent, it goes on in %s", status.Span(time.Duration(conf.Budget)), status.Span(budgetSpan-time.Since(c.window))))
		return
	}
	if why := c.warm(); why != "" {
		waits(why)
		return
	}
	waits(fmt.Sprintf("it is done once nobody has asked anything for %s", status.Span(time.Duration(conf.After))))
	free, end, err := c.leisure(ctx, time.Duration(conf.After))
	if err != nil {
		return
	}
	defer end(nil)
	if c.settings() != conf { // meanwhile
		return
	}
	if why := c.warm(); why != "" {
		waits(why)
		return
	}
	if err := c.room(t); err != nil {
		c.fail(t, err)
		return
	}
	c.log.Info("calibrating the model, since nobody asks anything", "what", t.what(), "bundle", t.dir)
	began := time.Now()
	err = c.workUntil(free, end, t, left)
	c.spent += time.Since(began)
	switch cause := context.Cause(free); {
	case ctx.Err() != nil:
	case err == nil:
		delete(c.failed, t.dir)
		c.log.Info("the model is calibrated", "bundle", t.dir, "took", time.Since(began).Round(time.Second))
		if c.say(&status.Calibration{Of: t.what(), State: status.CalibrationDone}); cause == nil {
			c.loadAnew(ctx, t)
		}
	case cause != nil || errors.Is(err, context.DeadlineExceeded):
		why := "its budget is spent"
		if cause != nil {
			why = cause.Error()
		}
		waits("interrupted, since " + why)
		c.log.Info("the calibration is interrupted, and goes on later", "why", why)
	default:
		c.fail(t, err)
	}
}

// The causes of the end of a calibration that no request has ended: on a board that has become
// too warm, and where it is switched off meanwhile.
var (
	errWarm = errors.New("the board is too warm")
	errOff  = errors.New("calibrate.enabled is false")
)

// workUntil calibrates for so long at most, and ends it where the board becomes too warm or it
// is switched off.
func (c *calibrator) workUntil(free context.Context, end context.CancelCauseFunc, t *calibrated, most time.Duration) error {
	ctx, cancel := context.WithTimeout(free, most)
	defer cancel()
	var watching sync.WaitGroup
	defer watching.Wait()
	watched, stop := context.WithCancel(ctx)
	defer stop()
	watching.Go(func() {
		tick := time.NewTicker(workLooks)
		defer tick.Stop()
		for {
			select {
			case <-watched.Done():
				return
			case <-tick.C:
				if why := c.warm(); why != "" {
					end(fmt.Errorf("%w: %s", errWarm, why))
				}
				if !c.settings().Enabled {
					end(errOff)
				}
			}
		}
	})
	step, began := "", time.Now()
	err := c.work(ctx, t, func(name string, done, total int64) {
		if name != step {
			step, began = name, time.Now()
		}
		p := progressOf(name, done, total)
		if p.Share > 0 {
			p.ETAs = time.Since(began).Seconds() * (1 - p.Share) / p.Share
		}
		c.say(&status.Calibration{Of: t.what(), State: status.CalibrationRuns, Progress: &p})
	})
	if err != nil && ctx.Err() != nil {
		return ctx.Err()
	}
	return err
}

// fail notes that a bundle could not be calibrated, and when it is tried again.
func (c *calibrator) fail(t *calibrated, err error) {
	if c.failed == nil {
		c.failed = map[string]calibrationFailure{}
	}
	times := c.failed[t.dir].times
	pause := min(firstCalibRetry<<min(times, 10), budgetSpan)
	c.failed[t.dir] = calibrationFailure{times: times + 1, retry: time.Now().Add(pause)}
	c.say(&status.Calibration{Of: t.what(), State: status.CalibrationFailed, Why: status.OneLine(err)})
	level := slog.LevelWarn
	if errors.Is(err, bundle.ErrMissing) { // as on any board that holds its own part alone
		level = slog.LevelInfo
	}
	c.log.Log(context.Background(), level, "the model cannot be calibrated", "why", status.OneLine(err), "again_in", pause)
}

// say puts the calibration into the status.
func (c *calibrator) say(is *status.Calibration) {
	if is != nil {
		is.SpentS = c.spent.Seconds()
	}
	c.mu.Lock()
	c.is = is
	c.mu.Unlock()
}

// status of the calibration, nil where there is nothing to do.
func (c *calibrator) status() *status.Calibration {
	if c == nil {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.is // nobody changes it any more
}
