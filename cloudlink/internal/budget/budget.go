// Package budget counts what a metered link has cost in a month, and says what is still
// affordable.
package budget

import "time"

// Budget bounds what a metered link may cost in a calendar month (UTC).
type Budget struct {
	Metered bool
	Bytes   uint64 // up and down together, headers of IP and UDP included; 0: no bound
	// Store keeps the count over restarts; nil: it starts at 0.
	Store Store
}

// Store keeps a month's bytes.
type Store interface {
	// LoadBytes returns the month kept, as "2006-01", "" for none.
	LoadBytes() (month string, up, down uint64, err error)
	SaveBytes(month string, up, down uint64) error
}

// Status is how a month's budget stands.
type Status struct {
	Metered bool
	Bytes   uint64 // 0: no bound
	Spent   uint64
	Month   string    // as "2006-01"
	Ends    time.Time // of the month
}
