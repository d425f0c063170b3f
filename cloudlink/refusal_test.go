package cloudlink

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"skerry/cloudlink/internal/budget"
	"skerry/cloudlink/internal/linkerr"
	"skerry/cloudlink/session"
	"skerry/cloudlink/wire"
)

// Each no of a cloud has its word, and an error of the link has none.
func TestRefusalOf(t *testing.T) {
	now := time.Now()
	remote := func(code wire.Code, revoked bool) error {
		return fmt.Errorf("cloud c:7537: %w", &linkerr.RemoteError{Code: code, Text: "said", Revoked: revoked})
	}
	for _, c := range []struct {
		err    error
		word   string
		lasts  bool
		passes bool
	}{
		{remote(wire.CodeUnauthorized, true), "revoked", true, false},
		{remote(wire.CodeUnauthorized, false), "unauthorized", true, false},
		{remote(wire.CodeUnknownBundle, false), "unknown bundle", true, false},
		{remote(wire.CodeProtocol, false), "protocol error", true, false},
		{remote(wire.CodeNotWhole, false), "not whole", true, false},
		{remote(wire.CodeBusy, false), "busy", false, true},
		{remote(wire.CodeContextFull, false), "context full", false, false},
		{remote(wire.CodeSendFrom, false), "send from", false, false},
		{remote(wire.CodeDraining, false), "draining", false, false},
		{linkerr.At("c:7537", &linkerr.UntrustedError{Err: errors.New("x509: unknown authority")}), "unauthorized", true, false},
		{fmt.Errorf("%w: the 5 MB of 2026-05 are spent", ErrBudget), "", false, false},
		{fmt.Errorf("%w: no answer", linkerr.ErrLost), "", false, false},
		{errors.New("dial tcp: connection refused"), "", false, false},
		{nil, "", false, false},
	} {
		r := refusalOf(c.err, "", now)
		if r.None() != (c.word == "") || r.Word() != c.word || r.Lasting() != c.lasts || r.until.IsZero() == c.passes {
			t.Errorf("%v: %+v", c.err, r)
		}
	}
}

// What an ask was refused for counts until another is answered, or a busy cloud may
// be asked again; an error of the link changes nothing.
func TestAskRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &Link{judge: newJudge(func() {})}
		l.status.Connected = true
		l.meter = budget.NewMeter(budget.Budget{}, time.Now, slog.New(slog.DiscardHandler))
		changed := l.Changed()
		l.judge.Asked(fmt.Errorf("session 1: %w", &linkerr.RemoteError{Code: wire.CodeBusy, Text: "64 contexts", RetryAfter: time.Hour}))
		select {
		case <-changed:
		default:
			t.Error("nobody was told of the refusal")
		}
		l.judge.Asked(linkerr.ErrLost)
		if r := l.Refused(); r.Word() != "busy" || r.Text != "64 contexts" || r.Lasting() {
			t.Errorf("busy: %+v", r)
		}
		time.Sleep(time.Hour + time.Second)
		if r := l.Refused(); !r.None() {
			t.Errorf("no longer busy: %+v", r)
		}
		l.judge.Asked(&linkerr.RemoteError{Code: wire.CodeInternal})
		l.judge.Asked(nil)
		if r := l.Refused(); !r.None() {
			t.Errorf("answered: %+v", r)
		}
	})
}

// A closed link keeps nobody waiting, nor does a context that has ended.
func TestAwaitEnds(t *testing.T) {
	l := &Link{judge: newJudge(func() {}), meter: budget.NewMeter(budget.Budget{}, time.Now, slog.New(slog.DiscardHandler))}
	l.ctx, l.cancel = context.WithCancel(t.Context())
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := l.Await(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	l.status.failed(fmt.Errorf("%w: nobody there", linkerr.ErrLost), false)
	if err := l.Await(ctx); !errors.Is(err, linkerr.ErrLost) {
		t.Errorf("after a dial: %v", err)
	}
	l.status.failed(&linkerr.UntrustedError{Err: errors.New("a stranger")}, true)
	if err := l.Await(t.Context()); !errors.Is(err, linkerr.ErrUnauthorized) {
		t.Errorf("refused: %v", err)
	}
	l.status.Refused = false
	l.cancel()
	if err := l.Await(t.Context()); !errors.Is(err, linkerr.ErrClosed) {
		t.Errorf("closed: %v", err)
	}
}

// Goodput is what arrives of all sessions together: two that share a link have twice
// the rate of either. A receipt that comes late counts with the next.
func TestReceiptsOfAllSessions(t *testing.T) {
	j := newJudge(func() {})
	j.connected()
	at := time.Second
	for range 20 {
		at += 50 * time.Millisecond
		j.Receipt(10_000, session.Stats{CloudTime: at}, true)
		j.Receipt(10_000, session.Stats{CloudTime: at - time.Millisecond}, true)
	}
	if rate := j.monitor.Estimates().Goodput; rate < 390_000 || rate > 410_000 {
		t.Errorf("%.0f bytes/s of 400000", rate)
	}
}
