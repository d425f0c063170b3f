package slots

import "slices"

// remembered is how many prompts are remembered, and ofEach how many tokens of
// each, to find out what many begin with.
const (
	remembered = 64
	ofEach     = 4096
)

// seen are the newest prompts.
type seen struct {
	prompts []seenPrompt
	at      int
}

type seenPrompt struct {
	session string
	tokens  []int32
}

// note remembers a prompt and returns how many of its first tokens an earlier one
// of another conversation began with: a shared system prompt. The same prompt
// again counts; one that goes on with an earlier one does not.
func (s *seen) note(session string, prompt []int32) (shared int) {
	prompt = slices.Clone(prompt[:min(len(prompt), ofEach)])
	for _, p := range s.prompts {
		if session != "" && p.session == session {
			continue
		}
		n := common(p.tokens, prompt)
		if n == len(p.tokens) && n < len(prompt) {
			continue
		}
		shared = max(shared, n)
	}
	p := seenPrompt{session, prompt}
	if len(s.prompts) < remembered {
		s.prompts = append(s.prompts, p)
	} else {
		s.prompts[s.at] = p
		s.at = (s.at + 1) % remembered
	}
	return shared
}
