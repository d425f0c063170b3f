package decode

import (
	"fmt"
	"image/color"
	"skerry/appliance/bench"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
)

// bar is a candidate's throughput over the unsplit model's.
type bar struct {
	label string
	q     bench.Quartiles
	fill  color.Color
}

// bars are in the order of the tables.
func (m *ModelReport) bars(p Phase) []bar {
	b := []bar{{"unsplit", bench.Quartiles{P25: 1, P50: 1, P75: 1}, bench.Grey}}
	if p.Chained != nil {
		b = append(b, bar{"chained", *p.Chained, bench.Blue})
	}
	for _, e := range p.Exits {
		label, fill := fmt.Sprintf("exit %d/%d, shortlist", e.Blocks, m.Model.Blocks), color.Color(bench.Green)
		if e.Head.Kind == Vocabulary {
			label, fill = fmt.Sprintf("exit %d/%d, vocabulary", e.Blocks, m.Model.Blocks), bench.Orange
		}
		b = append(b, bar{label, *e.OverUnsplit, fill})
	}
	if q := p.OverPeer; q != nil {
		b = append(b, bar{"peer llama.cpp", q.Inverse(), bench.Purple})
	}
	return b
}

// whiskers are the quartiles of bars that lie on their sides.
type whiskers struct {
	plotter.XYs
	plotter.XErrors
}

// barPanel draws bars from the top down, each with its median in figures.
func barPanel(bars []bar) (bench.Panel, error) {
	p := bench.NewPlot()
	p.X.Label.Text = "throughput over the whole model's, median and quartiles of rounds"
	grid := plotter.NewGrid()
	grid.Vertical.Color, grid.Horizontal.Color = bench.Light, nil
	p.Add(grid)
	w := whiskers{}
	names, figures := make([]string, len(bars)), plotter.XYLabels{}
	high := 1.0
	for i, b := range bars {
		at := len(bars) - 1 - i
		names[at] = b.label + bench.Room
		c, err := plotter.NewBarChart(plotter.Values{b.q.P50}, 14)
		if err != nil {
			return bench.Panel{}, err
		}
		c.Horizontal, c.XMin, c.Color, c.LineStyle.Width = true, float64(at), b.fill, 0
		p.Add(c)
		w.XYs = append(w.XYs, plotter.XY{X: b.q.P50, Y: float64(at)})
		w.XErrors = append(w.XErrors, struct{ Low, High float64 }{b.q.P50 - b.q.P25, b.q.P75 - b.q.P50})
		figures.XYs = append(figures.XYs, plotter.XY{X: max(b.q.P75, b.q.P50), Y: float64(at)})
		figures.Labels = append(figures.Labels, fmt.Sprintf("%.2f", b.q.P50))
		high = max(high, b.q.P75)
	}
	errs, err := plotter.NewXErrorBars(w)
	if err != nil {
		return bench.Panel{}, err
	}
	errs.Color, errs.Width, errs.CapWidth = bench.Ink, 1.2, 6
	labels, err := plotter.NewLabels(figures)
	if err != nil {
		return bench.Panel{}, err
	}
	for i := range labels.TextStyle {
		labels.TextStyle[i] = p.X.Tick.Label
		labels.TextStyle[i].XAlign, labels.TextStyle[i].YAlign = 0, -0.4
	}
	labels.Offset.X = 6
	one, err := plotter.NewLine(plotter.XYs{{X: 1, Y: -0.6}, {X: 1, Y: float64(len(bars)) - 0.4}})
	if err != nil {
		return bench.Panel{}, err
	}
	one.Color, one.Dashes = bench.Ink, []vg.Length{3, 3}
	p.Add(one, errs, labels)
	p.NominalY(names...)
	p.Y.Tick.Label.XAlign = -1
	p.X.Min, p.X.Max = 0, high*1.12
	p.Y.Min, p.Y.Max = -0.6, float64(len(bars))-0.4
	p.X.Tick.Marker = plot.DefaultTicks{}
	return bench.Panel{Plot: p, Height: vg.Length(24*len(bars)) + 70}, nil
}
