package picture

import (
	"bytes"
	"errors"
	"io"

	"golang.org/x/image/riff"
	"golang.org/x/image/vp8"
	"golang.org/x/image/vp8l"
)

// largest is the size of a WebP file or of a frame in it, whichever is larger: the decoder
// believes the frame.
func largest(data []byte, size Size) (Size, error) {
	_, chunks, err := riff.NewReader(bytes.NewReader(data))
	for err == nil {
		var id riff.FourCC
		var length uint32
		var chunk io.Reader
		if id, length, chunk, err = chunks.Next(); err != nil {
			break
		}
		var frame Size
		switch string(id[:]) {
		case "VP8 ":
			d := vp8.NewDecoder()
			d.Init(chunk, int(length))
			var h vp8.FrameHeader
			h, err = d.DecodeFrameHeader()
			frame = Size{h.Width, h.Height}
		case "VP8L":
			c, wrong := vp8l.DecodeConfig(chunk)
			frame, err = Size{c.Width, c.Height}, wrong
		}
		size = Size{max(size.Width, frame.Width), max(size.Height, frame.Height)}
	}
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return size, err
}
