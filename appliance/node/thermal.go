package node

import (
	"context"
	"sync"
	"time"

	"skerry/appliance/admin"
	"skerry/appliance/config"
	"skerry/appliance/status"
	"skerry/board"
)

// thermalControl keeps the board from overheating, and has its LED and button follow the
// daemon.
type thermalControl struct {
	n      *Node
	policy board.Policy
	led    *board.LED // nil for none
	zones  board.Collector

	mu     sync.Mutex // guards effort
	effort board.ThermalLimit
}

func newThermalControl(n *Node) *thermalControl {
	return &thermalControl{n: n, zones: board.Temperature, effort: board.ThermalLimit{Threads: computeThreads(n.conf)}}
}

// start drives the LED and the button, where there are any. One that can not be had
// is logged, and missed by nobody else.
func (b *thermalControl) start(ctx context.Context, wg *sync.WaitGroup, conf config.Board) {
	run := func(name string, f func(context.Context) error) {
		wg.Go(func() {
			if err := f(ctx); err != nil {
				b.n.log.Error("disabled: the "+name, "error", status.OneLine(err))
			}
		})
	}
	if conf.LED != "" {
		pin, err := board.Pin(conf.LED)
		if err != nil {
			b.n.log.Error("disabled: the status LED", "error", status.OneLine(err))
		} else {
			b.led = board.NewLED(pin)
			run("status LED", b.led.Run)
		}
	}
	if conf.Button != "" {
		pin, err := board.Pin(conf.Button)
		if err != nil {
			b.n.log.Error("disabled: the button", "error", status.OneLine(err))
			return
		}
		run("button", board.Button{Pin: pin, Hold: holdToPowerOff, Short: b.short, Long: b.long}.Run)
	}
}

const holdToPowerOff = 3 * time.Second

func (b *thermalControl) short() {
	b.n.log.Info("the button was pressed: connecting to the cloud")
	control{b.n}.RetryLink(context.Background()) // where there is none it is no error
}

func (b *thermalControl) long() {
	b.n.log.Info("the button was held: switching the board off")
	if err := (control{b.n}).Power(context.Background(), admin.PowerOff); err != nil {
		b.n.log.Error("the board cannot be switched off", "error", status.OneLine(err))
	}
}

// look spares the board where it is hot, and has the LED show how things are.
func (b *thermalControl) look(s status.Status) {
	zones, _ := b.zones.Read(b.n.machine.root) // why one fails is in the status
	throttling, _ := board.Throttled(b.n.machine.root)
	b.judge(time.Now(), zones, throttling)
	if b.led != nil {
		b.led.Show(sign(s))
	}
}

// judge carries out what the policy says.
func (b *thermalControl) judge(now time.Time, zones []board.Reading, t board.Throttling) {
	conf := b.n.config()
	b.policy.Hot = float64(conf.Board.Hot)
	b.mu.Lock()
	was := b.effort
	b.effort = b.policy.Judge(now, computeThreads(conf), zones, t)
	is := b.effort
	b.mu.Unlock()
	if is.Spared == was.Spared && is.Threads == was.Threads {
		return
	}
	b.n.core.LimitThreads(is.Threads, is.Spared)
	if is.Spared {
		b.n.log.Warn("the board is too hot or slowed down: computing with fewer threads", "why", is.Reason, "threads", is.Threads)
	} else {
		b.n.log.Info("computing with all threads again", "threads", is.Threads)
	}
}

// now is the effort at present.
func (b *thermalControl) now() board.ThermalLimit {
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
	case s.Link.Wanted && (s.Link.State == "down" || s.Link.State == status.LinkRefused):
		return board.Alone
	}
	return board.Ready
}
