package serve

import (
	"errors"
	"time"

	"skerry/appliance/answer"
	"skerry/appliance/decode"
)

// ErrNoSession is returned by a Journal for a session that it does not have.
var ErrNoSession = errors.New("no such session")

// Journal keeps sessions over restarts. Errors of a disk that is full concern the
// commit alone: what was written stays in memory and is tried again.
type Journal interface {
	// Open returns the session's log; with create it is made where there is none,
	// without it that is ErrNoSession.
	Open(session string, create bool) (Log, error)
	// List is every session, the newest first.
	List() []Kept
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
	// Save replaces the record, durably.
	Save(r Record) error
}

// Kept is a session of the journal.
type Kept struct {
	ID               string
	Tokens           int
	Created, Updated time.Time
	Record           Record
	Err              error // the record is damaged
}

// Record is what the journal holds of a session beside its tokens: the
// conversation, and the answer that was last asked for.
type Record struct {
	Bundle   string           `json:"bundle"`
	Link     string           `json:"link"` // the session's id at the cloud, in hex
	Messages []answer.Message `json:"messages"`
	Options  decode.Options   `json:"options"`
	Answer   int              `json:"answer"` // position of the answer's first token
	Finish   decode.Finish    `json:"finish"` // empty while the answer is not whole
	// Request is the question without its messages; nil where skerry run asked.
	Request *answer.Request `json:"request,omitempty"`
	ID      string          `json:"id,omitempty"` // of the answer
	Created time.Time       `json:"created,omitzero"`
}

// cut reports whether the record is of an answer that is not whole, among so many
// tokens.
func (r Record) cut(tokens int) bool {
	return r.Finish == "" && r.ID != "" && r.Answer > 0 && r.Answer <= tokens
}
