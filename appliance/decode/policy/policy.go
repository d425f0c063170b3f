// Package policy holds the rules by which an early exit is believed. Each rule is declared
// in a file of its own; flags, help and checks range over them.
package policy

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Policy decides for one answer which exits are believed. Its methods are called by the
// token loop's goroutine alone, in the order of the tokens and for each token in the order
// of the exits.
type Policy interface {
	// Reachable reports whether the exit may be believed at all: one that may not is not
	// computed where the cloud can be asked instead.
	Reachable(e Exit) bool
	// Believes reports whether the exit's likeliest token is as good as the full model's.
	Believes(e Exit, o Output) bool
}

// Exit is one of the board's early exits.
type Exit struct {
	Index     int     // counted from 0, the first one first
	Threshold float64 // confidence from which it is believed, as calibration found
}

// Output describes the logits of an exit, before any filter.
type Output struct {
	Confidence float64 // the probability of the likeliest token
	Margin     float64 // the gap between the two best logits
}

// Rule is a way to make a Policy.
type Rule struct {
	Name string
	Help string // a half-sentence on one line
	// New makes a policy with what the user gave as thresholds, none for the exits' own.
	New func(thresholds []float64) (Policy, error)
}

var rules []Rule

func register(r Rule) bool {
	rules = append(rules, r)
	slices.SortFunc(rules, func(a, b Rule) int { return cmp.Compare(a.Name, b.Name) })
	return true
}

// New makes a policy by a rule's name, "" for Confidence.
func New(name string, thresholds []float64) (Policy, error) {
	name = cmp.Or(name, Confidence)
	for _, r := range rules {
		if r.Name == name {
			return r.New(thresholds)
		}
	}
	return nil, fmt.Errorf("exit policy %q is unknown: choose %s", name, Choices())
}

// Choices names the rules, each with its help.
func Choices() string {
	var all []string
	for _, r := range rules {
		all = append(all, r.Name+" ("+r.Help+")")
	}
	return strings.Join(all, ", ")
}
