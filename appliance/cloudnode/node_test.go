package cloudnode

import (
	"strings"
	"testing"
	"time"
)

// Sizes are taken in the unit in which everything shows them, and an option that cannot
// be is named by its flag.
func TestOptions(t *testing.T) {
	good := Options{Sessions: 8, Context: 8192, MemoryMB: 1024, Keep: time.Minute, MaxWait: time.Second, PerBoard: 1, PullMB: 16}
	if err := good.Check(); err != nil || good.memory() != 1_024_000_000 || good.fileRate() != 16_000_000 {
		t.Errorf("%v, %d bytes, %d bytes/s", err, good.memory(), good.fileRate())
	}
	for flag, change := range map[string]func(o *Options){
		"--sessions -1:":  func(o *Options) { o.Sessions = -1 },
		"--context 15:":   func(o *Options) { o.Context = 15 },
		"--threads -1:":   func(o *Options) { o.Threads = -1 },
		"--memory 0:":     func(o *Options) { o.MemoryMB = 0 },
		"--keep 0s:":      func(o *Options) { o.Keep = 0 },
		"--max-wait -1s:": func(o *Options) { o.MaxWait = -time.Second },
		"--per-board 0:":  func(o *Options) { o.PerBoard = 0 },
		"--rows -1:":      func(o *Options) { o.Rows = -1 },
		"--pull-rate -1:": func(o *Options) { o.PullMB = -1 },
	} {
		o := good
		change(&o)
		if err := o.Check(); err == nil || !strings.HasPrefix(err.Error(), flag) {
			t.Errorf("%s: %v", flag, err)
		}
	}
	for _, change := range []func(o *Options){func(o *Options) { o.PullMB = 0 }, func(o *Options) { o.Development = true }} {
		o := good
		if change(&o); o.fileRate() >= 0 {
			t.Errorf("%+v: boards may fetch", o)
		}
	}
}

// A GPU's memory is not the only one that sessions take of.
func TestSessionsToKeep(t *testing.T) {
	const session = 2048 * 1536 * 4 // bytes of the hidden states of one
	for free, want := range map[int64]int{0: 1, session: 1, 8 * session: 4, 8*session - 1: 3} {
		if n := sessionsToKeep(1536, 2048, free); n != want {
			t.Errorf("%d sessions in %d free bytes, not %d", n, free, want)
		}
	}
}
