package console

import (
	"context"
	"errors"
	"io"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"skerry/appliance/status"
)

// memory is a line in memory: what is typed comes from a channel, what is shown is
// kept.
type memory struct {
	typed  chan string
	rest   string
	closed chan struct{}
	once   sync.Once

	mu    sync.Mutex // guards all following fields
	shown strings.Builder
	total int
	gate  chan struct{} // not nil: nothing is taken until it is closed
	loop  bool          // what is shown comes back as if typed
}

func (m *memory) Read(b []byte) (int, error) {
	if m.rest == "" {
		select {
		case <-m.closed:
			return 0, io.EOF
		case s, ok := <-m.typed:
			if !ok {
				return 0, io.EOF
			}
			m.rest = s
		}
	}
	n := copy(b, m.rest)
	m.rest = m.rest[n:]
	return n, nil
}

func (m *memory) Write(b []byte) (int, error) {
	m.mu.Lock()
	gate := m.gate
	m.mu.Unlock()
	if gate != nil {
		select {
		case <-gate:
		case <-m.closed:
			return 0, io.ErrClosedPipe
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.loop {
		m.typed <- string(b)
	}
	m.total += len(b)
	return m.shown.Write(b)
}

// stall has the line take nothing until the function is called.
func (m *memory) stall() (goOn func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	gate := make(chan struct{})
	m.gate = gate
	return func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		close(gate)
		m.gate = nil
	}
}

func (m *memory) Close() error {
	m.once.Do(func() { close(m.closed) })
	return nil
}

// take returns what was shown since the last call.
func (m *memory) take() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	defer m.shown.Reset()
	return m.shown.String()
}

// inMemory runs a console in a bubble of its own time.
func inMemory(t *testing.T, daemon func(*fakeDaemon) Daemon, play func(*fakeDaemon, *memory)) {
	synctest.Test(t, func(t *testing.T) {
		d := newDaemon(busyBoard())
		line := &memory{typed: make(chan string, 10_000), closed: make(chan struct{})}
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		opt := Options{Line: line, Daemon: daemon(d), Raw: true}
		wg.Go(func() {
			if err := New(opt).Run(ctx); err != nil {
				t.Error(err)
			}
		})
		play(d, line)
		cancel()
		wg.Wait()
	})
}

func asIs(d *fakeDaemon) Daemon { return d }

func isGone(d *fakeDaemon) Daemon {
	d.gone = true
	return d
}

func says(t *testing.T, shown string, wants ...string) {
	t.Helper()
	for _, want := range wants {
		if !strings.Contains(shown, want) {
			t.Errorf("it does not say %q, but %q", want, shown)
		}
	}
}

// A daemon that is not there, comes, goes, has problems and starts anew: each is
// said, once.
func TestAwayAndBack(t *testing.T) {
	inMemory(t, isGone, func(d *fakeDaemon, line *memory) {
		look := func() string {
			time.Sleep(watchEvery + time.Second)
			synctest.Wait()
			return line.take()
		}
		synctest.Wait()
		says(t, line.take(), "Skerry on ", "`systemctl start skerry`", "7 shut down", prompt)
		if again := look(); again != "" {
			t.Errorf("it is said again: %q", again)
		}
		line.typed <- "1\r"
		synctest.Wait()
		says(t, line.take(), "`systemctl start skerry`", prompt)
		line.typed <- "4\r"
		synctest.Wait()
		says(t, line.take(), "`systemctl start skerry`", prompt)
		line.typed <- "6\rrestart\r"
		synctest.Wait()
		says(t, line.take(), "Not done: ", "`systemctl start skerry`", prompt)

		d.set(func(d *fakeDaemon) { d.gone = false })
		line.typed <- "half a li"
		says(t, look(), "The daemon is back: ready", "Too hot", prompt+"half a li")
		if again := look(); again != "" {
			t.Errorf("it is said again: %q", again)
		}
		d.set(func(d *fakeDaemon) { d.gone = true })
		says(t, look(), "No answer: ", "`systemctl start skerry`")
		d.set(func(d *fakeDaemon) { d.gone, d.st.Health = false, nil })
		says(t, look(), "is back")
		d.set(func(d *fakeDaemon) { d.st.Started = d.st.Started.Add(time.Hour) })
		says(t, look(), "has restarted")
		d.set(func(d *fakeDaemon) { d.st.Health = busyBoard().Health })
		if shown := look(); strings.Count(shown, "Too hot") != 1 {
			t.Errorf("a new problem: %q", shown)
		}
		d.set(func(d *fakeDaemon) { d.st.State = status.Stopping })
		says(t, look(), "The daemon is stopping")
	})
}

// The daemon goes while something live is watched.
func TestLiveEndsWithDaemon(t *testing.T) {
	inMemory(t, asIs, func(d *fakeDaemon, line *memory) {
		line.typed <- "2\rshow\r"
		synctest.Wait()
		line.take()
		close(d.said)
		synctest.Wait()
		says(t, line.take(), "No answer: ", prompt)
	})
}

// A line too slow for what is said loses some of it and delays nobody.
func TestSlowLine(t *testing.T) {
	inMemory(t, asIs, func(d *fakeDaemon, line *memory) {
		line.typed <- "2\rshow\r"
		synctest.Wait()
		line.take()
		goOn := line.stall()
		began := time.Now()
		for i := range 500 { // none of which may wait for the line
			d.said <- []status.Said{{Session: "a", Source: "cloud", Text: "word ", Index: i}}
		}
		if took := time.Since(began); took != 0 {
			t.Errorf("the daemon waited %s", took)
		}
		goOn()
		synctest.Wait()
		says(t, line.take(), "this line is too slow: ", "word ")
		line.typed <- "x"
		synctest.Wait()
		says(t, line.take(), prompt)
	})
}

// A console that waits for a stuck line stops all the same.
func TestStoppedWhileStuck(t *testing.T) {
	inMemory(t, asIs, func(d *fakeDaemon, line *memory) {
		synctest.Wait()
		line.stall()
		line.typed <- "h\r"
		synctest.Wait()
	})
}

// A daemon that does not answer at all holds the console up for a while only.
func TestDeafDaemon(t *testing.T) {
	inMemory(t, func(d *fakeDaemon) Daemon { return deaf{d} }, func(_ *fakeDaemon, line *memory) {
		time.Sleep(answerTime + time.Second)
		synctest.Wait()
		says(t, line.take(), "No answer: ", prompt)
		line.typed <- "h\r"
		synctest.Wait()
		says(t, line.take(), "Ctrl-C leaves")
	})
}

type deaf struct{ *fakeDaemon }

func (deaf) Status(ctx context.Context) (status.Status, error) {
	<-ctx.Done()
	return status.Status{}, errors.New("it does not answer")
}

// Live views go on until a key is pressed, and only until then.
func TestLiveGoesOn(t *testing.T) {
	inMemory(t, asIs, func(d *fakeDaemon, line *memory) {
		line.typed <- "3\r"
		synctest.Wait()
		line.take()
		time.Sleep(10*every + time.Second)
		if n := strings.Count(line.take(), "quic rtt"); n != 10 {
			t.Errorf("%d lines in 10 times %s", n, every)
		}
		line.typed <- "\x1b[5~"
		synctest.Wait()
		says(t, line.take(), prompt)
		time.Sleep(10 * every)
		if more := line.take(); more != "" {
			t.Errorf("after a key: %q", more)
		}
	})
}

// A line whose own output comes back as input falls silent.
func TestAnswersItself(t *testing.T) {
	inMemory(t, asIs, func(d *fakeDaemon, line *memory) {
		line.mu.Lock()
		line.loop = true
		line.mu.Unlock()
		line.typed <- "\r"
		time.Sleep(time.Minute)
		line.take()
		time.Sleep(time.Hour)
		if more := line.take(); more != "" {
			t.Errorf("it goes on: %q", more)
		}
		if line.total > 20_000 {
			t.Errorf("%d bytes before it fell silent", line.total)
		}
		if got := d.ordered(); got != "" {
			t.Errorf("it has ordered itself: %s", got)
		}
	})
}

// Whatever is typed, the console answers afterwards, or was left by Ctrl-D; and its
// terminal got nothing that could command it.
func FuzzInput(f *testing.F) {
	for _, s := range []string{"", "1\r", "6\rrestart\r", "2\rshow\rx", "\x1b[", "\x1bO\r", "\x04", "\xff\x00\r\r\n", "a\rb\rc\rd\re\rf\r", "4\r\x0311\rq"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, typed string) {
		inMemory(t, asIs, func(d *fakeDaemon, line *memory) {
			line.typed <- typed
			synctest.Wait()
			shown := line.take()
			for _, rescue := range []string{"\x03", "\x03", "\r", "help\r"} {
				time.Sleep(2 * time.Second)
				line.typed <- rescue
				synctest.Wait()
			}
			shown += line.take()
			if !strings.Contains(shown, "Ctrl-C leaves") && !strings.Contains(typed, "\x04") {
				t.Errorf("after %q it has wedged: %q", typed, shown)
			}
			checkTerminal(t, shown)
		})
	})
}

func FuzzPlain(f *testing.F) {
	f.Add("caf\u00e9 \x1b[2J \u202e \x9b \xff 漢字 \u00ad\u0300")
	f.Fuzz(func(t *testing.T, s string) {
		checkTerminal(t, plain(s))
		for _, l := range wrap(plain(s), 40) {
			if len(l) > 40 {
				t.Errorf("%d characters: %q", len(l), l)
			}
		}
	})
}
