package batch

import "slices"

// maxPrompts is how many prompts are remembered, and ofEach how many tokens of
// each, to find out what many begin with.
const (
	maxPrompts      = 64
	maxPromptTokens = 4096
)

// recentPrompts are the newest prompts.
type recentPrompts struct {
	prompts []seenPrompt
	at      int
}

type seenPrompt struct {
	session string
	tokens  []int32
}

// note remembers a prompt and returns how many of its first tokens an earlier one
// of another conversation began with, and that one's session: a shared system prompt. The
// same prompt again counts; one that goes on with an earlier one does not.
func (s *recentPrompts) note(session string, prompt []int32) (shared int, with string) {
	prompt = slices.Clone(prompt[:min(len(prompt), maxPromptTokens)])
	for _, p := range s.prompts {
		if session != "" && p.session == session {
			continue
		}
		n := commonPrefix(p.tokens, prompt)
		if n == len(p.tokens) && n < len(prompt) {
			continue
		}
		// Of two that share as much, one of a session may be kept on disk.
		if n > shared || n == shared && with == "" {
			shared, with = n, p.session
		}
	}
	p := seenPrompt{session, prompt}
	if len(s.prompts) < maxPrompts {
		s.prompts = append(s.prompts, p)
	} else {
		s.prompts[s.at] = p
		s.at = (s.at + 1) % maxPrompts
	}
	return shared, with
}

// forget drops the prompts of a session.
func (s *recentPrompts) forget(session string) {
	for i := range s.prompts {
		if s.prompts[i].session == session {
			s.prompts[i] = seenPrompt{}
		}
	}
}
