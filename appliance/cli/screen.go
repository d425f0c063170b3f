package cli

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"sync"
	"syscall"

	"golang.org/x/term"
)

// Screen is a screen of its own on the terminal that stdout is, which is gone afterwards.
// It is painted anew whenever the terminal's size changes.
type Screen struct {
	out   *os.File
	paint func(width, height int) []byte
	stop  func()
	wg    sync.WaitGroup

	mu sync.Mutex // held while something changes or is painted
}

// OpenScreen shows a screen; paint returns the bytes that paint it over what a terminal of
// that size shows. It is not called twice at once.
func OpenScreen(c *Console, paint func(width, height int) []byte) *Screen {
	s := &Screen{out: c.Stdout, paint: paint}
	fmt.Fprint(s.out, "\x1b[?1049h\x1b[?25l")
	resized := make(chan os.Signal, 1)
	signal.Notify(resized, syscall.SIGWINCH)
	ctx, cancel := context.WithCancel(context.Background())
	s.stop = func() {
		signal.Stop(resized)
		cancel()
	}
	s.wg.Go(func() {
		for {
			select {
			case <-ctx.Done():
				return
			case <-resized:
				s.Repaint(func() {})
			}
		}
	})
	return s
}

// Repaint changes what is painted, and paints it.
func (s *Screen) Repaint(change func()) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	change()
	w, h, err := term.GetSize(int(s.out.Fd()))
	if err != nil {
		return err
	}
	_, err = s.out.Write(s.paint(w, h))
	return err
}

// Close shows the terminal as it was before.
func (s *Screen) Close() {
	s.stop()
	s.wg.Wait()
	fmt.Fprint(s.out, "\x1b[?25h\x1b[?1049l")
}
