package decode

// countLate takes in the replies to late asks.
func (l *loop) countLate(late []lateReply) {
	for _, s := range late {
		if s.err != nil {
			if !isTransient(s.err) && l.late.ctx.Err() == nil {
				l.giveUpCloud(s.err)
			}
			continue
		}
		l.markBack()
		l.result.Late++
		a := l.result.Agreement[s.by]
		a.Checked++
		if best(s.row.IDs, s.row.Logits) == s.best {
			a.Agreed++
			l.result.LateAgreed++
		}
		l.result.Agreement[s.by] = a
	}
}
