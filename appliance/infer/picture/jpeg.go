package picture

import (
	"bytes"
	"encoding/binary"
	"fmt"
)

// A JPEG may come in passes over all of it, which cost the decoder time however few bytes they
// have, and a progressive one keeps all coefficients between them.
const (
	maxScans        = 100
	maxCoefficients = 2 * maxMemory
)

// checkJPEG refuses a JPEG that takes far more to decode than its pixels say. It walks over the
// markers as the decoder does (ITU-T T.81, annex B).
func checkJPEG(data []byte, size Size) error {
	scans := 0
	for at := 2; ; {
		next := bytes.IndexByte(data[at:], 0xff)
		if at += next; next < 0 || at+4 > len(data) {
			return nil
		}
		marker := data[at+1]
		switch {
		case marker == 0xff: // which fills
			at++
			continue
		case marker <= 0x01 || marker >= 0xd0 && marker <= 0xd8: // nothing follows
			at += 2
			continue
		case marker == 0xd9:
			return nil
		}
		end := at + 2 + int(binary.BigEndian.Uint16(data[at+2:]))
		if end < at+4 || end > len(data) {
			return nil // the decoder says what is wrong with it
		}
		switch marker {
		case 0xda:
			if scans++; scans > maxScans {
				return fmt.Errorf("the image is a JPEG of over %d scans: save it anew", maxScans)
			}
		case 0xc2:
			if err := size.check(coefficients(data[at+4:end]), maxCoefficients); err != nil {
				return err
			}
		}
		at = end
	}
}

// coefficients are the bytes that a pixel of a progressive JPEG takes as it is decoded, by its
// frame header: four of a coefficient and one of the sample, as often as its components say.
func coefficients(frame []byte) int {
	sum, most := 0, [2]int{1, 1}
	for i := 6; i+2 < len(frame); i += 3 {
		h, v := int(frame[i+1]>>4), int(frame[i+1]&15)
		sum, most[0], most[1] = sum+h*v, max(most[0], h), max(most[1], v)
	}
	each := most[0] * most[1]
	return max(1, (5*sum+each-1)/each)
}
