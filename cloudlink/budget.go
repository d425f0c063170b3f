package cloudlink

import (
	"errors"
	"time"
)

// ErrBudget says that the month's bytes are spent, or too scarce for what was
// wanted.
var ErrBudget = errors.New("byte budget")

// Budget bounds what a metered link may cost in a calendar month (UTC).
type Budget struct {
	Metered bool
	Bytes   uint64 // up and down together, headers of IP and UDP included; 0: no bound
	// Store keeps the count over restarts; nil: it starts at 0.
	Store BudgetStore
}

// BudgetStore keeps a month's bytes.
type BudgetStore interface {
	// LoadBytes returns the month kept, as "2006-01", "" for none.
	LoadBytes() (month string, up, down uint64, err error)
	SaveBytes(month string, up, down uint64) error
}

// BudgetStatus is how a month's budget stands.
type BudgetStatus struct {
	Metered bool
	Bytes   uint64 // 0: no bound
	Spent   uint64
	Month   string    // as "2006-01"
	Ends    time.Time // of the month
}
