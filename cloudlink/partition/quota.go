package partition

import "cmp"

// Quota bounds what one device may take. Zero fields are the defaults.
type Quota struct {
	Connections int   // at once, default 16
	Sessions    int   // at once, default 64
	Rows        int   // positions computed per minute, default no bound
	Queued      int64 // bytes of hidden states not computed yet, default a quarter of Config.Budget
}

func (q Quota) withDefaults(budget int64) Quota {
	return Quota{
		Connections: cmp.Or(max(q.Connections, 0), 16),
		Sessions:    cmp.Or(max(q.Sessions, 0), 64),
		Rows:        max(q.Rows, 0),
		Queued:      cmp.Or(max(q.Queued, 0), budget/4),
	}
}
