package conversation

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"skerry/appliance/admin"
	"skerry/appliance/cli"
	"skerry/appliance/decode"
	"skerry/appliance/decode/batch"
	"skerry/appliance/infer"
	"skerry/appliance/node"
	"skerry/build/testleak"
)

func TestMain(m *testing.M) { testleak.Main(m) }

// silentDaemon answers nothing.
type silentDaemon struct {
	infer.Asker
	known     admin.Session      // in full, in every session
	cancelled chan time.Duration // how long each cancellation was waited for
}

func (d *silentDaemon) Session(context.Context, string) (admin.Session, error) {
	return d.known, nil
}

func (d *silentDaemon) Ask(ctx context.Context, _ infer.Request) (infer.Answer, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

var errFollowed = errors.New("followed")

func (d *silentDaemon) Follow(context.Context, infer.Following) (infer.Answer, error) {
	return nil, errFollowed
}

func (d *silentDaemon) Cancel(ctx context.Context, _ string) error {
	began := time.Now()
	<-ctx.Done()
	d.cancelled <- time.Since(began)
	return ctx.Err()
}

// Beside a daemon that does not hear of the first Ctrl-C in a chat, the second ends the wait,
// however soon it comes.
func TestSecondInterruptEndsTheWait(t *testing.T) {
	for _, between := range []time.Duration{time.Millisecond, time.Minute} {
		stderr, err := os.Create(filepath.Join(t.TempDir(), "stderr"))
		if err != nil {
			t.Fatal(err)
		}
		defer stderr.Close()
		synctest.Test(t, func(t *testing.T) {
			d := &silentDaemon{cancelled: make(chan time.Duration, 1)}
			r := &Conversation{Flags: Flags{Session: "s"}, from: d, out: &cli.Console{Stderr: stderr}, chatting: true}
			interrupts, ended := make(chan os.Signal), make(chan error)
			go func() {
				_, err := r.turn(t.Context(), interrupts, func(ctx context.Context) (infer.Answer, error) { return d.Ask(ctx, infer.Request{}) })
				ended <- err
			}()
			interrupts <- os.Interrupt
			time.Sleep(between)
			interrupts <- os.Interrupt
			var exit *cli.CodeError
			if err := <-ended; !errors.As(err, &exit) || exit.Code != 130 {
				t.Errorf("%v", err)
			}
			if waited := <-d.cancelled; waited > 2*time.Second {
				t.Errorf("the daemon was waited for %s", waited)
			}
		})
	}
}

// A --top-p of 0 takes all tokens, as --top-k does, whatever a request means by it.
func TestTopPOfNothingIsAll(t *testing.T) {
	for given, want := range map[float32]float32{0: 1, 0.5: 0.5, 1: 1} {
		f := &Flags{Mode: string(decode.Standalone), OnLoss: "alone", Encoding: "f32", Context: 64, Temp: 1, TopP: given}
		opt, err := f.options()
		if err != nil {
			t.Fatal(err)
		}
		r := &Conversation{Flags: *f, opt: opt}
		if q := r.request(nil, question{text: "Hello"}, admin.Session{}); q.TopP == nil || *q.TopP != want {
			t.Errorf("--top-p %v: the request has %v", given, q.TopP)
		}
	}
}

// The next question has the tools of the last, and as many at once.
func TestToolsOfTheLastQuestion(t *testing.T) {
	r := &Conversation{}
	if q := r.request(nil, question{text: "Hello"}, admin.Session{Tools: []infer.Tool{{Name: "f"}}, ParallelTools: true}); len(q.Tools) != 1 || !q.ParallelTools {
		t.Errorf("%+v", q)
	}
}

// What an answer that is stopped leaves behind goes on only in a session of this process: a
// daemon has ended it for good.
func TestStoppedSaysWhatGoesOn(t *testing.T) {
	for _, own := range []bool{false, true} {
		stderr := filepath.Join(t.TempDir(), "stderr")
		f, err := os.Create(stderr)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		out := &cli.Console{Stdout: f, Stderr: f}
		r := &Conversation{Flags: Flags{Session: "s"}, out: out, view: cli.NewTokenPrinter(out, nil, false)}
		if own {
			r.board = &node.Board{}
		}
		if err := r.sum(transcript{Provenance: infer.Provenance{Mode: decode.Standalone}, Finish: infer.Cancelled}, nil); err != nil {
			t.Fatal(err)
		}
		said, err := os.ReadFile(stderr)
		if err != nil || !strings.Contains(string(said), "(stopped") || strings.Contains(string(said), "the same command goes on with it") != own {
			t.Errorf("own %t: %q, %v", own, said, err)
		}
	}
}

// What memory has no room for is told in the words of the flags.
func TestMemoryInFlags(t *testing.T) {
	_, err := batch.Fit(batch.Want{Context: 8192, Parallel: 1}, batch.Memory{Total: 4 << 30, Available: 2 << 30, Cores: 2}, batch.Sizes{Weights: 1 << 20, Position: 1 << 19})
	if !errors.Is(err, batch.ErrMemory) {
		t.Fatal(err)
	}
	if words := (&Flags{}).explain(err).Error(); !strings.Contains(words, "give --context ") || strings.Contains(words, "set context") {
		t.Error(words)
	}
}

// A session whose messages are not kept is not asked on in, as if nothing had been said in it;
// but an answer that is too long to be kept is had again by its question, until it is delivered.
func TestUnkeptSession(t *testing.T) {
	d := &silentDaemon{known: admin.Session{Unkept: true, Undelivered: true, Messages: []infer.Message{{Role: "user", Content: "q"}}}}
	r := &Conversation{Flags: Flags{Session: "s"}, from: d, out: &cli.Console{}}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := r.ask(ended, question{text: "q"}); !errors.Is(err, errFollowed) {
		t.Errorf("the same question: %v", err)
	}
	_, other := r.ask(ended, question{text: "another"})
	_, after := r.history(ended, nil, transcript{})
	for _, err := range []error{other, after} {
		if err == nil || !strings.Contains(err.Error(), "session s is too long to be asked on here") {
			t.Errorf("%v", err)
		}
	}
}

// A name that the database refuses is refused before anything is loaded.
func TestSessionName(t *testing.T) {
	for name, fine := range map[string]bool{"s": true, "a\tb": false, strings.Repeat("x", 128): true, strings.Repeat("x", 129): false} {
		f := &Flags{Mode: string(decode.Standalone), OnLoss: "alone", Encoding: "f32", Context: 64, Session: name}
		if _, err := f.options(); (err == nil) != fine || err != nil && !strings.HasPrefix(err.Error(), "--session: ") {
			t.Errorf("%.20q: %v", name, err)
		}
	}
}
