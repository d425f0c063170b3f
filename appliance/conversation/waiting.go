package conversation

import (
	"fmt"

	"skerry/appliance/infer"
	"skerry/appliance/status"
)

// longPrompt is how many tokens of a prompt are computed for an answer before it is said how far
// they are: fewer are through before that is read.
const longPrompt = 128

// waitingFor is what an event says of an answer that has not begun, "" for nothing worth a line.
func waitingFor(e infer.Event) string {
	switch {
	case e.Kind == infer.Queued && e.Queue == 0:
		return "(waiting: this request is the next)"
	case e.Kind == infer.Queued:
		return fmt.Sprintf("(waiting: %s before this one)", status.Plural(e.Queue, "request is", "requests are"))
	case e.Kind == infer.Prefill && e.Done < e.Total && e.Total-e.Cached >= longPrompt:
		return fmt.Sprintf("(reading the prompt: %d of %d tokens, %s)", e.Done, e.Total, status.Percent(float64(e.Done)/float64(e.Total)))
	}
	return ""
}
