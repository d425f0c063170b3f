package decode

// Agreement counts how often the full model, asked too late to say the token
// itself, would have said the same as the exit that spoke (by likeliest token,
// given the same prefix).
type Agreement struct {
	Checked int `json:"checked"`
	Agreed  int `json:"agreed"`
}

// settle takes in the replies to late asks.
func (l *loop) settle(late []settled) {
	for _, s := range late {
		if s.err != nil {
			if !passing(s.err) && l.late.ctx.Err() == nil {
				l.lose(s.err)
			}
			continue
		}
		l.back()
		l.answer.Late++
		a := l.agreed[s.by]
		a.Checked++
		if best(s.row.IDs, s.row.Logits) == s.best {
			a.Agreed++
			l.answer.LateAgreed++
		}
		l.agreed[s.by] = a
	}
}
