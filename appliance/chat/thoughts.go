package chat

import "strings"

// ThinkTag opens what a model thinks before it answers; endThink ends it.
const (
	ThinkTag = "<think>"
	endThink = "</think>"
)

// Thoughts takes what a model thinks apart from its answer: what stands behind <think> at
// the beginning, up to </think>. What Push returns, joined, does not depend on how the text
// was cut. The zero value takes all for the answer.
type Thoughts struct {
	state thinking
	held  string // may yet become a tag, or is space whose place is not known
}

type thinking int

const (
	answering thinking = iota
	undecided          // only space, or the beginning of a tag, so far
	entering           // behind the tag: space is left out
	within             // the thoughts
	leaving            // behind the end tag: space is left out
)

// NewThoughts begins an answer; with open it begins within the thoughts, because the prompt
// has their tag.
func NewThoughts(open bool) Thoughts {
	if open {
		return Thoughts{state: entering}
	}
	return Thoughts{state: undecided}
}

// Push takes more text; with last nothing is held back.
func (t *Thoughts) Push(text string, last bool) (thought, answer string) {
	t.held += text
	if t.state == undecided {
		switch bare := strings.TrimLeft(t.held, " \n\t\r"); {
		case strings.HasPrefix(bare, ThinkTag):
			t.state, t.held = entering, bare[len(ThinkTag):]
		case !strings.HasPrefix(ThinkTag, bare) || last:
			t.state = answering
		}
	}
	if t.state == entering {
		if t.held = strings.TrimLeft(t.held, " \n\t\r"); t.held != "" {
			t.state = within
		}
	}
	if t.state == within {
		thought = t.think(last)
	}
	if t.state == leaving {
		if t.held = strings.TrimLeft(t.held, " \n\t\r"); t.held != "" {
			t.state = answering
		}
	}
	if t.state == answering {
		answer, t.held = t.held, ""
	}
	return thought, answer
}

// think returns what of the held text is thought, up to its end or what may become one.
func (t *Thoughts) think(last bool) string {
	if before, after, ended := strings.Cut(t.held, endThink); ended {
		t.state, t.held = leaving, after
		return strings.TrimRight(before, " \n\t\r")
	}
	safe := len(t.held)
	if !last {
		safe = partial(t.held, endThink)
		safe = len(strings.TrimRight(t.held[:safe], " \n\t\r")) // space before the end is left out
	}
	thought := t.held[:safe]
	t.held = t.held[safe:]
	return thought
}
