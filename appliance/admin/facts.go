package admin

import (
	"fmt"
	"strings"
	"time"

	"skerry/appliance/infer"
	"skerry/appliance/status"
)

// Facts are what there is to say of a session beside its messages, each with what it is
// about.
func (s Session) Facts(now time.Time) [][2]string {
	state := s.State
	if s.Unfinished && state != "decoding" {
		state += ", with an answer that is not finished"
	}
	kept := "no, it ends with its answer"
	if s.Kept {
		kept = "yes"
		if s.Bytes > 0 {
			kept += ", " + status.Bytes(s.Bytes)
		}
	}
	return [][2]string{
		{"session", s.ID}, {"state", state}, {"model", s.Model}, {"mode", s.Mode}, {"client", s.Client}, {"tokens", fmt.Sprint(s.Tokens)},
		{"kept", kept}, {"begun", status.Since(s.Created, now)}, {"last used", status.Since(s.Updated, now)},
	}
}

// gistLength is how much of a message its gist has, in characters.
const gistLength = 64

// Gist is a message in one line, behind who said it.
func Gist(m infer.Message) string {
	text := strings.Repeat("[image] ", len(m.Images)) + strings.Join(strings.Fields(m.Content), " ")
	for _, c := range m.ToolCalls {
		text += fmt.Sprintf(" [calls %s(%s)]", c.Name, c.Arguments)
	}
	if r := []rune(text); len(r) > gistLength {
		text = strings.TrimSpace(string(r[:gistLength-1])) + "…"
	}
	return fmt.Sprintf("%-10s %s", status.Printable(m.Role)+":", status.Printable(strings.TrimSpace(text)))
}
