package server

import (
	"cmp"
	"encoding/json"
	"errors"
	"slices"
	"strings"

	"skerry/appliance/infer"
)

// journalWriter writes the answer of a session to the journal. After the first token that
// the journal refuses it writes no more, so that the journal holds a beginning of the answer and
// never one with a gap.
type journalWriter struct {
	journal Journal
	log     Log // once the question is written down
	record  Record
	begun   bool // the question is written down
	failed  error
	// keepUndelivered is Options.Undelivered.
	keepUndelivered bool
}

// longestRecord leaves room for an answer in what the database keeps of a session
// beside its tokens.
const longestRecord = 40 << 10

// newJournalWriter describes the question of j for the journal. A conversation that is too
// long is kept as tokens alone, or refused where an undelivered answer is kept, which is
// found by its question.
func newJournalWriter(journal Journal, j *job, keepUndelivered bool) (*journalWriter, error) {
	request := j.Request
	request.Messages, request.Prompt, request.Suffix, request.PromptTokens = nil, "", "", nil // the journal has the tokens
	request.Unnamed, request.Follows, request.KeepAlive = false, "", nil
	request.Model = cmp.Or(request.Model, j.Model())
	w := &journalWriter{journal: journal, keepUndelivered: keepUndelivered, record: Record{
		Bundle: j.model.Info.Digest, Messages: slices.Clone(j.asked), Options: j.opt, Answer: len(j.prompt),
		Request: &request, ID: j.id, Created: j.created, Owner: cmp.Or(j.owner, thisMachine),
	}}
	asked := w.record.Messages
	if w.size() > longestRecord {
		w.record.Messages = nil
	}
	if w.size() > longestRecord {
		return nil, infer.Errorf(infer.BadRequest, "session", "tools and schema are too long to be kept with session %s: ask without a session", j.Session())
	}
	if (keepUndelivered || infer.HasImages(asked)) && w.record.Messages == nil && len(asked) > 0 { // an image is found again by its message
		return nil, infer.Errorf(infer.BadRequest, "session", "session %s: the conversation is too long to be kept: begin another session", j.Session())
	}
	return w, nil
}

// conversation with its last question.
func conversation(r infer.Request) []infer.Message {
	if r.Prompt == "" {
		return slices.Clone(r.Messages)
	}
	return append(slices.Clone(r.Messages), infer.Message{Role: "user", Content: r.Prompt})
}

func (w *journalWriter) size() int {
	b, err := json.Marshal(w.record)
	if err != nil {
		return longestRecord + 1
	}
	return len(b)
}

// begin writes the question down.
func (w *journalWriter) begin(j *job) error {
	w.begun = true
	if w.log, w.failed = w.journal.Open(j.Session(), true); w.failed == nil {
		w.failed = w.log.Begin(w.record, j.prompt)
	}
	return w.failed
}

func (w *journalWriter) say(pos int, id int32) error {
	if w.failed != nil {
		return nil // the error was returned before
	}
	w.failed = w.log.Say(pos, id)
	return w.failed
}

// delivered notes that all of a whole answer was written to its reader.
func (w *journalWriter) delivered() error {
	if w.failed != nil || !w.record.Undelivered {
		return nil
	}
	w.record.Undelivered = false
	if !w.record.answered() {
		w.record.Messages = nil
	}
	return w.log.Note(w.record)
}

// finishes are the ends that the journal tells apart from a cut.
var finishes = map[infer.Finish]infer.Finish{
	infer.Stop: infer.Stop, infer.ToolCalls: infer.Stop, infer.Length: infer.Length,
	infer.Cancelled: infer.Cancelled, infer.Failed: "error",
}

// end writes down how the answer ended. One that was cut stays open, to be gone on
// with.
func (w *journalWriter) end(j *job, e infer.Event) error {
	if w.failed != nil || !w.begun {
		return nil
	}
	var failure *infer.Error
	if errors.As(e.Err, &failure) && (failure.Code == infer.Stopping || failure.Code == infer.Unavailable) {
		return w.save()
	}
	w.record.Finish = finishes[e.Finish]
	w.record.Undelivered = w.keepUndelivered && (w.record.Finish == infer.Stop || w.record.Finish == infer.Length)
	if asked := w.record.Messages; asked != nil {
		w.record.Messages = append(slices.Clip(asked), j.message())
		if w.size() > longestRecord+16<<10 {
			w.record.Messages = nil
			if w.record.Undelivered { // who asks for it again does so by its question
				w.record.Messages = asked
			}
		}
	}
	return w.save()
}

func (w *journalWriter) save() error {
	w.failed = w.log.Save(w.record)
	return w.failed
}

// message is the answer as a turn of the conversation.
func (j *job) message() infer.Message {
	var text strings.Builder
	var calls []infer.CallDelta
	for _, s := range j.log.view().tokens {
		text.WriteString(s.text)
		calls = append(calls, s.calls...)
	}
	return AnswerMessage(text.String(), calls)
}

// AnswerMessage is an answer of so much text, and of calls in pieces, as a turn of the
// conversation.
func AnswerMessage(text string, calls []infer.CallDelta) infer.Message {
	m := infer.Message{Role: "assistant", Content: text}
	for _, d := range calls {
		for len(m.ToolCalls) <= d.Index {
			m.ToolCalls = append(m.ToolCalls, infer.ToolCall{})
		}
		c := &m.ToolCalls[d.Index]
		c.ID, c.Name = c.ID+d.ID, c.Name+d.Name
		c.Arguments = append(c.Arguments, d.Arguments...)
	}
	for i := range m.ToolCalls { // one that was cut is kept as the text that it is
		if c := &m.ToolCalls[i]; !json.Valid(c.Arguments) {
			c.Arguments, _ = json.Marshal(string(c.Arguments))
		}
	}
	return m
}
