package chat

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"skerry/appliance/answer"
)

// marks are private-use characters around the words of others in a rendering: text i
// stands between firstMark+2i and the one behind. A nil *marks marks nothing.
type marks struct {
	texts []string
	hide  map[int]bool // of texts: leave these out
}

var noMarks *marks

// The marks are plane 15, all of it private use.
const (
	firstMark = 0xF0000
	lastMark  = 0xFFFFD
)

func isMark(r rune) bool { return r >= firstMark && r <= lastMark }

func (k *marks) wrap(s string) string {
	if k == nil || s == "" {
		return s
	}
	r := rune(min(firstMark+2*len(k.texts), lastMark-1)) // RenderParts refuses so many
	k.texts = append(k.texts, s)
	if k.hide[len(k.texts)-1] {
		return "x"
	}
	return string(r) + s + string(r+1)
}

// risky wraps what might hold a control token. Plain names and prose go without, as
// templates compare some ("object", "string").
func (k *marks) risky(s string) string {
	if strings.IndexFunc(s, func(r rune) bool {
		return r < ' ' && r != '\n' || r > '~' || strings.ContainsRune("<>[]{}|", r)
	}) < 0 {
		return s
	}
	return k.wrap(s)
}

// strip takes the marks out of a text.
func (*marks) strip(s string) string {
	return strings.Map(func(r rune) rune {
		if isMark(r) {
			return -1
		}
		return r
	}, s)
}

// leading and trailing are the mark at an end of a text.
func leading(s string) string {
	if r, n := utf8.DecodeRuneInString(s); isMark(r) {
		return s[:n]
	}
	return ""
}

func trailing(s string) string {
	if r, n := utf8.DecodeLastRuneInString(s); isMark(r) {
		return s[len(s)-n:]
	}
	return ""
}

// Part of a prompt. Only with Markup may control tokens written out in it be recognized
// when it is tokenized: it is the template's own text. Without, it is somebody's words.
type Part struct {
	Text   string
	Markup bool
}

// RenderParts is Render, cut where the template's own text meets the messages': their
// contents, and what of tools and calls might hold a control token. Its texts joined
// are Render's. A template that takes contents apart so that they cannot be told from
// its own text is an error, and never a prompt in which words are taken for control
// tokens.
func (t *Template) RenderParts(m []answer.Message, tools []answer.Tool, addGeneration bool, extra map[string]any) ([]Part, error) {
	m, tools = t.shown(m, tools)
	whole, err := t.render(m, tools, addGeneration, extra, noMarks)
	if err != nil {
		return nil, err
	}
	if err := unmarked(whole, m, tools); err != nil {
		return nil, err
	}
	k := &marks{}
	text, err := t.render(m, tools, addGeneration, extra, k)
	if err != nil {
		return nil, err
	}
	if 2*len(k.texts) > lastMark-firstMark {
		return nil, answer.Errorf(answer.BadRequest, "messages", "there are too many messages and tools: send fewer")
	}
	s := splitter{k: k, seen: map[int]bool{}}
	s.split(text)
	if joinParts(s.parts) != whole {
		return nil, answer.Errorf(answer.Internal, "messages", "the model's chat template tells contents by their look, so that they cannot be kept apart from its control tokens")
	}
	if err := t.unseen(m, tools, addGeneration, extra, s); err != nil {
		return nil, err
	}
	return s.parts, nil
}

// RenderBy has another renderer make the prompt (llama.cpp's, where the template itself
// fails), and cuts it as RenderParts does.
func RenderBy(m []answer.Message, render func(m []answer.Message) (string, error)) ([]Part, error) {
	if err := unmarked("", m, nil); err != nil {
		return nil, err
	}
	k, marked := &marks{}, slices.Clone(m)
	for i := range marked {
		if !role.MatchString(marked[i].Role) {
			return nil, answer.Errorf(answer.BadRequest, fmt.Sprintf("messages/%d/role", i), "the role %q is not a word", marked[i].Role)
		}
		marked[i].Content = k.wrap(marked[i].Content)
	}
	text, err := render(marked)
	if err != nil {
		return nil, err
	}
	s := splitter{k: k, seen: map[int]bool{}}
	s.split(text)
	return s.parts, nil
}

// unmarked makes sure that nothing of the input looks like a mark.
func unmarked(whole string, m []answer.Message, tools []answer.Tool) error {
	all := []string{whole}
	for _, x := range m {
		all = append(all, x.Content, x.Name, x.ToolCallID)
		for _, c := range x.ToolCalls {
			all = append(all, c.ID, c.Name, string(c.Arguments), valueText(c.Arguments))
		}
	}
	for _, x := range tools {
		all = append(all, x.Name, x.Description, string(x.Parameters), valueText(x.Parameters))
	}
	if slices.ContainsFunc(all, func(s string) bool { return strings.ContainsFunc(s, isMark) }) {
		return answer.Errorf(answer.BadRequest, "messages", "the messages hold characters of plane 15, which is private use: take them out")
	}
	return nil
}

// valueText is JSON without its escapes.
func valueText(raw []byte) string {
	v, err := decodeJSON(raw)
	if err != nil {
		return ""
	}
	return canonical(v)
}

// splitter cuts a rendering at its marks. Of a content that a template has split, an
// end stands alone: what is next to it and belongs to the content goes with it.
type splitter struct {
	k     *marks
	parts []Part
	seen  map[int]bool
	own   strings.Builder
}

func (s *splitter) split(text string) {
	for text != "" {
		i := strings.IndexFunc(text, isMark)
		if i < 0 {
			break
		}
		s.own.WriteString(text[:i])
		r, n := utf8.DecodeRuneInString(text[i:])
		text = text[i+n:]
		id, shut := int(r-firstMark)/2, (r-firstMark)%2 == 1
		if id >= len(s.k.texts) {
			continue
		}
		s.seen[id] = true
		content := s.k.texts[id]
		if shut { // an end alone
			own := s.own.String()
			n := commonEnd(own, content)
			s.flush(own[:len(own)-n])
			s.add(own[len(own)-n:], false)
			continue
		}
		s.flush(s.own.String())
		end := strings.IndexFunc(text, isMark)
		if end >= 0 && strings.HasPrefix(text[end:], string(r+1)) {
			s.add(text[:end], false)
			text = text[end+utf8.RuneLen(r+1):]
			continue
		}
		n = commonStart(text, content)
		s.add(text[:n], false)
		text = text[n:]
	}
	s.own.WriteString(text)
	s.flush(s.own.String())
}

func (s *splitter) flush(own string) {
	s.add(own, true)
	s.own.Reset()
}

func (s *splitter) add(text string, markup bool) {
	if n := len(s.parts); n > 0 && s.parts[n-1].Markup == markup {
		s.parts[n-1].Text += text
	} else if text != "" {
		s.parts = append(s.parts, Part{text, markup})
	}
}

// commonEnd is the length of the longest end of a that is one of b.
func commonEnd(a, b string) int {
	n := 0
	for n < len(a) && n < len(b) && a[len(a)-1-n] == b[len(b)-1-n] {
		n++
	}
	return n
}

func commonStart(a, b string) int {
	n := 0
	for n < len(a) && n < len(b) && a[n] == b[n] {
		n++
	}
	return n
}

func joinParts(parts []Part) string {
	var b strings.Builder
	for _, p := range parts {
		b.WriteString(p.Text)
	}
	return b.String()
}

// unseen makes sure of texts of which no mark came out: without them the prompt is the
// same, so that no piece of them stands among the template's own text.
func (t *Template) unseen(m []answer.Message, tools []answer.Tool, addGeneration bool, extra map[string]any, s splitter) error {
	k := &marks{hide: map[int]bool{}}
	for id := range s.k.texts {
		k.hide[id] = !s.seen[id]
	}
	if len(s.seen) == len(s.k.texts) {
		return nil
	}
	text, err := t.render(m, tools, addGeneration, extra, k)
	if err != nil || noMarks.strip(text) != joinParts(s.parts) {
		return answer.Errorf(answer.Internal, "messages", "the model's chat template takes contents apart, so that they cannot be kept apart from its control tokens")
	}
	return nil
}
