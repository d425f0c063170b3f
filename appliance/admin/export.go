package admin

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"
)

// Format of an exported session.
type Format string

// The formats.
const (
	JSONLines Format = "jsonl"    // a line for the session, and one for each message
	Markdown  Format = "markdown" // a transcript to be read
)

// ParseFormat takes "" for JSONLines.
func ParseFormat(s string) (Format, error) {
	switch f := Format(s); f {
	case "":
		return JSONLines, nil
	case JSONLines, Markdown:
		return f, nil
	}
	return "", fmt.Errorf("no format %q: choose jsonl or markdown", s)
}

func (f Format) contentType() string {
	if f == Markdown {
		return "text/markdown; charset=utf-8"
	}
	return "application/jsonl"
}

// Write writes the session in this format.
func (f Format) Write(w io.Writer, s Session) error {
	if f == Markdown {
		_, err := io.WriteString(w, transcript(s))
		return err
	}
	messages := s.Messages
	s.Messages = nil
	e := json.NewEncoder(w)
	err := e.Encode(map[string]Session{"session": s})
	for _, m := range messages {
		if err == nil {
			err = e.Encode(m)
		}
	}
	return err
}

func transcript(s Session) string {
	var b strings.Builder
	fmt.Fprintf(&b, "# %s\n\n%s, %d tokens, %s to %s\n", s.ID, s.Model, s.Tokens,
		s.Created.UTC().Format(time.DateTime), s.Updated.UTC().Format(time.DateTime))
	for _, m := range s.Messages {
		who := m.Role
		if m.Name != "" {
			who += " " + m.Name
		}
		fmt.Fprintf(&b, "\n## %s\n", who)
		for _, img := range m.Images {
			fmt.Fprintf(&b, "\n(an image, sha256 %.12s)\n", img.Sum)
		}
		if text := strings.TrimSpace(m.Content); text != "" {
			fmt.Fprintf(&b, "\n%s\n", text)
		}
		for _, c := range m.ToolCalls {
			fmt.Fprintf(&b, "\n    %s(%s)\n", c.Name, c.Arguments)
		}
	}
	if s.Unfinished {
		b.WriteString("\n(the answer is not finished)\n")
	}
	return b.String()
}
