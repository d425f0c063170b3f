package decode

import (
	"errors"

	"skerry/appliance/engine"
)

// allows says that an exit's confidence is in a token the grammar allows: in
// another it is no reason to believe the exit.
func (l *loop) allows(s speech) bool { return l.sampler.Allows(best(s.ids, s.logits)) }

// speak is the token of an exit, counted from 0. Where the grammar allows none of
// its shortlist, its head over the whole vocabulary speaks.
func (l *loop) speak(i int, s speech, source Source) (Token, error) {
	t, err := l.choose(s.ids, s.logits, s.stats, source)
	full := l.model.Exits[i].Full
	if full == nil || !errors.Is(err, engine.ErrNoCandidate) {
		return t, err
	}
	hidden, err := l.hiddenAt(i)
	if err != nil {
		return t, err
	}
	row, err := full.Logits(hidden)
	if err != nil {
		return t, err
	}
	return l.choose(full.Tokens(), row, engine.Describe(row), source)
}
