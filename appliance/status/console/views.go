package console

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"skerry/appliance/infer"
	"skerry/appliance/status"
)

// every is how often a live view shows a new line.
const every = 2 * time.Second

// backlog is how many pieces a slow terminal may lag behind before some are left out.
const backlog = 64

// live prints what follow emits, until a key is pressed. What the line is too slow
// for is left out, which the user is told.
func (c *Console) live(follow func(ctx context.Context, emit func(string)) error) error {
	c.line("(press any key to leave)")
	ctx, cancel := context.WithCancel(c.ctx)
	out, ended := make(chan string, backlog), make(chan error, 1)
	var lost atomic.Int64
	go func() {
		defer close(ended)
		ended <- follow(ctx, func(s string) {
			select {
			case out <- s:
			default:
				lost.Add(1)
			}
		})
	}()
	defer func() {
		cancel()
		for range ended { // until it has
		}
	}()
	show := func(s string) {
		if n := lost.Swap(0); n > 0 {
			c.raws(fmt.Sprintf("\n[this line is too slow: %s left out]\n", status.Plural(n, "piece")))
		}
		c.raws(s)
	}
	for c.err == nil {
		select { // a key before all else, however much there is to show
		case _, ok := <-c.keys:
			return c.leave(ok)
		default:
		}
		select {
		case _, ok := <-c.keys:
			return c.leave(ok)
		case <-c.ctx.Done():
			return c.ctx.Err()
		case s := <-out:
			show(s)
		case err := <-ended:
			for len(out) > 0 {
				show(<-out)
			}
			c.raws("\n")
			if err != nil {
				c.lines(away(err))
			}
			return c.err
		}
	}
	return c.err
}

// leave ends a live view by a key, or as the line has ended.
func (c *Console) leave(ok bool) error {
	if !ok {
		return c.gone()
	}
	c.raws("\n")
	return c.err
}

// sampled emits a line made of the status again and again.
func (c *Console) sampled(line func(status.Status) string) error {
	return c.live(func(ctx context.Context, emit func(string)) error {
		tick := time.NewTicker(every)
		defer tick.Stop()
		for {
			st, err := c.status()
			if err != nil {
				return err
			}
			emit(c.cut(line(st)))
			select {
			case <-ctx.Done():
				return nil
			case <-tick.C:
			}
		}
	})
}

func (c *Console) showLink() error {
	st, err := c.fetch()
	if err != nil {
		return c.err
	}
	if !st.Link.Wanted {
		c.lines("No cloud is configured, this board answers alone: `skerry enroll CODE` changes that.")
		return c.err
	}
	c.lines("Cloud " + st.Link.Cloud + "; the last hour, a letter a minute (good fair poor Down):")
	c.line(status.Letters(st.Link.Hour))
	return c.sampled(func(st status.Status) string {
		l := st.Link
		if !l.Connected {
			return fmt.Sprintf("%s down: %s", clock(st.Time), l.LastError)
		}
		return fmt.Sprintf("%s %s rtt %s loss %s up %s/s %s, %s: %s", clock(st.Time), l.Transport, status.Millis(l.RTTms),
			status.Percent(l.Loss), status.Bytes(l.Goodput), l.State, st.Mode, l.Reason)
	})
}

func clock(t time.Time) string { return t.Local().Format(time.TimeOnly) }

// oldLines of the log come before those that follow.
const oldLines = 15

func (c *Console) showLogs() error {
	return c.live(func(ctx context.Context, emit func(string)) error {
		return c.Daemon.Logs(ctx, oldLines, func(r status.Record) { emit(c.cut(clock(r.Time) + " " + r.String())) })
	})
}

// showTokens shows the text of answers to who types the word for it, else counts.
func (c *Console) showTokens() error {
	if !c.NoText {
		c.lines("This shows answers in clear to whoever reads this line.")
		word, err := c.ask("Type show for the text, or Enter for counts alone: ")
		if err != nil {
			return err
		}
		if strings.EqualFold(word, "show") {
			return c.showText()
		}
	}
	return c.sampled(func(st status.Status) string {
		parts := []string{fmt.Sprintf("%s %.1f/s, %d running, %d waiting", clock(st.Time), st.Tokens.Rate, st.Queue.Running, st.Queue.Waiting)}
		for _, s := range infer.Sources {
			if n := st.Tokens.Total[string(s.Key)]; n > 0 {
				parts = append(parts, fmt.Sprintf("%s %d", s.Name, n))
			}
		}
		return strings.Join(parts, ", ")
	})
}

func (c *Console) showText() error {
	var legend []string
	for _, s := range infer.Sources {
		legend = append(legend, "<"+s.Letter+"> "+s.Name)
	}
	c.lines("said by: " + strings.Join(legend, ", "))
	return c.live(func(ctx context.Context, emit func(string)) error {
		var last status.Said
		return c.Daemon.Tokens(ctx, func(said []status.Said) {
			var b strings.Builder
			for _, t := range said {
				b.WriteString(spoken(last, t))
				last = t
			}
			emit(b.String())
		})
	})
}

// spoken is a token's text, behind a mark where another machine speaks or another
// answer goes on.
func spoken(last, t status.Said) string {
	var b strings.Builder
	if t.Session != last.Session || t.Index < last.Index || last.Source == "" {
		fmt.Fprintf(&b, "\n[%s]\n", plain(t.Session))
		last.Source = ""
	}
	if t.Source != last.Source {
		b.WriteString("<" + infer.Source(t.Source).Info().Letter + ">")
	}
	for i, l := range strings.Split(t.Text, "\n") {
		if i > 0 {
			b.WriteByte('\n')
		}
		b.WriteString(plain(strings.TrimSuffix(l, "\r")))
	}
	return b.String()
}
