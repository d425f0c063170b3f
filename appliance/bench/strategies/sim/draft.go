package sim

import "math"

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

// bestDraft is the way of playing answers with one draft length for all of them, and one certainty
// from which prompt lookup is believed to be worth a check: those that take the least time over
// all, as who sets them for this setting would have found them. The token loop, which does not know
// what is to come, chooses before each check.
func (s Setting) bestDraft(st Strategy, answers []Answer, way func(p *play, a Answer, n, match int)) (best func(*play, Answer)) {
	took, least := math.Inf(1), Matches+1
	for _, a := range answers {
		for _, t := range a.Tokens {
			if t.Match > 0 {
				least = 1
			}
		}
	}
	for n := range mostDraft + 1 {
		for match := least; match <= Matches+1; match++ { // the last is never reached
			this := func(p *play, a Answer) { way(p, a, n, match) }
			if r := s.each(st, answers, this); best == nil || r.Total < took {
				best, took = this, r.Total
			}
		}
	}
	return best
}

// Matches is the greatest certainty of prompt lookup.
const Matches = 6

// lookedUp are the tokens that prompt lookup drafts in place of those from the i-th on, and how
// many of them are right; none where it is less certain than match.
func (a Answer) lookedUp(i, match int) (drafts, right int) {
	t := a.Tokens[i]
	if t.Match < match {
		return 0, 0
	}
	drafts = min(mostDraft, len(a.Tokens)-1-i)
	return drafts, min(drafts, t.MatchRight)
}

// drafted are the draft model's n tokens in place of those from the i-th on, and how many of
// them are right.
func (a Answer) drafted(i, n int) (drafts, right int) {
	drafts = min(n, len(a.Tokens)-1-i)
	for right < drafts && a.Tokens[i+right].EqualDraft {
		right++
	}
	return drafts, right
}

// cloudDrafts has the cloud draft n tokens before each pass, or look them up, and stream what
// the pass says.
func (p *play) cloudDrafts(a Answer, n, match int) {
	p.Asks = 1
	p.far = p.up(idBytes * float64(a.Prompt))
	read := false // the prompt, by the draft model
	for i := 0; i < len(a.Tokens); {
		rows, right, c := a.Prompt, 0, 0.0
		if i > 0 {
			var k int
			if k, right = a.lookedUp(i, match); k == 0 {
				k, right = a.drafted(i, n)
				c = float64(k) * p.T * p.Draft
				if k > 0 && !read {
					c, read = c+p.pass(p.T*p.Draft, a.Prompt, 1), true
				}
			}
			rows = 1 + k
		}
		pass := p.pass(p.T, rows, 1)
		p.far = p.computed(p.far, rows, c, pass)
		p.Cloud += c + pass
		p.Positions += rows
		p.now = p.far + p.RTT/2
		for range right + 1 {
			p.said(a.Tokens[i].EqualUp)
			i++
		}
	}
	p.Comm = p.now - p.Cloud
}

// checks has n tokens drafted before each check, or looked up. While one is under way the draft
// goes on, as if all of it were accepted; what it drafts is lost where that is not so.
func (p *play) checks(a Answer, n, match int) {
	d, ahead, fresh := drafting{play: p}, 0, a.Prompt
	for i := 0; i < len(a.Tokens); {
		k, right, looked := 0, 0, false // drafted behind token i, the next to be decided
		if i > 0 && ahead == 0 {
			k, right = a.lookedUp(i, match)
			looked = k > 0
		}
		if i > 0 && !looked {
			k, right = a.drafted(i, n)
			p.compute(float64(k-min(k, ahead)) * p.edge() * p.Draft)
		}
		d.rows(fresh + k)
		d.catchUp()
		p.want, p.lost = k+1, k-right
		f := p.ask()
		if ahead = 0; i == 0 && n > 0 {
			p.compute(p.pass(p.edge()*p.Draft, a.Prompt, 1))
		}
		for i > 0 && n > 0 && !looked && ahead <= n && p.now+p.edge()*p.Draft <= f.at {
			p.compute(p.edge() * p.Draft)
			ahead++
		}
		p.wait(f, false)
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
