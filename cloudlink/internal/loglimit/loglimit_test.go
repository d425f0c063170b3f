package loglimit_test

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"skerry/cloudlink/internal/loglimit"
)

// A flood of one level leaves so many lines a minute, and says what it left out;
// the other level is not hidden by it.
func TestFlood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b bytes.Buffer
		var l loglimit.Limiter
		log := l.Logger(slog.New(slog.NewTextHandler(&b, nil))).With("device", "shed")
		for range 1000 {
			log.Info("session open")
		}
		log.Warn("stream refused")
		text := b.String()
		if n := strings.Count(text, "session open"); n != loglimit.Lines || !strings.Contains(text, "the rest of this minute is left out") {
			t.Errorf("%d lines:\n%s", n, text)
		}
		if !strings.Contains(text, "stream refused") {
			t.Error("the flood hides a warning")
		}
		b.Reset()
		time.Sleep(time.Minute)
		log.Info("session open")
		if text := b.String(); !strings.Contains(text, "lines were left out") || !strings.Contains(text, "lines=940") || !strings.Contains(text, "device=shed") {
			t.Error(text)
		}
	})
}

// A peer's own words are cut, where they come as text and where as an error.
func TestLongValues(t *testing.T) {
	var b bytes.Buffer
	var l loglimit.Limiter
	long := strings.Repeat("ä", 4000)
	log := l.Logger(slog.New(slog.NewTextHandler(&b, nil)))
	log.With("peer", long).WithGroup("g").Warn("refused", "text", long, "err", errors.New(long), "n", 5)
	if b.Len() > 1200 || !strings.Contains(b.String(), "g.n=5") || strings.Contains(b.String(), "\uFFFD") {
		t.Errorf("%d bytes: %s", b.Len(), b.String())
	}
}
