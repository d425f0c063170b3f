package quality

import (
	"fmt"
	"slices"
	"strings"

	"skerry/appliance/infer"
)

// Entry is one line of a task's file. Which fields it has depends on its kind:
//
//	instruction   prompt, answers
//	summary       passage, answers
//	yesno         passage, question, answers (yes or no)
//	sentiment     passage, answers (positive or negative)
//	conversation  passage, turns
//	code          prompt, tests
//
// Each of the answers is right; the best of an answer's scores counts. Tests are lines of
// Python that follow the program, and raise an error where it is wrong.
type Entry struct {
	Kind     Kind     `json:"kind"`
	Prompt   string   `json:"prompt,omitempty"`
	Passage  string   `json:"passage,omitempty"`
	Question string   `json:"question,omitempty"`
	Answers  []string `json:"answers,omitempty"`
	Turns    []Turn   `json:"turns,omitempty"`
	Tests    string   `json:"tests,omitempty"`
}

// Turn is a question of a conversation. Later turns follow the first of its answers, whatever
// the model says to it.
type Turn struct {
	Question string   `json:"question"`
	Answers  []string `json:"answers"`
}

// Item is one question as it is put to the model.
type Item struct {
	Entry      int // that it is of, from 0
	Messages   []infer.Message
	References []string // right answers
	Tests      string   // of a program
}

// Task is questions of one kind.
type Task struct {
	Name    string
	Kind    Kind
	Entries int
	Items   []Item
	// Empty are records of a public file that lack the text or its answer: some do.
	Empty int
}

// mostTurns bounds a conversation, whose later turns repeat the earlier ones.
const mostTurns = 100

// add adds the items of an entry, or says what is wrong with it.
func (t *Task) add(e Entry) error {
	s, ok := spec(e.Kind)
	if !ok {
		return fmt.Errorf("kind %q is unknown: choose of %s", e.Kind, kindNames())
	}
	if t.Kind == "" {
		t.Kind = e.Kind
	}
	if t.Kind != e.Kind {
		return fmt.Errorf("kind %s among entries of kind %s: put each kind in a file of its own", e.Kind, t.Kind)
	}
	if err := e.check(s); err != nil {
		return err
	}
	for _, i := range e.items() {
		i.Entry = t.Entries
		t.Items = append(t.Items, i)
	}
	t.Entries++
	return nil
}

// check says what an entry lacks or has too much of.
func (e Entry) check(s kindSpec) error {
	fields := []struct {
		name  string
		given bool
		texts []string
	}{
		{"prompt", e.Prompt != "", []string{e.Prompt}},
		{"passage", e.Passage != "", []string{e.Passage}},
		{"question", e.Question != "", []string{e.Question}},
		{"answers", len(e.Answers) > 0, e.Answers},
		{"turns", len(e.Turns) > 0, nil},
		{"tests", e.Tests != "", []string{e.Tests}},
	}
	for _, f := range fields {
		switch need := slices.Contains(s.needs, f.name); {
		case need && !f.given:
			return fmt.Errorf("%s is missing, which kind %s needs", f.name, e.Kind)
		case !need && f.given:
			return fmt.Errorf("%s has no place in kind %s", f.name, e.Kind)
		case need:
			if err := checkTexts(f.name, f.texts); err != nil {
				return err
			}
		}
	}
	if len(e.Turns) > mostTurns {
		return fmt.Errorf("a conversation of %d turns, of at most %d", len(e.Turns), mostTurns)
	}
	for i, turn := range e.Turns {
		if len(turn.Answers) == 0 {
			return fmt.Errorf("turn %d has no answers", i+1)
		}
		if err := checkTexts(fmt.Sprintf("turn %d", i+1), append(turn.Answers, turn.Question)); err != nil {
			return err
		}
	}
	for _, a := range e.Answers {
		if s.labels != nil && !slices.Contains(s.labels, a) {
			return fmt.Errorf("answer %q of kind %s: choose of %s", cut(a), e.Kind, strings.Join(s.labels, ", "))
		}
	}
	return nil
}

// checkTexts refuses what no prompt can be made of.
func checkTexts(name string, texts []string) error {
	for _, s := range texts {
		if strings.TrimSpace(s) == "" {
			return fmt.Errorf("%s has an empty text", name)
		}
		if strings.ContainsRune(s, 0) {
			return fmt.Errorf("%s has a NUL character", name)
		}
	}
	return nil
}

// cut shortens a text for an error.
func cut(s string) string {
	if r := []rune(s); len(r) > 40 {
		return string(r[:39]) + "…"
	}
	return s
}

// items are the questions of an entry in our words.
func (e Entry) items() []Item {
	say := func(format string, args ...any) []infer.Message {
		return []infer.Message{{Role: "user", Content: fmt.Sprintf(format, args...)}}
	}
	switch e.Kind {
	case Instruction:
		return []Item{{Messages: say("%s", e.Prompt), References: e.Answers}}
	case Summary:
		return []Item{{Messages: say("Say in one sentence what this text is about.\n\n%s", e.Passage), References: e.Answers}}
	case YesNo:
		return []Item{{Messages: say("%s\n\nQuestion: %s\nAnswer with yes or no.", e.Passage, e.Question), References: e.Answers}}
	case Sentiment:
		return []Item{{Messages: say("Review: %s\n\nIs this review positive or negative? Answer with one of these two words.", e.Passage), References: e.Answers}}
	case Code:
		return []Item{{Messages: say("%s\n\nAnswer with the Python code only.", e.Prompt), Tests: e.Tests}}
	}
	var items []Item
	said := say("%s\n\nAnswer my questions on this text briefly, in its own words, or with %s where it does not tell.\n\n%s", e.Passage, untold, e.Turns[0].Question)
	for n, turn := range e.Turns {
		if n > 0 {
			said = append(said, infer.Message{Role: "assistant", Content: e.Turns[n-1].Answers[0]}, infer.Message{Role: "user", Content: turn.Question})
		}
		items = append(items, Item{Messages: slices.Clone(said), References: turn.Answers})
	}
	return items
}

// untold is QuAC's word for a question that its text does not answer.
const untold = "CANNOTANSWER"
