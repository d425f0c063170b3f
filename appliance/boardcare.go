package main

import (
	"context"
	"errors"
	"sync"
	"time"

	"skerry/appliance/config"
	"skerry/appliance/control"
	"skerry/appliance/status"
	"skerry/board"
)

// boardCare keeps the board from overheating, and has its LED and button follow the
// daemon.
type boardCare struct {
	d      *daemon
	policy board.Policy
	led    *board.LED // nil for none
	zones  board.Sensor

	mu     sync.Mutex // guards effort
	effort board.Effort
}

func newBoardCare(d *daemon) *boardCare {
	return &boardCare{d: d, zones: board.Sensors[0], effort: board.Effort{Threads: computeThreads(d.conf)}}
}

// start drives the LED and the button, where there are any. One that can not be had
// is logged, and missed by nobody else.
func (b *boardCare) start(ctx context.Context, wg *sync.WaitGroup, conf config.Board) {
	run := func(name string, f func(context.Context) error) {
		wg.Go(func() {
			if err := f(ctx); err != nil {
				b.d.log.Error("disabled: the "+name, "error", oneLine(err))
			}
		})
	}
	if conf.LED != "" {
		pin, err := board.Pin(conf.LED)
		if err != nil {
			b.d.log.Error("disabled: the status LED", "error", oneLine(err))
		} else {
			b.led = board.NewLED(pin)
			run("status LED", b.led.Run)
		}
	}
	if conf.Button != "" {
		pin, err := board.Pin(conf.Button)
		if err != nil {
			b.d.log.Error("disabled: the button", "error", oneLine(err))
			return
		}
		run("button", board.Button{Pin: pin, Hold: holdToPowerOff, Short: b.short, Long: b.long}.Run)
	}
}

const holdToPowerOff = 3 * time.Second

func (b *boardCare) short() {
	b.d.log.Info("the button was pressed: the cloud is dialled")
	daemonControl{b.d}.RetryLink(context.Background()) // where there is none it is no error
}

func (b *boardCare) long() {
	b.d.log.Info("the button was held: the board is switched off")
	if err := (daemonControl{b.d}).Power(context.Background(), control.PowerOff); err != nil {
		b.d.log.Error("the board can not be switched off", "error", oneLine(err))
	}
}

// look spares the board where it is hot, and has the LED show how things are.
func (b *boardCare) look(s status.Status) {
	zones, err := b.zones.Read(b.d.machine.root)
	throttling, _ := board.Throttled(b.d.machine.root)
	if !errors.Is(err, board.ErrAbsent) || len(throttling.Now) > 0 {
		b.judge(time.Now(), zones, throttling)
	}
	if b.led != nil {
		b.led.Show(sign(s))
	}
}

// judge carries out what the policy says.
func (b *boardCare) judge(now time.Time, zones []board.Reading, t board.Throttling) {
	conf := b.d.config()
	b.policy.Hot = float64(conf.Board.Hot)
	b.mu.Lock()
	was := b.effort
	b.effort = b.policy.Judge(now, computeThreads(conf), zones, t)
	is := b.effort
	b.mu.Unlock()
	if is.Spared == was.Spared && is.Threads == was.Threads {
		return
	}
	b.d.core.Spare(is.Threads, is.Spared)
	if is.Spared {
		b.d.log.Warn("the board is spared", "why", is.Reason, "threads", is.Threads)
	} else {
		b.d.log.Info("the board works fully again", "threads", is.Threads)
	}
}

// now is the effort at present.
func (b *boardCare) now() board.Effort {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.effort
}

// sign is what the LED shows of a status.
func sign(s status.Status) board.Sign {
	switch {
	case len(s.Health) > 0 && s.Health[0].Severity == status.Trouble:
		return board.Trouble
	case s.State != status.Ready && s.State != status.Unloaded:
		return board.Booting
	case s.Link.Wanted && s.Link.State == "down":
		return board.Alone
	}
	return board.Ready
}
