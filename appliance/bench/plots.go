package bench

import (
	"bytes"
	"fmt"
	"image/color"
	"math"
	"os"
	"path/filepath"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/text"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgsvg"
)

// Colours that are told apart in grey and by the colour-blind.
var (
	blue   = color.RGBA{0x1f, 0x6f, 0xb4, 0xff}
	orange = color.RGBA{0xe6, 0x8a, 0x1e, 0xff}
	green  = color.RGBA{0x2c, 0x9c, 0x6a, 0xff}
	purple = color.RGBA{0x8a, 0x5f, 0xa8, 0xff}
	grey   = color.RGBA{0x8c, 0x96, 0xa0, 0xff}
	light  = color.RGBA{0xe4, 0xe8, 0xec, 0xff}
	ink    = color.RGBA{0x24, 0x2c, 0x34, 0xff}
)

// plotWidth is that of a README's column.
const plotWidth = 8 * vg.Inch

// room follows labels that end at something: the font they are shown in may be
// wider than the one they were measured in.
const room = "      "

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

// panel is a plot and its height on the page.
type panel struct {
	*plot.Plot
	height vg.Length
}

func (r Report) phasePlot(path, name string, pick func(*ModelReport) Phase) error {
	var panels []panel
	for _, model := range r.names() {
		p, err := barPanel(r[model].bars(pick(r[model])))
		if err != nil {
			return err
		}
		p.Title.Text = fmt.Sprintf("%s, %s, %s", model, name, threadText(r[model].Run.Threads))
		panels = append(panels, p)
	}
	return writePanels(path, panels)
}

func newPlot() *plot.Plot {
	p := plot.New()
	for _, s := range []*text.Style{&p.Title.TextStyle, &p.X.Label.TextStyle, &p.Y.Label.TextStyle, &p.X.Tick.Label, &p.Y.Tick.Label, &p.Legend.TextStyle} {
		s.Font.Variant = "Sans"
		s.Font.Size = 11
		s.Color = ink
	}
	p.Title.TextStyle.Font.Size = 13
	p.Title.Padding = 8
	p.X.Label.Padding, p.Y.Label.Padding = 4, 6
	p.X.LineStyle.Color, p.Y.LineStyle.Color = grey, grey
	return p
}

// writePanels writes plots one below the other as one SVG.
func writePanels(path string, panels []panel) error {
	const edge = 10
	height := vg.Length(edge)
	for _, p := range panels {
		height += p.height + edge
	}
	c := vgsvg.New(plotWidth, height)
	page := draw.New(c)
	page.SetColor(color.White)
	page.Fill(page.Rectangle.Path())
	top := height - edge
	for _, p := range panels {
		p.BackgroundColor = nil
		p.Draw(draw.Crop(page, edge, -2*edge, top-p.height, top-height))
		top -= p.height + edge
	}
	var b bytes.Buffer
	if _, err := c.WriteTo(&b); err != nil {
		return err
	}
	// The font is seldom where the plot is looked at.
	svg := bytes.ReplaceAll(b.Bytes(), []byte("font-family:Liberation Sans;"), []byte("font-family:Liberation Sans,Arial,Helvetica,sans-serif;"))
	return os.WriteFile(path, svg, 0o644)
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
	p := newPlot()
	p.Title.Text = "Marginal cost of a further position in a batch"
	p.X.Label.Text = "positions in the batch"
	p.Y.Label.Text = "m, share of a pass of 1; with logits of the last or all"
	p.X.Scale, p.X.Tick.Marker = plot.LogScale{}, powers{}
	p.Y.Tick.Marker = tenths{}
	p.Legend.Top, p.Legend.ThumbnailWidth = true, 30
	grid := plotter.NewGrid()
	grid.Horizontal.Color, grid.Vertical.Color = light, light
	p.Add(grid)
	colours := []color.Color{blue, orange, green, purple, grey}
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
	return writePanels(path, []panel{{p, 4.4 * vg.Inch}})
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
