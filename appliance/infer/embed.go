package infer

import (
	"context"
	"math"
	"time"
)

// Embedder is what a Backend may be beside: it makes vectors of texts, by the hidden states
// of the model. Errors are *Error.
type Embedder interface {
	Embed(ctx context.Context, r EmbedRequest) (Embeddings, error)
}

// EmbedRequest asks for a vector of each of its texts.
type EmbedRequest struct {
	// Model by name, "" for the one that is loaded.
	Model string
	// Client names who asks, as in Request.
	Client string
	Texts  []EmbedText
	// Dimensions are how many of a vector's numbers are wanted, its first, scaled to length 1
	// again; 0: all.
	Dimensions int
	// Truncate leaves out the end of a text that does not fit the context, which else is
	// TooLong.
	Truncate bool
}

// EmbedText is a text, or its tokens as they are.
type EmbedText struct {
	Text   string
	Tokens []int32
}

// Embeddings are the vectors, in the order of the texts.
type Embeddings struct {
	Model   string
	Vectors [][]float32 // [n_texts][dimensions], each of length 1
	Pooling string      // how they were made of hidden states
	Tokens  int         // of all texts, as they were computed
	// Truncated are the texts of which only the beginning was computed, by number.
	Truncated   []int
	Load, Total time.Duration // waited for the model, and in all
}

// Unit is a vector scaled to length 1, and the length that it had. It is nil where that was 0
// or is no number.
func Unit[N float32 | float64](v []N) (unit []float32, length float64) {
	for _, x := range v {
		length += float64(x) * float64(x)
	}
	length = math.Sqrt(length)
	if length == 0 || math.IsNaN(length) || math.IsInf(length, 0) {
		return nil, length
	}
	unit = make([]float32, len(v))
	for i, x := range v {
		unit[i] = float32(float64(x) / length)
	}
	return unit, length
}
