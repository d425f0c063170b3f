package conversation

import (
	"encoding/json"
	"io"

	"skerry/appliance/infer"
)

// Event is one line of `skerry run --events`: what has been said, as it is said,
// for programs that follow an answer over restarts.
//
//	begin  the answer begins, or goes on after Said tokens that earlier lines
//	       of another run may have shown: whoever follows takes its own list
//	       back to Said
//	token  one token, the Index-th of the answer, counted from 0
//	end    the answer is whole, or ended as Finish says
type Event struct {
	Event   string       `json:"event"`
	Session string       `json:"session,omitempty"`
	Prompt  int          `json:"prompt_tokens,omitempty"`
	Said    []int32      `json:"said,omitempty"`
	Index   int          `json:"index"`
	Token   *infer.Token `json:"token,omitempty"`
	Finish  infer.Finish `json:"finish,omitempty"`
	Lost    string       `json:"lost,omitempty"`
	Resumed int          `json:"resumed,omitempty"` // times the link came back
}

// events writes the lines.
type events struct {
	out   *json.Encoder
	index int
	err   error // the first write that failed; nothing is written after it
}

func newEvents(w io.Writer) *events { return &events{out: json.NewEncoder(w)} }

func (e *events) write(v Event) {
	if e.err == nil {
		e.err = e.out.Encode(v)
	}
}

func (e *events) begin(session string, prompt int, said []int32) {
	e.index = len(said)
	e.write(Event{Event: "begin", Session: session, Prompt: prompt, Said: said, Index: e.index})
}

func (e *events) token(t infer.Token) {
	e.write(Event{Event: "token", Index: e.index, Token: &t})
	e.index++
}

func (e *events) end(a transcript) {
	e.write(Event{Event: "end", Index: e.index, Finish: a.Finish, Lost: a.Lost, Resumed: a.Returned})
}
