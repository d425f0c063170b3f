package homeassistant

import (
	"bytes"
	"fmt"
	"image"
	"image/color"
	"image/draw"
	"image/png"
	"math"

	"golang.org/x/image/font"
	"golang.org/x/image/font/gofont/gobold"
	"golang.org/x/image/font/opentype"
	"golang.org/x/image/math/fixed"
	"golang.org/x/image/vector"
)

// The colours of the page's mark: night, rock and water.
var (
	night = color.RGBA{0x12, 0x30, 0x3a, 0xff}
	rock  = color.RGBA{0xe9, 0xf1, 0xec, 0xff}
	water = color.RGBA{0x6f, 0xc3, 0xd0, 0xff}
)

// pictures are the icon, 128 pixels a side, and the logo, the same mark and the name on 250
// by 100, both as PNG.
func pictures() (icon, logo []byte, err error) {
	square := image.NewRGBA(image.Rect(0, 0, 128, 128))
	mark(square, 0, 0, 128)
	wide := image.NewRGBA(image.Rect(0, 0, 250, 100))
	panel(wide, 0, 0, 250, 100, 16)
	mark(wide, 4, 4, 92)
	if err := label(wide, 100, 65, 42, "Skerry"); err != nil {
		return nil, nil, err
	}
	if icon, err = encoded(square); err != nil {
		return nil, nil, err
	}
	logo, err = encoded(wide)
	return icon, logo, err
}

func encoded(img image.Image) ([]byte, error) {
	var b bytes.Buffer
	err := png.Encode(&b, img)
	return b.Bytes(), err
}

// mark draws a rock above the water, in units of a 32nd of its size.
func mark(dst draw.Image, x, y, size float32) {
	u := size / 32
	panel(dst, x, y, size, size, 6*u)
	fill(dst, rock, func(p *vector.Rasterizer) {
		p.MoveTo(x+5*u, y+21*u)
		for _, at := range [][2]float32{{11, 12}, {14, 16}, {19, 7}, {27, 21}} {
			p.LineTo(x+at[0]*u, y+at[1]*u)
		}
	})
	const steps = 96 // of a line of two waves
	level := func(i int) (float32, float32) {
		t := float64(i) / steps
		return x + float32(4+24*t)*u, y + float32(25-1.3*math.Sin(4*math.Pi*t))*u
	}
	fill(dst, water, func(p *vector.Rasterizer) {
		for i := range steps + 1 {
			if at, h := level(i); i == 0 {
				p.MoveTo(at, h-u)
			} else {
				p.LineTo(at, h-u)
			}
		}
		for i := steps; i >= 0; i-- {
			at, h := level(i)
			p.LineTo(at, h+u)
		}
	})
}

// panel draws a rectangle with round corners.
func panel(dst draw.Image, x, y, w, h, r float32) {
	const k = 0.4477 // of a circle's quarter as a cubic curve, from its corner
	fill(dst, night, func(p *vector.Rasterizer) {
		p.MoveTo(x+r, y)
		p.LineTo(x+w-r, y)
		p.CubeTo(x+w-k*r, y, x+w, y+k*r, x+w, y+r)
		p.LineTo(x+w, y+h-r)
		p.CubeTo(x+w, y+h-k*r, x+w-k*r, y+h, x+w-r, y+h)
		p.LineTo(x+r, y+h)
		p.CubeTo(x+k*r, y+h, x, y+h-k*r, x, y+h-r)
		p.LineTo(x, y+r)
		p.CubeTo(x, y+k*r, x+k*r, y, x+r, y)
	})
}

func fill(dst draw.Image, c color.Color, path func(*vector.Rasterizer)) {
	b := dst.Bounds()
	p := vector.NewRasterizer(b.Dx(), b.Dy())
	path(p)
	p.ClosePath()
	p.Draw(dst, b, image.NewUniform(c), image.Point{})
}

// label writes a text whose line begins at x, y.
func label(dst draw.Image, x, y int, size float64, text string) error {
	bold, err := opentype.Parse(gobold.TTF)
	if err != nil {
		return fmt.Errorf("the font of the logo: %w", err)
	}
	face, err := opentype.NewFace(bold, &opentype.FaceOptions{Size: size, DPI: 72})
	if err != nil {
		return fmt.Errorf("the font of the logo: %w", err)
	}
	defer face.Close()
	(&font.Drawer{Dst: dst, Src: image.NewUniform(rock), Face: face, Dot: fixed.P(x, y)}).DrawString(text)
	return nil
}
