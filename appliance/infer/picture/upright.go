package picture

import (
	"bytes"
	"encoding/binary"
)

// Cameras write pixels as the sensor has them, and beside them how the camera was held. It is
// the tag 0x0112 of Exif (JEITA CP-3451, section 4.6.4), from 1, upright, to 8.
const orientationTag = 0x0112

// orientation of a JPEG, 1 where it says none that is known.
func orientation(data []byte) int {
	for at := 2; at+4 <= len(data) && data[at] == 0xff; {
		marker, end := data[at+1], at+2+int(binary.BigEndian.Uint16(data[at+2:]))
		if marker == 0xda || marker < 0xc0 || end > len(data) || end < at+4 {
			break
		}
		if exif, ok := bytes.CutPrefix(data[at+4:end], []byte("Exif\x00\x00")); ok && marker == 0xe1 {
			return exifOrientation(exif)
		}
		at = end
	}
	return 1
}

// exifOrientation finds the tag among those of the first directory of a TIFF.
func exifOrientation(tiff []byte) int {
	var order binary.ByteOrder = binary.LittleEndian
	if len(tiff) < 8 {
		return 1
	}
	if tiff[0] == 'M' {
		order = binary.BigEndian
	}
	first := int64(order.Uint32(tiff[4:]))
	if first+2 > int64(len(tiff)) {
		return 1
	}
	n, entries := int(order.Uint16(tiff[first:])), tiff[first+2:]
	for i := 0; i < n && len(entries) >= 12*(i+1); i++ {
		if e := entries[12*i:]; order.Uint16(e) == orientationTag {
			if o := int(order.Uint16(e[8:])); o >= 1 && o <= 8 {
				return o
			}
		}
	}
	return 1
}

// upright turns the pixels of an image to how they are meant to be seen.
func upright(size Size, rgb []byte, orientation int) (Size, []byte) {
	if orientation == 1 {
		return size, rgb
	}
	to := size
	if orientation >= 5 {
		to = Size{size.Height, size.Width}
	}
	out := make([]byte, 0, len(rgb))
	right, bottom := size.Width-1, size.Height-1
	for y := range to.Height {
		for x := range to.Width {
			column, row := x, y // where the pixel was written
			switch orientation {
			case 2:
				column = right - x
			case 3:
				column, row = right-x, bottom-y
			case 4:
				row = bottom - y
			case 5:
				column, row = y, x
			case 6:
				column, row = y, bottom-x
			case 7:
				column, row = right-y, bottom-x
			case 8:
				column, row = right-y, x
			}
			at := 3 * (row*size.Width + column)
			out = append(out, rgb[at:at+3]...)
		}
	}
	return to, out
}
