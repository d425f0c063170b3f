package gpu

import (
	"fmt"
	"strconv"
)

// Layers is how many layers of a model are put on a GPU, the last ones first: its blocks, and
// its head as one more.
type Layers int

// Auto is as many as the GPU has memory for, and All is every one. Where the GPU has no room for
// so many there are fewer.
const (
	Auto Layers = -1
	All  Layers = 1 << 16
)

// UnmarshalText reads auto, all or a number.
func (l *Layers) UnmarshalText(text []byte) error {
	switch s := string(text); s {
	case "auto":
		*l = Auto
	case "all":
		*l = All
	default:
		n, err := strconv.Atoi(s)
		if err != nil || n < 0 || n >= int(All) {
			return fmt.Errorf("%q is no number of layers: give auto, all, or a number from 0 on", s)
		}
		*l = Layers(n)
	}
	return nil
}

// MarshalText is String.
func (l Layers) MarshalText() ([]byte, error) { return []byte(l.String()), nil }

func (l Layers) String() string {
	switch {
	case l < 0:
		return "auto"
	case l >= All:
		return "all"
	}
	return strconv.Itoa(int(l))
}

// Sizes are what a stage takes, in bytes.
type Sizes struct {
	Blocks  []int64 // weights of each
	Head    int64   // weights behind the last block
	KV      int64   // of one block
	Scratch int64   // of what its passes compute in
	// Logits are computed in beside Scratch where the head is on the GPU.
	Logits int64
}

// Take is what so many layers take.
func (s Sizes) Take(layers int) int64 {
	if layers <= 0 {
		return 0
	}
	n := s.Scratch
	for i := range min(layers, len(s.Blocks)) {
		n += s.Blocks[len(s.Blocks)-1-i] + s.KV
	}
	if layers > len(s.Blocks) {
		n += s.Head + s.Logits
	}
	return n
}

// Fit is how many of the layers that are wanted have room in so many free bytes. A sixteenth is
// left for what the libraries of a GPU take beside.
func (s Sizes) Fit(want Layers, free int64) int {
	n := len(s.Blocks) + 1
	if want >= 0 {
		n = min(n, int(want))
	}
	for n > 0 && s.Take(n) > free-free/16 {
		n--
	}
	return n
}
