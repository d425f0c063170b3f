package bench

import (
	"fmt"
	"image/color"
	"math"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// legendShare widens the X axis so that the legend lies beside the lines.
const legendShare = 1.6

// Line is a series of points in a line plot.
type Line struct {
	Name   string
	X, Y   []float64
	Dashed bool
}

// LinePlot says what a plot of lines shows. Its X axis is linear and begins at 0;
// the Y axis is logarithmic.
type LinePlot struct {
	Title, X, Y string
	Lines       []Line
	// Level is where a grey line says "as fast as", 0 for none.
	Level float64
}

// Write writes the plot as SVG.
func (l LinePlot) Write(path string) error {
	p := NewPlot()
	p.Title.Text, p.X.Label.Text, p.Y.Label.Text = l.Title, l.X, l.Y
	grid := plotter.NewGrid()
	grid.Horizontal.Color, grid.Vertical.Color = Light, Light
	p.Add(grid)
	low, high, right := math.Inf(1), 0.0, 0.0
	for i, s := range l.Lines {
		line, points, err := plotter.NewLinePoints(s.points())
		if err != nil {
			return err
		}
		c := []color.Color{Blue, Orange, Green, Purple, Grey, Ink}[i%6]
		line.Color, points.Color = c, c
		line.Width, points.Radius, points.Shape = 2, 3, draw.CircleGlyph{}
		if s.Dashed {
			line.Dashes = []vg.Length{5, 4}
		}
		p.Add(line, points)
		p.Legend.Add(s.Name+Room, line, points)
		for k := range s.X {
			low, high, right = math.Min(low, s.Y[k]), math.Max(high, s.Y[k]), math.Max(right, s.X[k])
		}
	}
	if high == 0 {
		return nil
	}
	if l.Level > 0 {
		level, err := plotter.NewLine(plotter.XYs{{X: 0, Y: l.Level}, {X: right, Y: l.Level}})
		if err != nil {
			return err
		}
		level.Color, level.Dashes = Ink, []vg.Length{3, 3}
		p.Add(level)
	}
	right = math.Max(right, 0.1)
	p.X.Min, p.X.Max, p.X.Tick.Marker = 0, right*legendShare, until(right)
	p.Y.Min, p.Y.Max = low/1.25, high*1.25
	p.Y.Scale, p.Y.Tick.Marker = plot.LogScale{}, powersAround{}
	p.Legend.Top, p.Legend.ThumbnailWidth, p.Legend.Padding = true, 30, 3
	return WritePanels(path, []Panel{{p, 4.8 * vg.Inch}})
}

func (s Line) points() plotter.XYs {
	xy := make(plotter.XYs, len(s.X))
	for i := range s.X {
		xy[i] = plotter.XY{X: s.X[i], Y: s.Y[i]}
	}
	return xy
}

// until are ticks up to where the lines end.
type until float64

func (u until) Ticks(lo, _ float64) []plot.Tick { return plot.DefaultTicks{}.Ticks(lo, float64(u)) }

// powersAround are ticks at powers of two on both sides of one.
type powersAround struct{}

func (powersAround) Ticks(lo, hi float64) []plot.Tick {
	var t []plot.Tick
	for e := math.Ceil(math.Log2(lo)); math.Exp2(e) <= hi; e++ {
		t = append(t, plot.Tick{Value: math.Exp2(e), Label: fmt.Sprintf("%g", math.Exp2(e))})
	}
	return t
}
