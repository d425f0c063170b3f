package server

import (
	"fmt"
	"slices"

	"skerry/appliance/decode"
	"skerry/appliance/infer"
)

// chooseAgain has an answer that was begun in another process go on in its own mode where the model
// is loaded for that, else in one that says the same text, else in the usual one.
func (c *Core) chooseAgain(m *Model, j *job) {
	q, images := j.task, infer.HasImages(j.asked)
	c.mu.Lock()
	now := c.defaults
	c.mu.Unlock()
	c.leads(m, q.Request, &now)
	q.opt.BoardLeads = now.BoardLeads
	if !images {
		q.opt.CloudLeads = now.CloudLeads
	}
	able := slices.DeleteFunc(slices.Clone(m.Modes), func(o infer.Mode) bool { return images && !seesImages(o) })
	if slices.Contains(able, q.opt.Mode) || len(able) == 0 {
		return
	}
	begun := q.opt.Mode
	q.opt.Mode = c.choose(m, now.Mode, "")
	if !slices.Contains(able, q.opt.Mode) {
		q.opt.Mode = able[0]
	}
	if i := slices.IndexFunc(able, exact); i >= 0 && exact(begun) && !exact(q.opt.Mode) {
		q.opt.Mode = able[i]
	}
	q.opt.Eager = now.Eager && decode.SpecOf(q.opt.Mode).Bounded
	q.notes = append(q.notes, fmt.Sprintf("the answer was begun in mode %s, which is not loaded here: it goes on in mode %s", begun, q.opt.Mode))
}

// exact says whether a mode's text is the whole model's.
func exact(m infer.Mode) bool {
	return m == decode.Verified || m == decode.CloudLed || m == decode.Unsplit
}
