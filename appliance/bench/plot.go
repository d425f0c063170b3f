package bench

import (
	"bytes"
	"image/color"
	"os"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/text"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgsvg"
)

// Colours that are told apart in grey and by the colour-blind.
var (
	Blue   = color.RGBA{0x1f, 0x6f, 0xb4, 0xff}
	Orange = color.RGBA{0xe6, 0x8a, 0x1e, 0xff}
	Green  = color.RGBA{0x2c, 0x9c, 0x6a, 0xff}
	Purple = color.RGBA{0x8a, 0x5f, 0xa8, 0xff}
	Grey   = color.RGBA{0x8c, 0x96, 0xa0, 0xff}
	Light  = color.RGBA{0xe4, 0xe8, 0xec, 0xff}
	Ink    = color.RGBA{0x24, 0x2c, 0x34, 0xff}
)

// plotWidth is that of a README's column.
const plotWidth = 8 * vg.Inch

// Room follows labels that end at something: the font they are shown in may be
// wider than the one they were measured in.
const Room = "      "

// Panel is a plot and its height on the page.
type Panel struct {
	*plot.Plot
	Height vg.Length
}

// NewPlot is an empty plot in the fonts and colours of all.
func NewPlot() *plot.Plot {
	p := plot.New()
	for _, s := range []*text.Style{&p.Title.TextStyle, &p.X.Label.TextStyle, &p.Y.Label.TextStyle, &p.X.Tick.Label, &p.Y.Tick.Label, &p.Legend.TextStyle} {
		s.Font.Variant = "Sans"
		s.Font.Size = 11
		s.Color = Ink
	}
	p.Title.TextStyle.Font.Size = 13
	p.Title.Padding = 8
	p.X.Label.Padding, p.Y.Label.Padding = 4, 6
	p.X.LineStyle.Color, p.Y.LineStyle.Color = Grey, Grey
	return p
}

// WritePanels writes plots one below the other as one SVG.
func WritePanels(path string, panels []Panel) error {
	const edge = 10
	height := vg.Length(edge)
	for _, p := range panels {
		height += p.Height + edge
	}
	c := vgsvg.New(plotWidth, height)
	page := draw.New(c)
	page.SetColor(color.White)
	page.Fill(page.Rectangle.Path())
	top := height - edge
	for _, p := range panels {
		p.BackgroundColor = nil
		p.Draw(draw.Crop(page, edge, -2*edge, top-p.Height, top-height))
		top -= p.Height + edge
	}
	var b bytes.Buffer
	if _, err := c.WriteTo(&b); err != nil {
		return err
	}
	// The font is seldom where the plot is looked at.
	svg := bytes.ReplaceAll(b.Bytes(), []byte("font-family:Liberation Sans;"), []byte("font-family:Liberation Sans,Arial,Helvetica,sans-serif;"))
	return os.WriteFile(path, svg, 0o644)
}
