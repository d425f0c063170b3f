package systemd

import (
	"context"
	"log/slog"
	"maps"
	"strings"

	"github.com/coreos/go-systemd/v22/journal"
)

// UnderJournal reports whether stderr goes to the journal, so that records can go
// there with fields instead.
func UnderJournal() bool {
	ok, err := journal.StderrIsJournalStream()
	return err == nil && ok
}

// JournalHandler writes slog records to the journal, each attribute as a field
// SKERRY_NAME beside the message.
type JournalHandler struct {
	level  slog.Leveler
	prefix string // of groups
	fields map[string]string
	text   string // of the fields, for the message
	send   func(message string, p journal.Priority, fields map[string]string) error
}

// NewJournalHandler writes records from level on.
func NewJournalHandler(level slog.Leveler) *JournalHandler {
	return &JournalHandler{level: level, send: journal.Send}
}

// Enabled reports whether a level is written.
func (h *JournalHandler) Enabled(_ context.Context, l slog.Level) bool { return l >= h.level.Level() }

// Handle writes one record: message and attributes as one line, and as fields.
func (h *JournalHandler) Handle(_ context.Context, r slog.Record) error {
	fields := maps.Clone(h.fields)
	if fields == nil {
		fields = map[string]string{}
	}
	text := r.Message + h.text
	r.Attrs(func(a slog.Attr) bool {
		text += h.put(fields, a)
		return true
	})
	return h.send(text, priority(r.Level), fields)
}

// put adds an attribute to fields and returns it as text.
func (h *JournalHandler) put(fields map[string]string, a slog.Attr) string {
	v := a.Value.Resolve()
	if a.Key == "" || v.Kind() == slog.KindGroup && len(v.Group()) == 0 {
		return ""
	}
	if v.Kind() == slog.KindGroup {
		text := ""
		inner := &JournalHandler{prefix: h.prefix + a.Key + "_"}
		for _, g := range v.Group() {
			text += inner.put(fields, g)
		}
		return text
	}
	fields["SKERRY_"+fieldName(h.prefix+a.Key)] = v.String()
	return " " + h.prefix + a.Key + "=" + v.String()
}

// fieldName is a journal field's: capitals, digits and underscores.
func fieldName(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z':
			return r - 'a' + 'A'
		case r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == '_':
			return r
		}
		return '_'
	}, s)
}

// WithAttrs returns a handler that adds attrs to every record.
func (h *JournalHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	c := *h
	if c.fields = maps.Clone(h.fields); c.fields == nil {
		c.fields = map[string]string{}
	}
	for _, a := range attrs {
		c.text += h.put(c.fields, a)
	}
	return &c
}

// WithGroup returns a handler that puts name before the names that follow.
func (h *JournalHandler) WithGroup(name string) slog.Handler {
	if name == "" {
		return h
	}
	c := *h
	c.prefix += name + "_"
	return &c
}

func priority(l slog.Level) journal.Priority {
	switch {
	case l >= slog.LevelError:
		return journal.PriErr
	case l >= slog.LevelWarn:
		return journal.PriWarning
	case l >= slog.LevelInfo:
		return journal.PriInfo
	}
	return journal.PriDebug
}
