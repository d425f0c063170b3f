package decode

import (
	"fmt"
	"image/color"
	"math"
	"path/filepath"
	"skerry/appliance/bench"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// WritePlots writes decode.svg, prompt.svg and batch.svg to the directory.
func (r Report) WritePlots(dir string) error {
	for name, pick := range map[string]func(*ModelReport) Phase{
		"decode": func(m *ModelReport) Phase { return m.Decode },
		"prompt": func(m *ModelReport) Phase { return m.Prompt },
	} {
		if err := r.phasePlot(filepath.Join(dir, name+".svg"), name, pick); err != nil {
			return err
		}
	}
	return r.batchPlot(filepath.Join(dir, "batch.svg"))
}

func (r Report) phasePlot(path, name string, pick func(*ModelReport) Phase) error {
	var panels []bench.Panel
	for _, model := range r.names() {
		p, err := barPanel(r[model].bars(pick(r[model])))
		if err != nil {
			return err
		}
		p.Title.Text = fmt.Sprintf("%s, %s, %s", model, name, threadText(r[model].Run.Threads))
		panels = append(panels, p)
	}
	return bench.WritePanels(path, panels)
}

// powers are ticks at powers of two.
type powers struct{}

func (powers) Ticks(lo, hi float64) []plot.Tick {
	var t []plot.Tick
	for v := 1.0; v <= hi; v *= 2 {
		if v >= lo {
			t = append(t, plot.Tick{Value: v, Label: fmt.Sprint(v)})
		}
	}
	return t
}

func threadText(n int) string {
	if n == 1 {
		return "1 thread"
	}
	return fmt.Sprintf("%d threads", n)
}

// tenths are ticks at tenths, or at halves of a wide range.
type tenths struct{}

func (tenths) Ticks(lo, hi float64) []plot.Tick {
	step := 0.1
	if hi-lo > 1.2 {
		step = 0.5
	}
	var t []plot.Tick
	for k := math.Ceil(lo / step); k*step <= hi; k++ {
		t = append(t, plot.Tick{Value: k * step, Label: fmt.Sprintf("%.1f", k*step)})
	}
	return t
}

// batchPlot draws m over the batch size, a line for each model, thread count and
// kind of logits.
func (r Report) batchPlot(path string) error {
	p := bench.NewPlot()
	p.Title.Text = "Marginal cost of a further position in a batch"
	p.X.Label.Text = "positions in the batch"
	p.Y.Label.Text = "m, share of a pass of 1; with logits of the last or all"
	p.X.Scale, p.X.Tick.Marker = plot.LogScale{}, powers{}
	p.Y.Tick.Marker = tenths{}
	p.Legend.Top, p.Legend.ThumbnailWidth = true, 30
	grid := plotter.NewGrid()
	grid.Horizontal.Color, grid.Vertical.Color = bench.Light, bench.Light
	p.Add(grid)
	colours := []color.Color{bench.Blue, bench.Orange, bench.Green, bench.Purple, bench.Grey}
	n, high := 0, 0.0
	for _, model := range r.names() {
		for _, s := range r[model].series() {
			l, points, err := plotter.NewLinePoints(s.points)
			if err != nil {
				return err
			}
			l.Color, points.Color = colours[s.colour(n)%len(colours)], colours[s.colour(n)%len(colours)]
			l.Width, points.Radius, points.Shape = 2, 3, draw.CircleGlyph{}
			if s.logits == "all" {
				l.Dashes = []vg.Length{5, 4}
			} else {
				n++
			}
			p.Add(l, points)
			p.Legend.Add(fmt.Sprintf("%s, %s, %s", model, threadText(s.threads), s.logits), l, points)
			for _, xy := range s.points {
				high = math.Max(high, xy.Y)
			}
		}
	}
	if n == 0 {
		return nil
	}
	p.Y.Min, p.Y.Max = math.Min(0, p.Y.Min), high*1.25
	p.X.Min, p.X.Max = 1.8, math.Max(p.X.Max*1.1, 4)
	p.Legend.Left, p.Legend.XOffs, p.Legend.Padding = true, 3.6*vg.Inch, 3
	return bench.WritePanels(path, []bench.Panel{{Plot: p, Height: 4.4 * vg.Inch}})
}

// series is a line of the batch plot.
type series struct {
	threads int
	logits  string
	points  plotter.XYs
}

// colour is shared by the two kinds of logits, the solid line of which comes
// first.
func (s series) colour(n int) int {
	if s.logits == "all" {
		return n - 1
	}
	return n
}

func (m *ModelReport) series() []series {
	var all []series
	for _, logits := range []string{"last", "all"} {
		for _, c := range m.Batch {
			if c.M == nil || c.Logits != logits {
				continue
			}
			i := len(all) - 1
			if i < 0 || all[i].threads != c.Threads || all[i].logits != logits {
				all = append(all, series{c.Threads, logits, nil})
				i++
			}
			all[i].points = append(all[i].points, plotter.XY{X: float64(c.Batch), Y: c.M.P50})
		}
	}
	return interleaved(all)
}

// interleaved puts the two lines of a thread count side by side.
func interleaved(all []series) []series {
	half := len(all) / 2
	var out []series
	for i := range half {
		out = append(out, all[i], all[half+i])
	}
	return out
}
