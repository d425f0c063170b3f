package page

import (
	"fmt"
	"math"
	"strings"
	"time"

	"skerry/appliance/status"
)

// Heights of the plot, in pixels: round trip, loss, state, one below the other.
const (
	rttTop, rttBottom   = 32, 118
	lossTop, lossBottom = 136, 160
)

const plotted = time.Hour

// plot of the last hour. Positions across are shares of its width.
type plot struct {
	Summary   string
	Grid      []gridLine
	Lines     []curve
	LossLabel string
	Loss      []lossBar
	Band      []band
	Changes   []change
	Axis      []mark
	Minutes   []status.Minute // the newest first
}

type gridLine struct {
	Y    int
	Text string
}

// curve of the round trip while there was one, in a box of 60 by 100.
type curve struct{ Path, Area string }

type lossBar struct {
	X    float64
	Y, H float64
	Text string
}

// band is a stretch of one state.
type band struct {
	State, Letter, Text, Pattern string
	From, Of                     float64
}

func (b band) Middle() float64 { return b.From + b.Of/2 }

// change of mode, numbered as in the list below the plot.
type change struct {
	status.Change
	Number int
	X      float64
}

// plotHour returns nil where nothing was measured.
func plotHour(s status.Status) *plot {
	minutes := s.Link.Hour
	if !s.Link.Wanted || len(minutes) == 0 {
		return nil
	}
	end := minutes[len(minutes)-1].Start.Add(time.Minute)
	begin := end.Add(-plotted)
	for len(minutes) > 0 && minutes[0].Start.Before(begin) {
		minutes = minutes[1:]
	}
	at := func(t time.Time) float64 { return min(1, max(0, float64(t.Sub(begin))/float64(plotted))) }
	p := &plot{}
	p.roundTrips(minutes, at)
	p.losses(minutes, at)
	p.states(minutes, at)
	for _, c := range s.Changes {
		if !c.Time.Before(begin) {
			p.Changes = append(p.Changes, change{c, len(p.Changes) + 1, at(c.Time)})
		}
	}
	for i := range 5 {
		x := float64(i) / 4
		p.Axis = append(p.Axis, mark{x, begin.Add(time.Duration(i) * plotted / 4).UTC().Format("15:04"), []string{"start", "middle", "middle", "middle", "end"}[i]})
	}
	for i := len(minutes) - 1; i >= 0; i-- {
		p.Minutes = append(p.Minutes, minutes[i])
	}
	return p
}

// roundTrips draws the curve, broken where there was no link.
func (p *plot) roundTrips(minutes []status.Minute, at func(time.Time) float64) {
	low, high := math.Inf(1), 0.0
	for _, m := range minutes {
		if m.RTTms > 0 {
			low, high = min(low, m.RTTms), max(high, m.RTTms)
		}
	}
	top := roundUp(high)
	for i, label := range []string{"", fmt.Sprintf("%.4g ms", top/2), fmt.Sprintf("%.4g ms round trip", top)} {
		p.Grid = append(p.Grid, gridLine{rttBottom - i*(rttBottom-rttTop)/2, label})
	}
	var points []string
	var first, last float64
	end := func() {
		if len(points) > 0 {
			line := "M" + strings.Join(points, "L")
			p.Lines = append(p.Lines, curve{line, fmt.Sprintf("%sL%.4g 100L%.4g 100Z", line, last, first)})
		}
		points = nil
	}
	for _, m := range minutes {
		if m.RTTms <= 0 || m.State == "down" {
			end()
			continue
		}
		x := 60*at(m.Start) + 0.5
		if len(points) == 0 {
			first = x
		}
		last = x
		points = append(points, fmt.Sprintf("%.4g %.4g", x, 100-100*m.RTTms/top))
	}
	end()
	if high > 0 {
		p.Summary = fmt.Sprintf("Round trip %s to %s", status.Millis(low), status.Millis(high))
	} else {
		p.Summary = "No round trip"
	}
}

// roundUp to 1, 2 or 5 times a power of ten.
func roundUp(x float64) float64 {
	if x <= 0 {
		return 100
	}
	unit := math.Pow(10, math.Floor(math.Log10(x)))
	for _, k := range []float64{1, 2, 2.5, 5} {
		if x <= k*unit {
			return k * unit
		}
	}
	return 10 * unit
}

func (p *plot) losses(minutes []status.Minute, at func(time.Time) float64) {
	var highest float64
	for _, m := range minutes {
		if m.State != "down" {
			highest = max(highest, m.Loss)
		}
	}
	p.LossLabel = "loss, at most " + status.Percent(highest)
	if highest == 0 {
		p.LossLabel = "no loss"
	}
	p.Summary += ", " + p.LossLabel
	for _, m := range minutes {
		if m.State == "down" || m.Loss <= 0 {
			continue
		}
		h := max(2, min(1, m.Loss/max(highest, 0.02))*(lossBottom-lossTop))
		p.Loss = append(p.Loss, lossBar{at(m.Start) + 0.002, lossBottom - h, h, m.Start.UTC().Format("15:04") + " lost " + status.Percent(m.Loss)})
	}
}

// states draws the band, one piece for minutes of one state.
func (p *plot) states(minutes []status.Minute, at func(time.Time) float64) {
	counts := map[string]int{}
	for _, m := range minutes {
		counts[m.State]++
		from, to := at(m.Start), at(m.Start.Add(time.Minute))
		if n := len(p.Band); n > 0 && p.Band[n-1].State == m.State && math.Abs(p.Band[n-1].From+p.Band[n-1].Of-from) < 1e-6 {
			p.Band[n-1].Of = to - p.Band[n-1].From
			continue
		}
		text := m.Start.UTC().Format("15:04") + " " + m.State
		if m.Reason != "" {
			text += ": " + m.Reason
		}
		b := band{State: m.State, Letter: stateLetter(m.State), Text: text, From: from, Of: to - from}
		if m.State == "fair" || m.State == "poor" || m.State == "down" {
			b.Pattern = "p-" + m.State
		}
		p.Band = append(p.Band, b)
	}
	for _, state := range []string{"good", "fair", "poor", "down"} {
		if counts[state] > 0 {
			p.Summary += fmt.Sprintf(", %s for %d min", state, counts[state])
		}
	}
}
