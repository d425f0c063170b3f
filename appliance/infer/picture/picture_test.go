package picture

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"image"
	"image/color"
	"image/gif"
	"image/jpeg"
	"image/png"
	"slices"
	"strings"
	"testing"
)

// drawn is an image of two colours, the lower half transparent.
func drawn() *image.NRGBA {
	m := image.NewNRGBA(image.Rect(0, 0, 6, 4))
	for y := range 4 {
		for x := range 6 {
			m.SetNRGBA(x, y, color.NRGBA{200, byte(10 * x), 50, byte(255 * (1 - y/2))})
		}
	}
	return m
}

// dot is a WebP file of 8 x 6 pixels of one colour, without loss.
const dot = "UklGRh4AAABXRUJQVlA4TBEAAAAvB0ABAAcQEREAg4j+BwAA"

func encoded(t testing.TB) map[string][]byte {
	t.Helper()
	var p, j, g bytes.Buffer
	if err := errors.Join(png.Encode(&p, drawn()), jpeg.Encode(&j, drawn(), &jpeg.Options{Quality: 100}), gif.Encode(&g, drawn(), nil)); err != nil {
		t.Fatal(err)
	}
	return map[string][]byte{"png": p.Bytes(), "jpeg": j.Bytes(), "gif": g.Bytes()}
}

func TestDecode(t *testing.T) {
	for kind, data := range encoded(t) {
		size, rgb, err := Decode(data)
		if err != nil || size != (Size{6, 4}) || len(rgb) != 72 {
			t.Errorf("%s: %v, %d bytes, %v", kind, size, len(rgb), err)
			continue
		}
		if kind == "png" {
			if top, under := rgb[3*5:3*6], rgb[3*6*2:3*6*2+3]; !bytes.Equal(top, []byte{200, 50, 50}) || !bytes.Equal(under, []byte{255, 255, 255}) {
				t.Errorf("pixels %v and %v, want what was drawn, and white under nothing", top, under)
			}
		}
	}
}

// huge is a PNG that says it is that large and holds nothing.
func huge(w, h uint32, depth, kind byte) []byte {
	b := []byte("\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR")
	b = binary.BigEndian.AppendUint32(b, w)
	b = binary.BigEndian.AppendUint32(b, h)
	b = append(b, depth, kind, 0, 0, 0)
	return binary.BigEndian.AppendUint32(b, crc32.ChecksumIEEE(b[12:]))
}

// framed is a WebP file that says it is small, with a frame in it that is not.
func framed() []byte {
	vp8l := []byte{0x2f}
	vp8l = binary.LittleEndian.AppendUint32(vp8l, 16382|16382<<14)
	b := []byte("WEBPVP8X\x0a\x00\x00\x00\x00\x00\x00\x00\x07\x00\x00\x05\x00\x00VP8L\x05\x00\x00\x00")
	b = append(b, vp8l...)
	b = append(b, 0)
	return append(binary.LittleEndian.AppendUint32([]byte("RIFF"), uint32(len(b))), b...)
}

// progressive is a JPEG that says it is that large, with components sampled so often, and holds
// nothing.
func progressive(w, h uint16, sampling ...byte) []byte {
	b := []byte{0xff, 0xd8, 0xff, 0xff, 0xc2, 0, byte(8 + 3*len(sampling)), 8}
	b = binary.BigEndian.AppendUint16(b, h)
	b = append(binary.BigEndian.AppendUint16(b, w), byte(len(sampling)))
	for i, s := range sampling {
		b = append(b, byte(i+1), s, 0)
	}
	return append(b, 0xff, 0xda, 0, 2)
}

// inScans is a JPEG that is told so many times, one over the other.
func inScans(t testing.TB, n int) []byte {
	data := encoded(t)["jpeg"]
	at := bytes.Index(data, []byte{0xff, 0xda})
	end := len(data) - 2
	return slices.Concat(data[:at], bytes.Repeat(data[at:end], n), data[end:])
}

// Usual JPEGs that come in passes are taken.
func TestJPEGsInPasses(t *testing.T) {
	if size, _, err := Decode(inScans(t, maxScans)); err != nil || size != (Size{6, 4}) {
		t.Errorf("%v %v", size, err)
	}
	for _, data := range [][]byte{progressive(4096, 4096, 0x22, 0x11, 0x11), progressive(3200, 2400, 0x11, 0x11, 0x11), progressive(4096, 4096, 0x11)} {
		if size, err := Check(data); err != nil || size.Width < 3200 {
			t.Errorf("%v %v", size, err)
		}
	}
}

func TestRefused(t *testing.T) {
	for _, c := range []struct {
		name string
		data []byte
		want string
	}{
		{"nothing", nil, "empty"},
		{"text", []byte("hello"), "none that is known here: send PNG, JPEG, WebP or GIF"},
		{"many bytes", make([]byte, MaxBytes+1), "at most 20971520"},
		{"a bomb", huge(60000, 60000, 8, 2), "60000 x 60000 pixels, and none was decoded: send at most 16 million"},
		{"a long one", huge(20000, 10, 8, 2), "no side over 16384"},
		{"a deep one", huge(4000, 4000, 16, 6), "at most 8 million"},
		{"a line", huge(100, 1, 8, 2), "at least 2 x 2"},
		{"cut off", encoded(t)["png"][:60], "damaged"},
		{"a JPEG of many scans", inScans(t, maxScans+1), "over 100 scans: save it anew"},
		{"a JPEG of many coefficients", progressive(4096, 4096, 0x11, 0x11, 0x11), "4096 x 4096 pixels, and none was decoded: send at most 8 million"},
		{"a JPEG of many components", progressive(4096, 4096, 0x22, 0x11, 0x11, 0x22), "at most 9 million"},
		{"a frame that is larger", framed(), "16383 x 16383"},
	} {
		_, _, err := Decode(c.data)
		if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
	}
}

// Whatever comes is an image or one line of what is wrong with it.
func FuzzDecode(f *testing.F) {
	for _, data := range encoded(f) {
		f.Add(data)
	}
	f.Add(framed())
	f.Add(inScans(f, 2))
	f.Add(held(f, 6, binary.BigEndian))
	f.Add(progressive(8, 8, 0x11))
	f.Add(huge(60000, 60000, 8, 2))
	if b, err := base64.StdEncoding.DecodeString(dot); err == nil {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		size, rgb, err := Decode(data)
		if err == nil && (len(rgb) != 3*size.Width*size.Height || len(rgb) == 0) {
			t.Errorf("%v, %d bytes, %v", size, len(rgb), err)
		}
	})
}
