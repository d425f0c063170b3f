package session

import (
	"cmp"
	"math"
	"slices"

	"skerry/cloudlink/internal/linkerr"
	"skerry/cloudlink/wire"
)

// What a cloud sends is checked twice: by package wire for what holds of any
// message, and here against what this board has asked and sent. What belongs to an
// ask given up, or to a branch left, is no breach.

// lseSlack is by how much a log-sum-exp may be off, for clouds that sum in float32.
const lseSlack = 0.01

// place refuses a message that names another session or connection than the stream
// it came on.
func (s *Session) place(a *Attachment, what string, ref wire.Ref) error {
	if ref.Session != s.opt.ID {
		return linkerr.Breach("%s of session %s on the stream of %s", what, ref.Session, s.opt.ID)
	}
	if ref.Epoch != a.conn.Epoch() {
		return linkerr.Breach("%s of epoch %d on a connection of epoch %d", what, ref.Epoch, a.conn.Epoch())
	}
	return nil
}

// answers refuses a result that is not what p asked for; mu is held.
func (s *Session) answers(p *pending, r askResult) error {
	switch {
	case r.err != nil:
		return nil
	case p.lead != nil && r.led == nil:
		return linkerr.Breach("something else where the cloud leads from position %d on", p.pos)
	case p.lead != nil:
		return s.checkLed(r.led)
	case p.generate == nil && r.answer == nil:
		return linkerr.Breach("a token where logits of position %d were asked for", p.pos)
	case p.generate != nil && r.token == nil:
		return linkerr.Breach("logits where tokens from position %d on were asked for", p.pos)
	case p.generate != nil:
		return s.checkToken(r.token)
	}
	return s.checkAnswer(p, r.answer)
}

// vocabulary is one more than the highest token id there may be.
func (s *Session) vocabulary() int { return cmp.Or(s.opt.Vocabulary, maxTokenID) }

func (s *Session) checkToken(t *wire.Token) error {
	if int(t.ID) >= s.vocabulary() {
		return linkerr.Breach("token %d of a vocabulary of %d", t.ID, s.vocabulary())
	}
	return nil
}

// checkAnswer refuses other rows than were asked for, or more or fewer of them.
func (s *Session) checkAnswer(p *pending, m *wire.Answer) error {
	switch {
	case int(m.Rows) > 2*max(p.pos+1, s.rows.end()): // some may have been computed twice
		return linkerr.Breach("%d positions computed for an ask at %d", m.Rows, p.pos)
	case m.Len() != p.rows:
		return linkerr.Breach("%d rows where %d were asked for", m.Len(), p.rows)
	}
	for i := range m.Len() {
		if err := s.checkRow(p, m, i); err != nil {
			return err
		}
	}
	return nil
}

// checkRow refuses logits of other tokens, or of more or fewer, than were asked for, and a
// sum that they do not allow.
func (s *Session) checkRow(p *pending, m *wire.Answer, i int) error {
	ids, logits, sum := m.Row(i)
	n, whole := len(logits), len(ids) == 0
	switch {
	case whole && n > 0 && (p.topK > 0 || len(p.mask) > 0):
		return linkerr.Breach("a whole row of %d logits where %d candidates were asked for", n, max(p.topK, len(p.mask)))
	case whole && p.topK == 0 && len(p.mask) == 0 && (n == 0 || n > s.vocabulary() || s.opt.Vocabulary > 0 && n != s.opt.Vocabulary):
		return linkerr.Breach("a row of %d logits of a vocabulary of %d", n, s.vocabulary())
	case !whole && p.topK == 0 && len(p.mask) == 0:
		return linkerr.Breach("%d candidates where a whole row was asked for", n)
	case p.topK > 0 && n > p.topK, len(p.mask) > 0 && n > len(p.mask):
		return linkerr.Breach("%d candidates where %d were asked for", n, cmp.Or(p.topK, len(p.mask)))
	case len(p.mask) == 0 && p.topK > 0 && n < min(p.topK, cmp.Or(s.opt.Vocabulary, 1)):
		return linkerr.Breach("%d candidates where %d were asked for", n, min(p.topK, s.vocabulary()))
	}
	mask := slices.Sorted(slices.Values(p.mask))
	for _, id := range ids {
		if int(id) >= s.vocabulary() {
			return linkerr.Breach("token %d of a vocabulary of %d", id, s.vocabulary())
		}
		if _, among := slices.BinarySearch(mask, id); len(mask) > 0 && !among {
			return linkerr.Breach("token %d, which was not among those asked for", id)
		}
	}
	return s.checkSum(p, logits, sum)
}

// checkSum refuses a log-sum-exp over the whole row that its largest logit rules
// out: it is no less than that, and no more than if all were as large.
func (s *Session) checkSum(p *pending, logits []float32, sum float64) error {
	if len(logits) == 0 || sum == 0 && s.protocol < 2 { // which may leave it out
		return nil
	}
	top := float64(slices.Max(logits))
	slack := lseSlack * max(1, math.Abs(top)/100)
	if sum < top-slack || len(p.mask) == 0 && sum > top+math.Log(float64(s.vocabulary()))+slack {
		return linkerr.Breach("a log-sum-exp of %g with a largest logit of %g", sum, top)
	}
	return nil
}

// checkOpened refuses terms that were not offered; mu is held.
func (s *Session) checkOpened(a *Attachment, m *wire.Opened) error {
	switch {
	case m.Protocol > wire.Protocol:
		return linkerr.Breach("protocol %d was agreed on, %d to %d are spoken here", m.Protocol, wire.ProtocolMin, wire.Protocol)
	case m.Context == 0:
		return linkerr.Breach("a context of no positions was granted")
	case !s.opt.Tokens && !slices.ContainsFunc(s.encodings(), func(t wire.DType) bool {
		return t == m.Encoding || t.Fit(s.opt.Width) == m.Encoding
	}):
		return linkerr.Breach("encoding %d of hidden states was not offered", m.Encoding)
	}
	return nil
}

// checkReceipt refuses a receipt for what was never sent; mu is held.
func (s *Session) checkReceipt(m *wire.Receipt) error {
	switch {
	case m.Branch > s.lineage.current:
		return linkerr.Breach("a receipt of branch %d, %d is the newest", m.Branch, s.lineage.current)
	case s.opt.Tokens && s.limit > 0 && int(m.Position) > s.limit: // a generation appends there first
		return linkerr.Breach("a receipt of %d positions of a context of %d", m.Position, s.limit)
	case !s.opt.Tokens && m.Branch == s.lineage.current && int(m.Position) > s.rows.end():
		return linkerr.Breach("a receipt of %d positions, there are %d", m.Position, s.rows.end())
	case m.Bytes > s.stats.Bytes:
		return linkerr.Breach("a receipt of %d bytes, %d were sent", m.Bytes, s.stats.Bytes)
	}
	return nil
}
