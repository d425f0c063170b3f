package batch

import "context"

// Embeds returns how many positions a text may have that Slot.Embed makes a vector of. The
// error wraps decode.ErrNoEmbedding.
func (s *Slots) Embeds() (positions int, err error) { return s.embeds, s.noEmbedding }

// Contended says whether others wait for a slot: one who could go on later gives way.
func (s *Slots) Contended() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.queue) > 0
}

// Embed pools the hidden states of a text; see decode.Session.Embed. The slot was acquired
// with Ask.Anew.
func (sl *Slot) Embed(ctx context.Context, tokens []int32, progress func(done, total int)) ([]float32, error) {
	return sl.at.session.Embed(ctx, tokens, progress)
}

// clear has a slot hold nothing, for what is computed anew from its first position on. What
// the cloud holds of the conversation before is forgotten with it.
func (s *Slots) clear(sl *Slot) error {
	s.prep.Lock()
	defer s.prep.Unlock()
	s.mu.Lock()
	closed := s.closed
	s.mu.Unlock()
	if closed {
		return ErrClosed
	}
	sl.noDraft = sl.at.session.NoDraft()
	return sl.at.session.Truncate(0)
}
