package fields

import "strings"

// The fields of images are done where the model has a projector; every other model refuses an
// image by the field that it is in.

// Two images of four pixels, as clients write them.
const (
	pictureIs    = "data:image/png;base64,"
	picture      = pictureIs + "iVBORw0KGgoAAAANSUhEUgAAAAIAAAACCAAAAABX3VL4AAAAC0lEQVR4nGNgAAEAAAYAAf6MZ8gAAAAASUVORK5CYII="
	otherPicture = pictureIs + "iVBORw0KGgoAAAANSUhEUgAAAAIAAAACCAAAAABX3VL4AAAADklEQVR4nGP4/5/h/38AC/oD/eAlihAAAAAASUVORK5CYII="
)

const pictureSize = "the projector says of how many tokens an image is"

// bare is an image's base64 alone.
func bare(data string) string { return strings.TrimPrefix(data, pictureIs) }
