package board

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"periph.io/x/conn/v3/gpio"
	"periph.io/x/conn/v3/gpio/gpiotest"
)

// lamp is a pin that counts how often it went on.
type lamp struct {
	gpiotest.Pin
	mu sync.Mutex
	on int
}

func (l *lamp) Out(v gpio.Level) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if v {
		l.on++
	}
	return l.Pin.Out(v)
}

func (l *lamp) count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.on
}

func TestLED(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pin := &lamp{Pin: gpiotest.Pin{N: "LED"}}
		led := NewLED(pin)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- led.Run(ctx) }()
		beats := func(s Sign, span time.Duration) int {
			led.Show(s)
			synctest.Wait()
			before := pin.count()
			time.Sleep(span)
			return pin.count() - before
		}
		for sign, want := range map[Sign]int{Booting: 10, Trouble: 40, Alone: 3, Ready: 0} {
			if got := beats(sign, 10*time.Second-time.Millisecond); got < want-1 || got > want+1 {
				t.Errorf("%s: on %d times in 10 s, want %d", sign, got, want)
			}
		}
		led.Show(Ready)
		synctest.Wait()
		if pin.Read() != gpio.High {
			t.Error("ready is not on")
		}
		cancel()
		if err := <-done; err != nil || pin.Read() != gpio.Low {
			t.Errorf("%v, %v", err, pin.Read())
		}
	})
}

func TestButton(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pin := &gpiotest.Pin{N: "BTN", L: gpio.High, EdgesChan: make(chan gpio.Level, 1)}
		var short, long int
		b := Button{Pin: pin, Hold: 3 * time.Second, Short: func() { short++ }, Long: func() { long++ }}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- b.Run(ctx) }()
		press := func(span time.Duration) {
			pin.EdgesChan <- gpio.Low
			time.Sleep(span)
			pin.EdgesChan <- gpio.High
			time.Sleep(time.Second)
		}
		synctest.Wait() // it listens
		press(200 * time.Millisecond)
		press(5 * time.Millisecond) // bounces
		press(4 * time.Second)
		cancel()
		if err := <-done; err != nil || short != 1 || long != 1 {
			t.Errorf("%v: %d short, %d long", err, short, long)
		}
	})
}

func TestNoSuchPin(t *testing.T) {
	if _, err := Pin("GPIO9999"); err == nil {
		t.Error("found")
	}
}
