package batch

import (
	"context"
	"errors"
	"io"
	"slices"

	"skerry/appliance/decode"
)

// worthwhile is from how many positions on a prefix is copied or read from disk
// rather than computed.
const worthwhile = 16

// prepare has a slot hold the longest prefix of the prompt there is. What is
// forgotten for it is forgotten now, so that the answer itself only adds.
func (s *Slots) prepare(sl *Slot, a Ask) error {
	s.prep.Lock()
	defer s.prep.Unlock()
	s.mu.Lock()
	closed := s.closed
	s.mu.Unlock()
	if closed {
		return ErrClosed
	}
	if err := s.renew(sl.at); err != nil {
		return err
	}
	session := sl.at.session
	most := len(a.Prompt) - 1 // the last one is computed in any case: its logits are wanted
	own := min(commonPrefix(session.Held(), a.Prompt), most)
	if own == 0 || own < len(session.Held()) { // what follows is not what the session holds, gone on with
		session.RetryDraft()
	}
	sl.noDraft = session.NoDraft()
	s.mu.Lock()
	other, n := s.holderOf(sl.at, a.Prompt)
	sl.shared, sl.sharers[1] = s.recent.note(a.Session, a.Prompt)
	sl.sharers[0] = a.Session
	s.mu.Unlock()
	n = min(n, most)
	disk, m := s.cached(a.Prompt)
	m = min(m, most)

	from := &s.stats.Kept
	if err := session.Truncate(own); err != nil {
		return err
	}
	if m >= max(own, n)+worthwhile && s.restore(session, disk, m) {
		from = &s.stats.Restored
	}
	if n >= len(session.Held())+worthwhile && s.fork(session, other.session, n) {
		from = &s.stats.Forked
	}
	got := len(session.Held())
	s.mu.Lock()
	defer s.mu.Unlock()
	sl.cached = got
	s.stats.Prompt += uint64(len(a.Prompt))
	*from += uint64(got)
	return nil
}

// renew opens the slot's cloud again where it was lost for good.
func (s *Slots) renew(at *slot) error {
	if s.opt.Open == nil || at.cloud != nil && at.session.Lost() == nil {
		return nil
	}
	if c, ok := at.cloud.(io.Closer); ok {
		c.Close()
	}
	was := at.cloud
	var err error
	if at.cloud, err = s.opt.Open(at.seq); err != nil {
		s.opt.Log.Warn("the cloud session could not be opened again: going on alone", "slot", at.seq, "err", err)
		if at.cloud = nil; was == nil {
			return nil
		}
	}
	return at.session.Renew(at.cloud)
}

// holderOf is the other slot that holds the longest prefix of a prompt; mu is held.
func (s *Slots) holderOf(but *slot, prompt []int32) (best *slot, n int) {
	for _, sl := range s.slots {
		if m := commonPrefix(sl.session.Held(), prompt); sl != but && m > n {
			best, n = sl, m
		}
	}
	return best, n
}

// fork copies up to n positions of another slot.
func (s *Slots) fork(to, from *decode.Session, n int) bool {
	if err := to.Truncate(0); err != nil {
		return false
	}
	got, err := to.Fork(from, n)
	if err != nil {
		s.opt.Log.Debug("a shared prefix is computed again", "positions", n, "err", err)
	}
	return got > 0
}

// restore reads an entry of the disk cache into a session and cuts it to n
// positions.
func (s *Slots) restore(to *decode.Session, key string, n int) bool {
	st, err := s.cache.load(key)
	if err != nil {
		return false // it is logged and gone
	}
	if err := to.Truncate(0); err != nil {
		return false
	}
	got, err := to.Import(st)
	if err == nil {
		err = to.Truncate(n)
	}
	if err != nil {
		s.opt.Log.Warn("a cached prefix is of no use and is deleted", "file", key, "err", err)
		s.cache.remove(key)
		return false
	}
	return got > 0
}

// cached is the entry of the disk cache with the longest prefix of the prompt.
func (s *Slots) cached(prompt []int32) (key string, n int) {
	if s.cache == nil {
		return "", 0
	}
	return s.cache.find(prompt)
}

// keep has what many prompts begin with written to disk, once the answer to one of
// them is whole.
func (s *Slots) keep(sl *Slot) {
	held := sl.at.session.Held()
	if s.cache == nil || sl.shared > len(held) {
		return
	}
	w := s.cache.claim(held[:sl.shared], sl.sharers[0], sl.sharers[1])
	if w == nil {
		return
	}
	if !s.beginWrite() {
		s.cache.unclaim(w)
		return
	}
	st, err := sl.at.session.Export(context.Background(), sl.shared)
	if err != nil {
		s.writes.Done()
		s.cache.unclaim(w)
		s.opt.Log.Debug("a prefix is not kept", "err", err)
		return
	}
	go func() {
		defer s.writes.Done()
		s.cache.store(w, st) // it logs
	}()
}

// beginWrite registers a write that Close waits for, false once it is too late.
func (s *Slots) beginWrite() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.closed {
		s.writes.Add(1)
	}
	return !s.closed
}

// Save writes idle conversations to the disk cache, the newest first, until ctx
// ends. Call it at shutdown, before Close.
func (s *Slots) Save(ctx context.Context) (err error) {
	if s.cache == nil {
		return nil
	}
	s.prep.Lock()
	defer s.prep.Unlock()
	s.mu.Lock()
	var idle []*slot
	for _, sl := range s.slots {
		if !sl.taken {
			sl.taken = true // nobody gets it meanwhile
			s.batcher.running.Add(1)
			idle = append(idle, sl)
		}
	}
	s.mu.Unlock()
	slices.SortFunc(idle, func(a, b *slot) int { return b.used.Compare(a.used) })
	for _, sl := range idle {
		if ctx.Err() == nil {
			err = errors.Join(err, s.save(ctx, sl))
		}
		s.mu.Lock()
		s.free(sl)
		s.mu.Unlock()
	}
	return errors.Join(err, ctx.Err())
}

// save writes what an idle slot holds, where that is worth it.
func (s *Slots) save(ctx context.Context, sl *slot) error {
	held := sl.session.Held()
	w := s.cache.claim(held, sl.id)
	if w == nil {
		return nil
	}
	st, err := sl.session.Export(ctx, len(held))
	if err != nil {
		s.cache.unclaim(w)
		return err
	}
	return s.cache.store(w, st)
}
