package main

import (
	"fmt"
	"os"
	"time"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"
	"golang.org/x/term"
)

// progress shows the steps of long work on stderr: a bar on a terminal, a plain
// line per step elsewhere.
type progress struct {
	out  *os.File
	work string        // what the steps are steps of
	bars *mpb.Progress // nil off a terminal
	bar  *mpb.Bar
	name string
	last time.Time
}

func newProgress(c *console, work string) *progress {
	p := &progress{out: c.stderr, work: work}
	if term.IsTerminal(int(c.stderr.Fd())) {
		p.bars = mpb.New(mpb.WithOutput(c.stderr), mpb.WithWidth(40))
	}
	return p
}

// step reports that done of total bytes (or of whatever the step counts) are
// through; total 0 is unknown.
func (p *progress) step(name string, done, total int64) {
	name = p.work + ": " + name
	if p.bars == nil {
		if name != p.name {
			fmt.Fprintln(p.out, name)
			p.name, p.last = name, time.Now()
		} else if time.Since(p.last) > 10*time.Second && total > 0 {
			fmt.Fprintf(p.out, "%s: %d %%\n", name, 100*done/total)
			p.last = time.Now()
		}
		return
	}
	if name != p.name {
		p.finish()
		p.name = name
		p.bar = p.bars.AddBar(total, mpb.PrependDecorators(decor.Name(name, decor.WCSyncSpaceR)),
			mpb.AppendDecorators(decor.Percentage(decor.WC{W: 5})))
	}
	p.bar.SetTotal(total, false)
	p.bar.SetCurrent(done)
}

func (p *progress) finish() {
	if p.bar != nil {
		p.bar.SetTotal(p.bar.Current(), true)
		p.bar = nil
	}
}

// done ends the last bar; it may be called more than once.
func (p *progress) done() {
	if p.bars != nil {
		p.finish()
		p.bars.Wait()
		p.bars = nil
	}
	p.name = ""
}
