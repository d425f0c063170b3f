package sim

// mostDraft is how many tokens are drafted at most before a check, and mostLag how many rows
// the head stage may lag behind a draft model: as the token loop has them.
const (
	mostDraft = 7
	mostLag   = 8
)

// drafting is what an answer with a draft model has under way besides.
type drafting struct {
	*play
	lag int // rows the head stage has not computed; token ids go up at once
}

// share is the part of a pass that the cloud computes.
func (p *play) share() float64 {
	if p.IDs {
		return 1
	}
	return 1 - p.Exit1
}

// rows hands k further rows on: as token ids, or to the head stage's backlog.
func (d *drafting) rows(k int) {
	if d.IDs {
		d.come = d.up(idBytes * float64(k))
		d.pend += k
		return
	}
	d.lag += k
}

// catchUp has the head stage compute its backlog and hand it on.
func (d *drafting) catchUp() {
	for d.lag > 0 {
		k := min(prefillRows, d.lag)
		d.compute(d.pass(d.edge(), k, d.Exit1))
		d.come = d.up(d.rowBytes(k))
		d.pend += k
		d.lag -= k
	}
}

// drafts lets a draft model speak where it is sure enough. The first token of an answer is
// asked for, while the draft reads the prompt.
func (p *play) drafts(a Answer) {
	d := drafting{play: p}
	for i, t := range a.Tokens {
		k, draft := 1, p.edge()*p.Draft
		if i == 0 {
			k, draft = a.Prompt, p.pass(p.edge()*p.Draft, a.Prompt, 1)
		}
		if p.Kind == Standalone {
			p.compute(draft)
			p.said(t.EqualDraft)
			continue
		}
		d.rows(k)
		if i > 0 {
			p.compute(draft)
			if t.CDraft >= p.T2 {
				if d.lag >= mostLag {
					d.catchUp()
				}
				p.said(t.EqualDraft)
				continue
			}
		}
		d.catchUp()
		f := p.ask()
		if i == 0 {
			p.compute(draft)
		}
		p.wait(f, false)
		p.said(t.EqualUp)
	}
}

// verified plays the answers with one draft length for all of them: the one that takes the
// least time over all, as who sets it for this setting would have found it. The token loop,
// which does not know what is to come, chooses a length before each check.
func (s Setting) verified(st Strategy, answers []Answer) (best Result) {
	for n := range mostDraft + 1 {
		if r := s.each(st, answers, func(p *play, a Answer) { p.checks(a, n) }); n == 0 || r.Total < best.Total {
			best = r
		}
	}
	return best
}

// checks has n tokens drafted before each check. While one is under way the draft goes on, as
// if all of it were accepted; what it drafts is lost where that is not so.
func (p *play) checks(a Answer, n int) {
	d, ahead, fresh := drafting{play: p}, 0, a.Prompt
	for i := 0; i < len(a.Tokens); {
		k := 0 // drafted behind token i, the next to be decided
		if i > 0 {
			k = min(n, len(a.Tokens)-1-i)
			p.compute(float64(k-min(k, ahead)) * p.edge() * p.Draft)
		}
		d.rows(fresh + k)
		d.catchUp()
		f := p.ask()
		if ahead = 0; i == 0 && n > 0 {
			p.compute(p.pass(p.edge()*p.Draft, a.Prompt, 1))
		}
		for i > 0 && n > 0 && ahead <= n && p.now+p.edge()*p.Draft <= f.at {
			p.compute(p.edge() * p.Draft)
			ahead++
		}
		p.wait(f, false)
		right := 0
		for right < k && a.Tokens[i+right].EqualDraft {
			right++
		}
		for range right + 1 {
			p.said(true)
		}
		i += right + 1
		fresh = 1 // the token that the check gave
		switch {
		case right < k:
			ahead = 0
		case ahead > 0 && i < len(a.Tokens) && a.Tokens[i-1].EqualDraft: // it had foreseen this one too
			ahead--
		default:
			ahead = 0
		}
	}
}
