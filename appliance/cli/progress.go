package cli

import (
	"fmt"
	"os"
	"sync/atomic"
	"time"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"
	"golang.org/x/term"
)

// Progress shows the steps of long work on stderr: a bar on a terminal, a plain
// line per step elsewhere; both with the time that the step still takes.
type Progress struct {
	out  *os.File
	work string        // what the steps are steps of
	bars *mpb.Progress // nil off a terminal
	bar  *mpb.Bar
	name string
	last time.Time
	left timeLeft
	told atomic.Value // the time left as a string, for the bar's own goroutine
}

// NewProgress shows the steps of a work, as "split".
func NewProgress(c *Console, work string) *Progress {
	p := &Progress{out: c.Stderr, work: work}
	if term.IsTerminal(int(c.Stderr.Fd())) {
		p.bars = mpb.New(mpb.WithOutput(c.Stderr), mpb.WithWidth(40))
	}
	return p
}

// Step reports that done of total bytes (or of whatever the step counts) are
// through; total 0 is unknown.
func (p *Progress) Step(name string, done, total int64) {
	name = p.work + ": " + name
	if name != p.name {
		p.left = timeLeft{}
	}
	p.left.see(time.Now(), done)
	p.told.Store(p.left.of(total))
	if p.bars == nil {
		if name != p.name {
			fmt.Fprintln(p.out, name)
			p.name, p.last = name, time.Now()
		} else if time.Since(p.last) > 10*time.Second && total > 0 {
			line := fmt.Sprintf("%s: %d %%", name, 100*done/total)
			if left := p.left.of(total); left != "" {
				line += ", " + left
			}
			fmt.Fprintln(p.out, line)
			p.last = time.Now()
		}
		return
	}
	if name != p.name {
		p.finish()
		p.name = name
		p.bar = p.bars.AddBar(total, mpb.PrependDecorators(decor.Name(name, decor.WCSyncSpaceR)),
			mpb.AppendDecorators(decor.Percentage(decor.WC{W: 5}), decor.Any(func(decor.Statistics) string {
				if left, _ := p.told.Load().(string); left != "" {
					return ", " + left
				}
				return ""
			})))
	}
	p.bar.SetTotal(total, false)
	p.bar.SetCurrent(done)
}

// StepOf reports the steps of other work.
func (p *Progress) StepOf(work string) func(name string, done, total int64) {
	return func(name string, done, total int64) {
		p.work = work
		p.Step(name, done, total)
	}
}

func (p *Progress) finish() {
	if p.bar != nil {
		p.bar.SetTotal(p.bar.Current(), true)
		p.bar = nil
	}
}

// Done ends the last bar; it may be called more than once.
func (p *Progress) Done() {
	if p.bars != nil {
		p.finish()
		p.bars.Wait()
		p.bars = nil
	}
	p.name = ""
}
