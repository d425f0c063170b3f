package pagetest

import (
	"bytes"
	"image"
	"image/color"
	"image/png"
	"testing"
)

// The colour of one word stays what it is beside hundreds of others that are more frequent.
func TestSmallerKeepsRareColours(t *testing.T) {
	picture := image.NewRGBA(image.Rect(0, 0, 300, 100))
	for x := range 300 {
		for y := range 100 {
			picture.SetRGBA(x, y, color.RGBA{uint8(x / 2), uint8(x / 2), uint8(y), 255}) // as the edges of letters
		}
	}
	rare := map[image.Point]color.RGBA{{7, 7}: {149, 78, 0, 255}, {8, 7}: {106, 58, 162, 255}, {9, 7}: {142, 37, 96, 255}}
	for at, c := range rare {
		picture.SetRGBA(at.X, at.Y, c)
	}
	var b bytes.Buffer
	if err := png.Encode(&b, picture); err != nil {
		t.Fatal(err)
	}
	small, err := png.Decode(bytes.NewReader(smaller(t, b.Bytes())))
	if err != nil {
		t.Fatal(err)
	}
	for at, c := range rare {
		if got := color.RGBAModel.Convert(small.At(at.X, at.Y)).(color.RGBA); distance(got, c) >= apart {
			t.Errorf("%v became %v", c, got)
		}
	}
}
