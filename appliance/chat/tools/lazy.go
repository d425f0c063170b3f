package tools

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"skerry/appliance/chat/grammar/schema"
	"skerry/appliance/chat/orderedjson"
	"skerry/appliance/infer"
)

// A model that may call strict tools, or not, answers in any words until a call begins, and
// from there on as its tool's schema wants. What begins a call is found in the text itself, by
// an automaton that is a part of the grammar, so that tokens which hold the beginning of a call
// and more are held to it too, and a parse can be taken back as of any grammar.

// lazy says whether the answer is bound only where the model calls.
func (w Want) lazy() bool {
	if w.Format != "" || w.ToolChoice != "" && w.ToolChoice != "auto" {
		return false
	}
	return slices.ContainsFunc(w.Tools, func(t infer.Tool) bool { return t.Strict })
}

// Lazy says whether the grammar of a request binds its answer only where the model calls a
// tool, so that words, and thoughts, may come before.
func Lazy(r infer.Request) bool { return WantOf(JSON, r).lazy() }

// trigger is what begins a call: characters, between which there is blank where the element
// is 0. A line's is one only at its beginning.
type trigger struct {
	line  bool
	elems []rune
	rest  string // the rule of what has to follow
}

// lazyRule is the rule of an answer in words and calls, "" where the tools are too many.
func (w Want) lazyRule(r *schema.Rules, tools []int) (string, error) {
	triggers, err := w.triggers(r, tools)
	if err != nil {
		return "", err
	}
	free, begun, ok := freeRules(r, triggers)
	if !ok {
		return "", nil
	}
	var calls []string
	for i, t := range triggers {
		if begun[i] != "" {
			calls = append(calls, begun[i]+" "+t.rest)
		}
	}
	called := r.Rule(schema.Either(calls))
	if w.Parallel {
		return r.Rule(fmt.Sprintf("%s{0,%d} %s", called, maxCalls, free)), nil
	}
	return r.Rule(free + " | " + called), nil
}

// triggers of the model's style, and of calls that begin a line, which models of every style
// write now and then.
func (w Want) triggers(r *schema.Rules, tools []int) (all []trigger, err error) {
	ws := r.Common("ws")
	marked := func(marker, rest string) {
		all = append(all, trigger{elems: []rune(marker), rest: rest})
	}
	key := schema.Quote(orderedjson.Quote(w.Style.arguments()))
	var rests, bodies []string
	for _, i := range tools {
		arguments, err := w.argumentsRule(r, i)
		if err != nil {
			return nil, err
		}
		rest := r.Rule(fmt.Sprintf(`%[1]s "," %[1]s %[2]s %[1]s ":" %[1]s %[3]s %[1]s "}"`, ws, key, arguments))
		rests = append(rests, rest)
		bodies = append(bodies, fmt.Sprintf(`"{" %[1]s "\"name\"" %[1]s ":" %[1]s %[2]s %[3]s`, ws, schema.Quote(orderedjson.Quote(w.Tools[i].Name)), rest))
	}
	slices.Sort(bodies)
	call := r.Rule(schema.Either(bodies))
	list := ""
	switch w.Style {
	case Hermes:
		marked("<tool_call>", r.Rule(ws+" "+call+" "+ws+` "</tool_call>"`))
	case Mistral:
		list = `"]"`
		if w.Parallel {
			list = fmt.Sprintf(`("," " "? %s){0,%d} "]"`, call, maxCalls-1)
		}
		marked("[TOOL_CALLS]", r.Rule(`" "? "[" `+call+" "+list))
	case Llama:
		marked("<|python_tag|>", r.Rule(ws+" "+call))
	}
	for n, i := range tools {
		head := append([]rune{'{', 0}, []rune(`"name"`)...)
		head = append(head, 0, ':', 0)
		head = append(head, []rune(orderedjson.Quote(w.Tools[i].Name))...)
		if list != "" { // whose marker may be a token that is not shown; before the call that it begins with
			all = append(all, trigger{line: true, elems: append([]rune{'[', 0}, head...), rest: r.Rule(rests[n] + " " + list)})
		}
		all = append(all, trigger{line: true, elems: head, rest: rests[n]})
	}
	return all, nil
}

// blanks are what may stand between the parts of a call.
const blanks = " \t\r\n"

// at is how far a trigger has come.
type at struct{ trigger, elem int }

// seen is what of the triggers a text may have come to: a state of the automaton.
type seen struct {
	line bool // nothing but blanks since the line began
	at   []at // sorted, without those that have not begun
}

func (s seen) key() string { return fmt.Sprint(s.line, s.at) }

// next is what was seen behind one more character, and the trigger that it completes or -1.
func (s seen) next(triggers []trigger, c rune) (to seen, done int) {
	blank := strings.ContainsRune(blanks, c)
	found := map[at]bool{}
	step := func(a at) {
		elems := triggers[a.trigger].elems
		for ; elems[a.elem] == 0; a.elem++ {
			if blank {
				found[a] = true
			}
		}
		if elems[a.elem] == c {
			found[at{a.trigger, a.elem + 1}] = true
		}
	}
	for i, t := range triggers {
		if t.elems[0] == c && (s.line || !t.line) {
			step(at{i, 0})
		}
	}
	for _, a := range s.at {
		step(a)
	}
	to.line = c == '\n' || s.line && blank
	to.at = slices.SortedFunc(maps.Keys(found), func(a, b at) int {
		if a.trigger != b.trigger {
			return a.trigger - b.trigger
		}
		return a.elem - b.elem
	})
	for _, a := range to.at {
		if a.elem == len(triggers[a.trigger].elems) {
			return to, a.trigger
		}
	}
	return to, -1
}

// mostStates bounds the automaton: about a hundred tools have as many.
const mostStates = 3000

// freeRules are the rules of all text in which no trigger is complete, and of those texts
// that end with one, by its number. Each state of the automaton is a rule, of the texts that
// lead to it: what is left-recursive takes Earley's method the same work however long the text.
// ok is false where that would take too many.
func freeRules(r *schema.Rules, triggers []trigger) (free string, begun []string, ok bool) {
	common := []rune(blanks) // characters that matter in every state
	for _, t := range triggers {
		common = append(common, t.elems[0])
	}
	const other = -1 // any character that does not matter in a state
	type rule struct {
		name   string
		define func(string)
		bodies []string
	}
	rules := map[string]*rule{}
	var order []string
	var todo []seen
	state := func(s seen) *rule {
		k := s.key()
		if rules[k] == nil {
			name, define := r.Recursive()
			rules[k] = &rule{name: name, define: define}
			order, todo = append(order, k), append(todo, s)
		}
		return rules[k]
	}
	ends := make([][]string, len(triggers)) // by trigger, what completes it
	state(seen{line: true}).bodies = []string{`""`}
	for len(todo) > 0 && len(order) <= mostStates {
		s := todo[0]
		todo = todo[1:]
		from := state(s).name
		known := append(slices.Clone(common), s.expected(triggers)...)
		slices.Sort(known)
		known = slices.Compact(known)
		by := map[string][]rune{} // the characters that lead to a state
		to := map[string]seen{}
		for _, c := range append([]rune{other}, known...) {
			next, done := s.next(triggers, c)
			if done >= 0 {
				ends[done] = append(ends[done], from+" "+class([]rune{c}, false))
				continue
			}
			k := next.key()
			by[k], to[k] = append(by[k], c), next
		}
		for _, k := range slices.Sorted(maps.Keys(by)) {
			of := class(by[k], false)
			if by[k][0] == other {
				of = class(slices.DeleteFunc(slices.Clone(known), func(c rune) bool { return slices.Contains(by[k], c) }), true)
			}
			target := state(to[k])
			target.bodies = append(target.bodies, from+" "+of)
		}
	}
	if len(order) > mostStates {
		return "", nil, false
	}
	var all []string
	for _, k := range order {
		rules[k].define(strings.Join(rules[k].bodies, " | "))
		all = append(all, rules[k].name)
	}
	begun = make([]string, len(triggers))
	for i, bodies := range ends {
		if len(bodies) > 0 {
			begun[i] = r.Rule(strings.Join(bodies, " | "))
		}
	}
	return r.Rule(strings.Join(all, " | ")), begun, true
}

// expected are the characters that lead a trigger on.
func (s seen) expected(triggers []trigger) (all []rune) {
	for _, a := range s.at {
		for _, c := range triggers[a.trigger].elems[a.elem:] {
			if c != 0 {
				all = append(all, c)
				break
			}
		}
	}
	return all
}

// class is the class of just these characters, or of all but them.
func class(of []rune, but bool) string {
	var b strings.Builder
	b.WriteByte('[')
	if but {
		b.WriteByte('^')
	}
	for _, c := range of {
		fmt.Fprintf(&b, `\U%08X`, c)
	}
	b.WriteByte(']')
	return b.String()
}
