package infer

import "time"

// Kind of an Event.
type Kind string

// The kinds.
const (
	Queued  Kind = "queued"  // Event.Queue are before this one
	Prefill Kind = "prefill" // Event.Done of Event.Total positions of the prompt are computed
	Rewind  Kind = "rewind"  // on a resumed stream: what was sent after Index tokens is void
	Text    Kind = "text"    // Event.Text, said by Event.Tokens
	Tools   Kind = "tools"   // Event.Calls, whole or as they grow, after Event.Text, both said by Event.Tokens
	End     Kind = "end"     // the last: Finish, Usage and Provenance are set
)

// Event of an answer. Index counts the answer's tokens that this event and all
// before it cover: it is the event id by which a stream is resumed.
type Event struct {
	Kind  Kind `json:"kind"`
	Index int  `json:"index"`
	Queue int  `json:"queue,omitempty"`
	Done  int  `json:"done,omitempty"`
	Total int  `json:"total,omitempty"`
	// Cached positions are counted in Done, and were not computed for this answer.
	Cached int    `json:"cached,omitempty"`
	Text   string `json:"text,omitempty"`
	// Thought comes before Text, where Request.SplitThoughts asks for it.
	Thought string      `json:"thought,omitempty"`
	Tokens  []Token     `json:"tokens,omitempty"`
	Calls   []CallDelta `json:"calls,omitempty"`
	// Of End.
	Finish Finish `json:"finish,omitempty"`
	// StopString is the one that was met, where that is why it ended.
	StopString string `json:"stop_string,omitempty"`
	Err        error  `json:"-"` // why it ended early; Finish is then Failed
	Usage      Usage  `json:"usage"`
	// Provenance of the answer.
	Provenance *Provenance `json:"skerry,omitempty"`
}

// CallDelta is a piece of a tool call: ID and Name in its first, Arguments to be
// joined over all of them.
type CallDelta struct {
	Index     int    `json:"index"` // of the call in the answer
	ID        string `json:"id,omitempty"`
	Name      string `json:"name,omitempty"`
	Arguments string `json:"arguments,omitempty"`
}

// Usage in tokens and times.
type Usage struct {
	Prompt     int           `json:"prompt_tokens"`
	Cached     int           `json:"cached_tokens"` // of the prompt, not computed anew
	Completion int           `json:"completion_tokens"`
	Queued     time.Duration `json:"queued_ns"`
	Prefill    time.Duration `json:"prefill_ns"`
	Decode     time.Duration `json:"decode_ns"`
	Total      time.Duration `json:"total_ns"`
	Load       time.Duration `json:"load_ns"` // waited for the model to load
}

// Provenance is what no other server tells: the one extra field, "skerry", of every
// reply. It says who said the answer's tokens, in which mode, and at what cost.
type Provenance struct {
	Answer    string         `json:"answer"` // id, for Last-Event-ID
	Session   string         `json:"session,omitempty"`
	Mode      Mode           `json:"mode"`
	Seed      uint64         `json:"seed"`
	Sources   map[Source]int `json:"tokens_by_source"`
	Asks      int            `json:"asks"`
	BytesUp   uint64         `json:"bytes_up"`
	BytesDown uint64         `json:"bytes_down"`
	WaitMS    float64        `json:"wait_ms"` // for the cloud, over all tokens
	Why       map[Reason]int `json:"why_not_asked,omitempty"`
	Resumed   int            `json:"resumed,omitempty"` // tokens said before a restart
	Changes   []Change       `json:"mode_changes,omitempty"`
	Lost      string         `json:"lost,omitempty"` // why the cloud was first lost
	// Returned counts how often the cloud was back after a loss, Late the cloud's answers
	// that came after a token's deadline, and LateAgreed those of them whose likeliest token
	// is the one that was said instead. Agreement is the same by the exit that spoke. All are
	// of this answer alone: a daemon's slot has many conversations.
	Returned   int                  `json:"link_returned,omitempty"`
	Late       int                  `json:"late,omitempty"`
	LateAgreed int                  `json:"late_agreed,omitempty"`
	Agreement  map[Source]Agreement `json:"agreement,omitempty"`
	// CaughtUp are the positions that the stage before exit 2 computed after the fact.
	CaughtUp int `json:"caught_up_rows,omitempty"`
	Drafts
	// Notes are wishes of the request that were not met in full, each a sentence.
	Notes []string `json:"notes,omitempty"`
	// NotEnforced are keywords of the request's schemas that the answer was not held to,
	// as JSON pointers behind response_format or tools/N.
	NotEnforced []string `json:"not_enforced,omitempty"`
	// Ignored are fields of the request that had no effect.
	Ignored []Ignored `json:"ignored,omitempty"`
}

// Ignored is a field of a request that has had no effect on the answer.
type Ignored struct {
	Field      string `json:"field"` // the path to it
	Why        string `json:"why"`   // a half-sentence
	Suggestion string `json:"did_you_mean,omitempty"`
}

// Drafts counts what was drafted for an answer, and what came of it.
type Drafts struct {
	// Checks are the passes of the full model that decided tokens, in a mode that checks
	// drafts.
	Checks int `json:"checks,omitempty"`
	// Drafted are by drafter the tokens that were proposed to the full model, and of them
	// those that it said itself.
	Drafted map[Source]Agreement `json:"drafted,omitempty"`
}

// Agreement counts how often the full model, whose answer came too late for the token,
// has the same likeliest token as the exit that was sampled instead, given the same
// prefix.
type Agreement struct {
	Checked int `json:"checked"`
	Agreed  int `json:"agreed"`
}
