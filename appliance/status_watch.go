package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"sync"
	"syscall"

	"golang.org/x/term"

	"skerry/appliance/control"
	"skerry/appliance/status"
)

// watch shows the status until ctx is done, which is no error, or nobody reads it.
func (c *statusCmd) watch(ctx context.Context, out *console, d *control.Client, s status.Status) error {
	if c.JSON {
		e := json.NewEncoder(out.stdout)
		return followStatus(ctx, d, func(s status.Status) error { return e.Encode(s) }, func(err error) { out.note("skerry: %s", oneLine(err)) })
	}
	if !term.IsTerminal(int(out.stdout.Fd())) || os.Getenv("TERM") == "dumb" {
		var last string
		return followStatus(ctx, d, func(s status.Status) (err error) {
			line := statusLine(s)
			_, what, _ := strings.Cut(line, " ")
			if what != last {
				_, err = fmt.Fprintln(out.stdout, line)
			}
			last = what
			return err
		}, func(err error) { out.note("skerry: %s", oneLine(err)) })
	}
	return repaint(ctx, out, d, s)
}

// followStatus shows the status and every later one, and what is wrong while there is
// none.
func followStatus(ctx context.Context, d *control.Client, show func(status.Status) error, lost func(error)) error {
	var said string
	for e, err := range d.Events(ctx, status.KindStatus) {
		if err != nil {
			if text := err.Error(); text != said {
				lost(err)
				said = text
			}
			continue
		}
		var s status.Status
		if err := json.Unmarshal(e.Data, &s); err != nil {
			continue
		}
		said = ""
		if err := show(s); err != nil {
			return err
		}
	}
	return nil
}

// repaint shows the status on a terminal, on a screen of its own that is gone
// afterwards.
func repaint(ctx context.Context, out *console, d *control.Client, s status.Status) error {
	fmt.Fprint(out.stdout, "\x1b[?1049h\x1b[?25l")
	defer fmt.Fprint(out.stdout, "\x1b[?25h\x1b[?1049l")
	var mu sync.Mutex // guards s, wrong and the terminal
	var wrong error
	paint := func() error {
		w, h, err := term.GetSize(int(out.stdout.Fd()))
		if err != nil {
			return err
		}
		_, err = out.stdout.Write(screen(s, wrong, w, h))
		return err
	}
	resized := make(chan os.Signal, 1)
	signal.Notify(resized, syscall.SIGWINCH)
	ctx, stop := context.WithCancel(ctx)
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			select {
			case <-ctx.Done():
				return
			case <-resized:
				mu.Lock()
				paint()
				mu.Unlock()
			}
		}
	})
	defer wg.Wait()
	defer stop()
	defer signal.Stop(resized)
	return followStatus(ctx, d, func(now status.Status) error {
		mu.Lock()
		defer mu.Unlock()
		s, wrong = now, nil
		return paint()
	}, func(err error) {
		mu.Lock()
		defer mu.Unlock()
		wrong = err
		paint()
	})
}

// screen is the status as the bytes that paint it over what a terminal of that size
// shows. What is too much for it is left out above a last line that sums it up.
func screen(s status.Status, wrong error, width, height int) []byte {
	var text bytes.Buffer
	last := statusLine(s)
	if wrong != nil {
		for _, l := range wrap(oneLine(wrong), width) {
			fmt.Fprintln(&text, l)
		}
		fmt.Fprintln(&text)
		last = "last heard of: " + last
	}
	status.Text(&text, s, width)
	lines := strings.Split(strings.TrimRight(text.String(), "\n"), "\n")
	if room := max(height-2, 1); len(lines) > room {
		lines = append(lines[:room-1], "…")
	}
	if r := []rune(last); len(r) > width {
		last = string(r[:max(width-1, 0)]) + "…"
	}
	return []byte("\x1b[H" + strings.Join(append(lines, "", last), "\x1b[K\n") + "\x1b[K\x1b[J")
}
