package exchange

import (
	"time"

	"skerry/appliance/infer"
)

// Progress is how far a prompt is computed, as llama.cpp's server has it: Processed of Total
// tokens, of which Cache were there before.
type Progress struct {
	Total     int   `json:"total"`
	Cache     int   `json:"cache"`
	Processed int   `json:"processed"`
	TimeMS    int64 `json:"time_ms"` // since the request came
}

// ProgressOf an event of the kind infer.Prefill.
func ProgressOf(a infer.Answer, e infer.Event) *Progress {
	return &Progress{e.Total, e.Cached, e.Done, time.Since(a.Created()).Milliseconds()}
}
