// Package health declares every problem a user may see, once, as a value: what it
// is called, how bad it is, what to do about it, which other problem explains it,
// and how long it must last before anybody is told. Nothing else in the program
// words a problem.
//
// A Tracker knows which are there. Most follow from the Status value (Judge); what
// only the code that met it can know is Set and Cleared there.
package health

import (
	"slices"
	"time"

	"skerry/appliance/status"
)

// Problem is one that is declared. Text and Do are templates of one line in which
// {name} stands for the figure of that name.
type Problem struct {
	Code     string
	Title    string
	Severity status.Severity
	Text     string
	Do       string // names a command, in backquotes
	// Causes explain this one: while one of them is there, this one is not shown.
	Causes []*Problem
	// After is how long it must be there before it is shown, Gone how long it must be
	// away before it is hidden again.
	After, Gone time.Duration

	// judge says whether the status has it, and its figures as names and values in
	// turns. It is nil for a problem that only Set can raise.
	judge func(seen) ([]string, bool)
}

// seen is what a judge sees.
type seen struct {
	status.Status
	raised bool // the problem was there at the last look: its limit to end is a laxer one
	// Within the last window:
	refused    uint64 // requests refused by a full queue
	reconnects uint64
}

var declared []*Problem

func declare(p Problem) *Problem {
	declared = append(declared, &p)
	return &p
}

// Declared returns all problems, in the order of their declaration.
func Declared() []*Problem { return slices.Clone(declared) }
