package calibrate

import (
	"slices"

	"skerry/appliance/bundle"
	"skerry/appliance/decode"
)

// checkedDrafts are the numbers of drafts whose checks are counted, ascending.
var checkedDrafts = []int{2, 4, 8}

// checked is one of the model's own greedy answers: what a drafter says at each position, and
// what prompt lookup does.
type checked struct {
	words  []word
	lookup []lookedUp
}

// lookedUp is prompt lookup's draft at a position: whether there is one, and how many tokens in
// a row, of the most that are drafted, are the model's own.
type lookedUp struct {
	found bool
	right int
}

// lookUps are those of a greedy answer, position by position.
func lookUps(d *document) []lookedUp {
	out := make([]lookedUp, d.rows())
	for i := range out {
		ids, _ := decode.LookUp(d.tokens[:d.from+i+1], checkedDrafts[len(checkedDrafts)-1])
		out[i].found = len(ids) > 0
		for k := 0; k < len(ids) && i+k < len(d.greedy) && ids[k] == d.greedy[i+k]; k++ {
			out[i].right++
		}
	}
	return out
}

// perCheck goes through the model's own greedy answers as a check of some drafts at a time
// does: the drafts up to the first that is wrong stand, and the model's own token behind
// them. With lookup, a check has prompt lookup's drafts where there are any.
func perCheck(answers []checked, lookup bool) (all []bundle.PerCheck) {
	for _, drafts := range checkedDrafts {
		tokens, checks := 0, 0
		for _, a := range answers {
			for at := 0; at < len(a.words); checks++ {
				right := 0
				if lookup && a.lookup[at].found {
					right = min(drafts, a.lookup[at].right)
				} else {
					for right < drafts && at+right < len(a.words) && a.words[at+right].right {
						right++
					}
				}
				step := min(right+1, len(a.words)-at)
				tokens, at = tokens+step, at+step
			}
		}
		all = append(all, bundle.PerCheck{Drafts: drafts, Tokens: ratio(tokens, checks)})
	}
	return all
}

// exitsPerCheck counts the checks of what the exits say together on the model's own answers of
// the report: the first one where it is believed, else the deepest. Own has the exits by depth.
func (r *run) exitsPerCheck(own []*judged, heads []bundle.Head) (exits, afterLookup []bundle.PerCheck) {
	var by []*judged
	for _, h := range heads {
		by = append(by, own[slices.Index(r.depths, h.Exit)])
	}
	var answers []checked
	for _, q := range r.quotedReport {
		if q.kind != kindChat {
			continue
		}
		words := slices.Clone(by[len(by)-1].words[q.text])
		for i := range words {
			if first := by[0].words[q.text][i]; first.confidence >= heads[0].Threshold {
				words[i] = first
			}
		}
		answers = append(answers, checked{words, lookUps(q.document)})
	}
	if len(answers) == 0 {
		return nil, nil
	}
	return perCheck(answers, false), perCheck(answers, true)
}
