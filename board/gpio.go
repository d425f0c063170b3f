package board

import (
	"context"
	"fmt"
	"sync"
	"time"

	"periph.io/x/conn/v3/gpio"
	"periph.io/x/conn/v3/gpio/gpioreg"
	"periph.io/x/host/v3"
)

// drivers are loaded once, and only where a pin is wanted.
var drivers = sync.OnceValue(func() error {
	_, err := host.Init()
	return err
})

// Pin finds a GPIO by the name that the board's documentation has, as "GPIO17".
func Pin(name string) (gpio.PinIO, error) {
	if err := drivers(); err != nil {
		return nil, fmt.Errorf("gpio: %w", err)
	}
	p := gpioreg.ByName(name)
	if p == nil {
		return nil, fmt.Errorf("gpio: this board has no pin %q: use a name as GPIO17", name)
	}
	return p, nil
}

// Sign is what the status LED shows.
type Sign string

// The signs.
const (
	Booting Sign = "booting" // blinks slowly
	Ready   Sign = "ready"   // is on
	Alone   Sign = "alone"   // is on, with a wink every three seconds
	Trouble Sign = "trouble" // blinks fast
)

// beats are for how long the LED is on and off in turn.
var beats = map[Sign][]time.Duration{
	Booting: {500 * time.Millisecond, 500 * time.Millisecond},
	Ready:   {time.Hour, 0},
	Alone:   {2800 * time.Millisecond, 200 * time.Millisecond},
	Trouble: {125 * time.Millisecond, 125 * time.Millisecond},
}

// LED shows signs on a pin.
type LED struct {
	pin   gpio.PinOut
	signs chan Sign
}

// NewLED makes one that is driven by Run.
func NewLED(pin gpio.PinOut) *LED { return &LED{pin: pin, signs: make(chan Sign, 1)} }

// Show has the LED show a sign from now on.
func (l *LED) Show(s Sign) {
	for {
		select {
		case l.signs <- s:
			return
		default:
		}
		select {
		case <-l.signs: // an older one that was not taken up yet
		default:
		}
	}
}

// Run drives the LED until ctx ends, and leaves it off. It returns the pin's error.
func (l *LED) Run(ctx context.Context) error {
	sign, on := Booting, true
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		beat := beats[sign]
		span := beat[0]
		if !on {
			span = beat[1]
		}
		if span > 0 {
			if err := l.pin.Out(gpio.Level(on)); err != nil {
				return fmt.Errorf("status LED on %s: %w", l.pin, err)
			}
			timer.Reset(span)
			select {
			case <-ctx.Done():
				return l.pin.Out(gpio.Low)
			case next := <-l.signs:
				if next != sign {
					sign, on = next, true
				}
				continue
			case <-timer.C:
			}
		}
		on = !on
	}
}

// Button calls short for a press of less than hold and long for one that is held;
// the pin is pulled up and the button pulls it down.
type Button struct {
	Pin         gpio.PinIn
	Hold        time.Duration
	Short, Long func()
}

// debounce is how long a contact may bounce.
const debounce = 20 * time.Millisecond

// Run waits for presses until ctx ends. It returns the pin's error.
func (b Button) Run(ctx context.Context) error {
	if err := b.Pin.In(gpio.PullUp, gpio.BothEdges); err != nil {
		return fmt.Errorf("button on %s: %w", b.Pin, err)
	}
	stop := context.AfterFunc(ctx, func() { b.Pin.Halt() })
	defer stop()
	var down time.Time
	for ctx.Err() == nil {
		edge := b.Pin.WaitForEdge(500 * time.Millisecond)
		switch pressed := b.Pin.Read() == gpio.Low; {
		case !edge && down.IsZero():
		case pressed && down.IsZero():
			down = time.Now()
		case !pressed && !down.IsZero():
			held := time.Since(down)
			down = time.Time{}
			if held >= b.Hold {
				b.Long()
			} else if held >= debounce {
				b.Short()
			}
		}
	}
	return nil
}
