package tools

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"

	"skerry/appliance/infer"
)

// Parser takes the growing text of an answer apart into what is to be seen and tool
// calls. A call stands behind one of the markers, or begins a line, and names a tool
// of the request; all else is text. What Push and End return, joined, does not depend
// on how the text was cut.
//
// Markers may be control tokens (<|python_tag|>, [TOOL_CALLS]), which text leaves out:
// a call is then found by its beginning a line.
type Parser struct {
	tools    map[string]bool
	parallel bool
	only     bool // a grammar lets nothing but calls through
	lazy     bool // a grammar binds calls in the model's style, and no others count
	style    Style
	answer   string

	state  state
	held   []byte // what may yet turn out to be text
	blank  []byte // white space that is text only if text follows
	start  bool   // of a line, but for white space
	called bool   // the last to come was a call
	n      int    // calls begun

	// Around the call.
	marked bool   // behind a marker
	tagged bool   // </tool_call> is to come
	listed bool   // ] is to come
	mark   int    // where in held the marker or the call begins, behind a fence
	fence  []byte // what opened the fence that the calls so far stand in, not shown
	call   call

	out    strings.Builder
	more   []byte // of the arguments
	deltas []infer.CallDelta
}

// state takes one byte, which is in held already where that is in use.
type state func(p *Parser, c byte) state

var markers = map[Style]string{Hermes: "<tool_call>", Mistral: "[TOOL_CALLS]", Llama: "<|python_tag|>"}

const endTag = "</tool_call>"

// NewParser makes the parser of one answer to r by a model that writes calls in the given
// style. Calls get ids from the answer's id and their index, so that a resumed answer repeats
// them. Where the answer is bound by the
// grammar of r, and that one binds calls once they begin (Lazy), only what it binds is a call.
func NewParser(style Style, r infer.Request, answerID string, bound bool) *Parser {
	tools := r.Tools
	if r.ToolChoice == "none" {
		tools = nil
	}
	p := newParser(tools, answerID)
	p.parallel, p.lazy, p.style = parallel(r), bound && Lazy(r), style
	p.only = r.ToolChoice == "required" || strings.HasPrefix(r.ToolChoice, "function:")
	return p
}

func newParser(tools []infer.Tool, answerID string) *Parser {
	p := &Parser{tools: map[string]bool{}, parallel: true, answer: answerID, state: plain, start: true}
	for _, t := range tools {
		p.tools[t.Name] = true
	}
	return p
}

// Push takes more text, and returns what is now sure to be text or (part of) calls.
func (p *Parser) Push(text string) (out string, calls []infer.CallDelta) {
	if len(p.tools) == 0 {
		return text, nil
	}
	for i := range len(text) {
		p.step(text[i])
	}
	return p.take()
}

// End returns what was still held back. A call cut off stays as far as it went.
func (p *Parser) End() (out string, calls []infer.CallDelta) {
	if p.tagged && p.n > 0 && strings.HasPrefix(endTag, string(p.held)) {
		p.held = nil // an answer cut short in its end tag
	}
	if may, _ := p.shutting(); (may || p.only) && !p.call.begun {
		p.held = nil // the end of a fence, or the beginning of a call, cut short
	}
	for len(p.held) > 0 && !p.call.begun {
		p.state = p.fail()
	}
	if !p.called {
		p.out.Write(p.blank)
	}
	p.blank = nil
	return p.take()
}

// Called reports whether the answer holds calls, all of them whole: its Finish is then
// ToolCalls. Arguments that were cut off are not for a client to call with.
func (p *Parser) Called() bool { return p.n > 0 && !p.call.begun }

// Done reports that nothing more can come: the one call allowed is whole.
func (p *Parser) Done() bool { return !p.parallel && p.n > 0 && !p.call.begun }

func (p *Parser) take() (string, []infer.CallDelta) {
	p.tell()
	out, deltas := p.out.String(), p.deltas
	p.out.Reset()
	p.deltas = nil
	return out, deltas
}

func (p *Parser) step(c byte) {
	if !p.Done() {
		p.state = p.state(p, c)
	}
}

// show is a byte of text.
func (p *Parser) show(c byte) {
	if space(c) {
		p.blank = append(p.blank, c)
		p.start = p.start || c == '\n'
		return
	}
	p.out.Write(p.fence) // there is more in it than calls
	p.fence = nil
	p.out.Write(p.blank)
	p.blank = p.blank[:0]
	p.out.WriteByte(c)
	p.start, p.called = false, false
}

func space(c byte) bool { return c == ' ' || c == '\n' || c == '\t' || c == '\r' }

// fail gives back what was held: its first byte is text, the others are looked at
// anew.
func (p *Parser) fail() state {
	held := p.held
	p.held, p.call, p.mark = nil, call{}, 0
	p.marked, p.tagged, p.listed = false, false, false
	p.show(held[0])
	p.state = plain
	for _, c := range held[1:] {
		p.step(c)
	}
	return p.state
}

// plain is text, in which a call may begin.
func plain(p *Parser, c byte) state {
	switch {
	case p.start && c == '{':
		p.held = append(p.held, c)
		return p.object()
	case c == '<' || c == '[':
		p.held = append(p.held, c)
		return opening
	case p.start && (c == '`' || c == '~'):
		p.held = append(p.held, c)
		if may, _ := p.shutting(); may {
			return shut
		}
		return fence
	}
	p.show(c)
	return plain
}

// opening is the beginning of a marker, or of a list of calls.
func opening(p *Parser, c byte) state {
	if string(p.held[p.mark:]) == "[" && p.start && (c == '{' || space(c)) && (!p.lazy || p.style == Mistral) {
		p.listed = true
		return before(p, c)
	}
	p.held = append(p.held, c)
	for s, m := range markers {
		if p.lazy && s != p.style {
			continue
		}
		if m == string(p.held[p.mark:]) {
			p.marked, p.tagged = true, m[1] == 't'
			return before
		}
		if strings.HasPrefix(m, string(p.held[p.mark:])) {
			return opening
		}
	}
	return p.fail()
}

// before is where a call is to begin.
func before(p *Parser, c byte) state {
	p.held = append(p.held, c)
	switch {
	case space(c):
		return before
	case c == '{':
		return p.object()
	case c == '[' && p.marked && !p.listed:
		p.listed = true
		return before
	}
	return p.fail()
}

// behind is the text after a call.
func behind(p *Parser, c byte) state {
	p.held = append(p.held, c)
	switch {
	case space(c):
		return behind
	case p.listed && c == ',', !p.listed && !p.tagged && c == ';' && !p.lazy:
		return before
	case p.listed && c == ']':
		p.listed = false
		p.held = nil
		return behind
	case !p.listed && c == '{':
		return p.object()
	case !p.listed && !p.tagged && (c == '`' || c == '~'):
		if may, _ := p.shutting(); may {
			return shut
		}
	case p.tagged && c == '<':
		p.held = p.held[:0]
		p.held = append(p.held, c)
		return closing
	}
	p.start = true
	return p.fail()
}

// closing is </tool_call>.
func closing(p *Parser, c byte) state {
	p.held = append(p.held, c)
	switch {
	case endTag == string(p.held):
		p.held, p.tagged, p.marked, p.start = nil, false, false, true
		return plain
	case strings.HasPrefix(endTag, string(p.held)):
		return closing
	}
	return p.fail()
}

// begin makes the call known: from here on it is one, whatever follows.
func (p *Parser) begin() {
	sum := sha256.Sum256(fmt.Appendf(nil, "%s/%d", p.answer, p.n))
	p.deltas = append(p.deltas, infer.CallDelta{Index: p.n, ID: "call_" + hex.EncodeToString(sum[:12]), Name: p.call.name})
	p.n++
	p.call.begun = true
	if p.mark > 0 {
		p.fence = append(bytes.Clone(p.blank), p.held[:p.mark]...)
	}
	p.held, p.blank, p.mark = nil, nil, 0
	p.say(p.call.arguments)
	p.call.arguments = nil
}

// say is more of the call's arguments.
func (p *Parser) say(text []byte) {
	p.more = append(p.more, text...)
}

// tell puts what was said into deltas.
func (p *Parser) tell() {
	if len(p.more) == 0 {
		return
	}
	text := string(p.more)
	p.more = p.more[:0]
	if n := len(p.deltas); n > 0 && p.deltas[n-1].Index == p.n-1 {
		p.deltas[n-1].Arguments = text
		return
	}
	p.deltas = append(p.deltas, infer.CallDelta{Index: p.n - 1, Arguments: text})
}

// finish ends the call.
func (p *Parser) finish() state {
	p.tell()
	p.call = call{}
	p.held, p.start, p.called = nil, true, true
	return behind
}
