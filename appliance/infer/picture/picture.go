// Package picture reads the images of requests: PNG, JPEG, WebP and GIF. What an image says of
// its size is checked before memory is set aside for its pixels.
package picture

import (
	"bytes"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/draw"
	_ "image/gif"
	_ "image/jpeg"
	_ "image/png"

	_ "golang.org/x/image/webp"
)

// What an image may be at most and at least. A side of one pixel has no neighbours to be
// resized between.
const (
	MaxBytes  = 20 << 20
	maxPixels = 16 << 20
	maxSide   = 1 << 14
	minSide   = 2
	// maxMemory bounds what the pixels take as they are decoded.
	maxMemory = 64 << 20
)

// formats by what they begin with.
const formats = "PNG, JPEG, WebP or GIF"

// Size of an image in pixels.
type Size struct{ Width, Height int }

// Check returns the size of an image whose pixels could be decoded as far as its header says.
// Errors are one line that says what to send instead.
func Check(data []byte) (Size, error) {
	if len(data) == 0 {
		return Size{}, fmt.Errorf("the image is empty: send the bytes of a %s file in base64", formats)
	}
	if len(data) > MaxBytes {
		return Size{}, fmt.Errorf("the image has %d bytes: send at most %d, a smaller one or a JPEG", len(data), MaxBytes)
	}
	c, kind, err := image.DecodeConfig(bytes.NewReader(data))
	if errors.Is(err, image.ErrFormat) {
		return Size{}, fmt.Errorf("the image is none that is known here: send %s", formats)
	}
	if err != nil {
		return Size{}, damaged(err)
	}
	size := Size{c.Width, c.Height}
	if kind == "webp" { // the frame inside says its size once more
		if size, err = largest(data, size); err != nil {
			return Size{}, damaged(err)
		}
	}
	if kind == "jpeg" {
		if err := checkJPEG(data, size); err != nil {
			return Size{}, err
		}
	}
	return size, size.check(bytesOf(c.ColorModel), maxMemory)
}

func damaged(err error) error {
	return fmt.Errorf("the image is damaged (%.200s): send it anew", err)
}

// check says whether pixels of so many bytes each are few enough to take at most so many in all.
func (s Size) check(each, most int) error {
	pixels := int64(s.Width) * int64(s.Height)
	switch {
	case s.Width < minSide || s.Height < minSide:
		return fmt.Errorf("the image is %d x %d pixels: send at least %d x %[4]d", s.Width, s.Height, minSide, minSide)
	case s.Width > maxSide || s.Height > maxSide || pixels > maxPixels || pixels*int64(each) > int64(most):
		return fmt.Errorf("the image is %d x %d pixels, and none was decoded: send at most %d million, and no side over %d", s.Width, s.Height, min(maxPixels, most/each)>>20, maxSide)
	}
	return nil
}

// bytesOf a pixel as the decoders keep it.
func bytesOf(m color.Model) int {
	switch m {
	case color.RGBA64Model, color.NRGBA64Model:
		return 8
	case color.Gray16Model:
		return 2
	case color.GrayModel:
		return 1
	}
	return 4
}

// Decode returns the pixels of an image, three bytes each, line by line from the top. What is
// transparent is on white. Of several frames it is the first. A JPEG is turned as its camera was.
func Decode(data []byte) (Size, []byte, error) {
	if _, err := Check(data); err != nil {
		return Size{}, nil, err
	}
	img, kind, err := image.Decode(bytes.NewReader(data))
	if err != nil {
		return Size{}, nil, damaged(err)
	}
	b := img.Bounds()
	size := Size{b.Dx(), b.Dy()}
	if err := size.check(4, maxMemory); err != nil { // a frame of another size than the file's
		return Size{}, nil, err
	}
	rgb := make([]byte, 0, 3*size.Width*size.Height)
	line := image.NewRGBA(image.Rect(0, 0, size.Width, 1))
	for y := range size.Height {
		draw.Draw(line, line.Bounds(), image.White, image.Point{}, draw.Src)
		draw.Draw(line, line.Bounds(), img, image.Pt(b.Min.X, b.Min.Y+y), draw.Over)
		for x := range size.Width {
			rgb = append(rgb, line.Pix[4*x:4*x+3]...)
		}
	}
	if kind == "jpeg" {
		size, rgb = upright(size, rgb, orientation(data))
	}
	return size, rgb, nil
}

// String is a size as people write it.
func (s Size) String() string { return fmt.Sprintf("%d x %d", s.Width, s.Height) }
