package server

import (
	"cmp"
	"encoding/json"
	"errors"
	"strings"
	"time"

	"skerry/appliance/decode"
	"skerry/appliance/infer"
)

// ErrNoSession is returned by a Journal for a session that it does not have.
var ErrNoSession = errors.New("no such session")

// Journal keeps sessions over restarts. Errors of a disk that is full concern the
// commit alone: what was written stays in memory and is tried again.
type Journal interface {
	// Open returns the session's log; with create it is made where there is none,
	// without it that is ErrNoSession.
	Open(session string, create bool) (Log, error)
	// List returns the sessions that q chooses, the newest first, and counts all of those
	// that q.By may see. It reads no conversation for that.
	List(q Query) ([]Summary, Counts)
	// Summary of one session, false where there is none.
	Summary(session string) (Summary, bool)
	Delete(session string) error
	// Sync returns when everything is in the file.
	Sync() error
	// Err is why the last commit failed, nil once one has succeeded again.
	Err() error
}

// Log is the journal of one session: its tokens by position, and the Record of
// the answer at their end.
type Log interface {
	Record() (Record, error)
	Tokens() ([]int32, error)
	// Begin writes down, durably, a question with its prompt. At no point of it does
	// the file hold one answer's record with another's tokens.
	Begin(r Record, prompt []int32) error
	// Say appends a token at its position.
	Say(pos int, id int32) error
	// Save replaces the record, durably; Note does so with the next commit.
	Save(r Record) error
	Note(r Record) error
}

// Query chooses sessions of the journal.
type Query struct {
	By    infer.By
	After Place // the list goes on behind it; zero: it begins with the newest
	Limit int   // 0: no limit
}

// Place is where a session stands in the list: behind those that were changed later, and
// of those that were changed at one time behind the ids before its own.
type Place struct {
	Updated time.Time
	ID      string
}

// Counts of sessions.
type Counts struct {
	Total, Unfinished int
}

// Summary is a session of the journal as lists show it, without its conversation.
type Summary struct {
	ID                          string
	Owner, Client, Model, Title string
	Bundle, Mode                string
	Tokens                      int
	Bytes                       int64
	Created, Updated            time.Time
	Unfinished                  bool // the last answer is under way or was cut
	Damaged                     bool // the record cannot be read
}

// Record is what the journal holds of a session beside its tokens: the
// conversation, and the answer that was last asked for.
type Record struct {
	Bundle   string          `json:"bundle"`
	Link     string          `json:"link"` // the session's id at the cloud, in hex
	Messages []infer.Message `json:"messages"`
	Options  decode.Options  `json:"options"`
	Answer   int             `json:"answer"` // position of the answer's first token
	Finish   infer.Finish    `json:"finish"` // empty while the answer is not whole
	// Request is the question without its messages; nil in records of before skerry run
	// wrote it down.
	Request *infer.Request `json:"request,omitempty"`
	ID      string         `json:"id,omitempty"` // of the answer
	Created time.Time      `json:"created,omitzero"`
	// Owner is the name of the key whose session it is, or thisMachine.
	Owner string `json:"owner,omitempty"`
	// Undelivered is of a whole answer that no skerry run has yet written to its end: the
	// same question then gets it again, instead of being asked anew.
	Undelivered bool `json:"undelivered,omitempty"`
}

// recordVersion is the form of the JSON of a Record. Records of before there were versions
// have the same fields.
const recordVersion = 1

// MarshalJSON writes the version along.
func (r Record) MarshalJSON() ([]byte, error) {
	type record Record
	return json.Marshal(struct {
		Version int `json:"version"`
		record
	}{recordVersion, record(r)})
}

// thisMachine is the owner of sessions that no key has made; no key has such a name.
const thisMachine = "this machine"

// owner of the session, "" for this machine. Records of before there were owners say
// who asked: "local" or the name of a key.
func (r Record) owner() string {
	switch {
	case r.Owner == thisMachine:
		return ""
	case r.Owner != "":
		return r.Owner
	case r.Request != nil && r.Request.Client != "local":
		return r.Request.Client
	}
	return ""
}

// Summary is what the record says of its session; the journal knows the rest. The
// answer's tokens begin at answer where it is unfinished, which is 0 otherwise.
func (r Record) Summary() (s Summary, answer int) {
	s = Summary{Owner: r.owner(), Title: r.title(), Bundle: r.Bundle, Mode: string(r.Options.Mode)}
	if r.Request != nil {
		s.Client, s.Model = r.Request.Client, r.Request.Model
	}
	if r.Finish == "" {
		answer = max(r.Answer, 0)
	}
	return s, answer
}

// longestTitle is how much of a message stands for it in a list, in characters.
const longestTitle = 80

// title is the beginning of the first question: a conversation keeps its name as it goes on.
func (r Record) title() string {
	for _, m := range r.Messages {
		if m.Role != "user" {
			continue
		}
		text := strings.Join(strings.Fields(strings.ToValidUTF8(m.Content, "")), " ")
		if letters := []rune(text); len(letters) > longestTitle {
			text = strings.TrimSpace(string(letters[:longestTitle-1])) + "…"
		}
		if text != "" {
			return text
		}
	}
	return ""
}

// answered reports whether the last message is an answer. Of a whole answer it is not where
// that was too long to be kept as text.
func (r Record) answered() bool {
	n := len(r.Messages)
	return n > 0 && r.Messages[n-1].Role == "assistant"
}

// Ask makes r the record of a new question with an answer of its own, of whose session
// the owner stays the same.
func (r *Record) Ask(request infer.Request, id string, created time.Time) {
	r.Owner = cmp.Or(r.owner(), thisMachine)
	r.Request, r.ID, r.Created, r.Finish, r.Undelivered = &request, id, created, "", false
}
