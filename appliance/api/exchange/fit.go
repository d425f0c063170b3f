package exchange

import (
	"context"
	"errors"
	"fmt"
	"unicode/utf8"

	"skerry/appliance/infer"
)

// mostCuts is how often a request is counted to find what fits.
const mostCuts = 12

// Fit leaves out the beginning of what does not fit into the context: the oldest messages
// but those of the system, or the front of a prompt. It says in a note what went.
func (s *Server) Fit(ctx context.Context, r *infer.Request) (note string, err error) {
	if err := s.ReadImages(r); err != nil { // which count
		return "", err
	}
	all, prompt, gone := r.Messages, r.Prompt, 0
	for range mostCuts {
		_, err := s.Count(ctx, *r)
		var long *infer.Error
		if !errors.As(err, &long) || long.Code != infer.TooLong {
			return note, err
		}
		share := 0.5
		if long.Tokens > 0 {
			share = 0.9 * float64(long.Context) / float64(long.Tokens)
		}
		if len(all) == 0 {
			n := int(float64(len(r.Prompt)) * share)
			for n > 0 && !utf8.RuneStart(r.Prompt[len(r.Prompt)-n]) {
				n--
			}
			if n == 0 {
				return "", err
			}
			r.Prompt = r.Prompt[len(r.Prompt)-n:]
			note = fmt.Sprintf("the prompt did not fit: its first %d bytes were left out", len(prompt)-n)
			continue
		}
		more := max(1, int(float64(len(r.Messages))*(1-share)/2))
		if r.Messages = without(all, gone+more); len(r.Messages) == len(all)-gone {
			return "", err // only the last is left
		}
		gone = len(all) - len(r.Messages)
		note = fmt.Sprintf("the conversation did not fit: its oldest %d messages were left out", gone)
	}
	_, err = s.Count(ctx, *r)
	return note, err
}

// without the n oldest messages that are not the system's; the last one stays.
func without(all []infer.Message, n int) (left []infer.Message) {
	for i, m := range all {
		if n > 0 && m.Role != "system" && i < len(all)-1 {
			n--
			continue
		}
		left = append(left, m)
	}
	return left
}
