package picture

import (
	"bytes"
	"encoding/binary"
	"image"
	"image/color"
	"image/jpeg"
	"slices"
	"testing"
)

// held is a JPEG of 32 x 16 pixels, red at the top left and green at the top right as it is
// written, by a camera that was held so.
func held(t testing.TB, orientation uint16, order binary.AppendByteOrder) []byte {
	t.Helper()
	m := image.NewRGBA(image.Rect(0, 0, 32, 16))
	for i := range m.Pix {
		m.Pix[i] = 255
	}
	for y := range 8 {
		for x := range 8 {
			m.SetRGBA(x, y, color.RGBA{255, 0, 0, 255})
			m.SetRGBA(31-x, y, color.RGBA{0, 255, 0, 255})
		}
	}
	var b bytes.Buffer
	if err := jpeg.Encode(&b, m, nil); err != nil {
		t.Fatal(err)
	}
	tiff := []byte("II*\x00")
	if order == binary.AppendByteOrder(binary.BigEndian) {
		tiff = []byte("MM\x00*")
	}
	tiff = order.AppendUint32(tiff, 8)
	tiff = order.AppendUint16(tiff, 2)
	for _, tag := range [][2]uint16{{0x0100, 7}, {orientationTag, orientation}} {
		tiff = order.AppendUint16(order.AppendUint16(tiff, tag[0]), 3)
		tiff = order.AppendUint16(order.AppendUint16(order.AppendUint32(tiff, 1), tag[1]), 0)
	}
	exif := append([]byte("Exif\x00\x00"), tiff...)
	head := binary.BigEndian.AppendUint16([]byte{0xff, 0xd8, 0xff, 0xe1}, uint16(2+len(exif)))
	return slices.Concat(head, exif, b.Bytes()[2:])
}

// Whichever way a camera was held, its image is upright, as browsers show it.
func TestUpright(t *testing.T) {
	const topLeft, topRight, bottomLeft, bottomRight = 0, 1, 2, 3
	for i, want := range []struct{ red, green int }{
		{topLeft, topRight}, {topRight, topLeft}, {bottomRight, bottomLeft}, {bottomLeft, bottomRight},
		{topLeft, bottomLeft}, {topRight, bottomRight}, {bottomRight, topRight}, {bottomLeft, topLeft},
	} {
		for _, order := range []binary.AppendByteOrder{binary.LittleEndian, binary.BigEndian} {
			size, rgb, err := Decode(held(t, uint16(i+1), order))
			if wide := i < 4; err != nil || (size == Size{32, 16}) != wide || (size == Size{16, 32}) == wide {
				t.Errorf("%d: %v %v", i+1, size, err)
				continue
			}
			for corner, at := range [][2]int{{2, 2}, {size.Width - 3, 2}, {2, size.Height - 3}, {size.Width - 3, size.Height - 3}} {
				p := rgb[3*(at[1]*size.Width+at[0]):]
				if red, green := p[1] < 100, p[0] < 100; red != (corner == want.red) || green != (corner == want.green) {
					t.Errorf("%d: corner %d is %v", i+1, corner, p[:3])
				}
			}
		}
	}
	for _, data := range [][]byte{held(t, 0, binary.LittleEndian), held(t, 9, binary.BigEndian)} {
		if size, _, err := Decode(data); err != nil || size != (Size{32, 16}) {
			t.Errorf("%v %v", size, err)
		}
	}
}
