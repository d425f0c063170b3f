package serve

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"

	"skerry/appliance/answer"
	"skerry/appliance/decode"
)

// keeper writes the answer of a session down. After the first token that the journal
// refuses it writes no more, so that the journal holds a beginning of the answer and
// never one with a gap.
type keeper struct {
	journal Journal
	log     Log // once the question is written down
	record  Record
	begun   bool // the question is written down
	failed  error
}

// longestRecord leaves room for an answer in what the database keeps of a session
// beside its tokens.
const longestRecord = 40 << 10

// newKeeper describes the question of j for the journal. A conversation that is too
// long is kept as tokens alone.
func newKeeper(journal Journal, j *job) (*keeper, error) {
	request := j.Request
	request.Messages, request.Prompt = nil, ""
	k := &keeper{journal: journal, record: Record{
		Bundle: j.model.Info.Digest, Messages: slices.Clone(j.asked), Options: j.opt, Answer: len(j.prompt),
		Request: &request, ID: j.id, Created: j.created,
	}}
	if k.size() > longestRecord {
		k.record.Messages = nil
	}
	if k.size() > longestRecord {
		return nil, answer.Errorf(answer.BadRequest, "session", "tools and schema are too long to be kept with session %s: ask without a session", j.Session())
	}
	return k, nil
}

// conversation with its last question.
func conversation(r answer.Request) []answer.Message {
	if r.Prompt == "" {
		return slices.Clone(r.Messages)
	}
	return append(slices.Clone(r.Messages), answer.Message{Role: "user", Content: r.Prompt})
}

func (k *keeper) size() int {
	b, err := json.Marshal(k.record)
	if err != nil {
		return longestRecord + 1
	}
	return len(b)
}

// begin writes the question down.
func (k *keeper) begin(j *job) error {
	k.begun = true
	if k.log, k.failed = k.journal.Open(j.Session(), true); k.failed == nil {
		k.failed = k.log.Begin(k.record, j.prompt)
	}
	return k.failed
}

func (k *keeper) say(pos int, id int32) error {
	if k.failed != nil {
		return nil // it was told
	}
	k.failed = k.log.Say(pos, id)
	return k.failed
}

// finishes are the ends that the journal tells apart from a cut.
var finishes = map[answer.Finish]decode.Finish{
	answer.Stop: decode.FinishStop, answer.ToolCalls: decode.FinishStop, answer.Length: decode.FinishLength,
	answer.Cancelled: decode.FinishCancel, answer.Failed: "error",
}

// end writes down how the answer ended. One that was cut stays open, to be gone on
// with.
func (k *keeper) end(j *job, e answer.Event) error {
	if k.failed != nil || !k.begun {
		return nil
	}
	var told *answer.Error
	if errors.As(e.Err, &told) && (told.Code == answer.Stopping || told.Code == answer.Unavailable) {
		return k.save()
	}
	k.record.Finish = finishes[e.Finish]
	if k.record.Messages != nil {
		k.record.Messages = append(k.record.Messages, j.message())
		if k.size() > longestRecord+16<<10 {
			k.record.Messages = nil
		}
	}
	return k.save()
}

func (k *keeper) save() error {
	k.failed = k.log.Save(k.record)
	return k.failed
}

// message is the answer as a turn of the conversation.
func (j *job) message() answer.Message {
	m := answer.Message{Role: "assistant"}
	var text strings.Builder
	for _, s := range j.log.look().tokens {
		text.WriteString(s.text)
		for _, d := range s.calls {
			for len(m.ToolCalls) <= d.Index {
				m.ToolCalls = append(m.ToolCalls, answer.ToolCall{})
			}
			c := &m.ToolCalls[d.Index]
			c.ID, c.Name = c.ID+d.ID, c.Name+d.Name
			c.Arguments = append(c.Arguments, d.Arguments...)
		}
	}
	m.Content = text.String()
	return m
}
