// Package doctor finds out what is wrong: with a board and its daemon (Doctor), and with
// the way to its cloud (LinkTest). Each has a list of checks, which are values; what a
// check finds is a Finding, with what to do where something is wrong. The support bundle
// packs what the doctor found with what else a report of a problem needs.
package doctor

import (
	"context"
	"fmt"
	"slices"
)

// Result of a check.
type Result string

// Results. A Warn is worth a look and keeps nothing from working; a Note is worth knowing
// and nothing is wrong.
const (
	Pass Result = "ok"
	Note Result = "note"
	Warn Result = "warn"
	Fail Result = "fail"
	Skip Result = "skip" // the check could not be made, or does not concern this board
)

// Finding is what came of a check.
type Finding struct {
	Check  string `json:"check"`
	Result Result `json:"result"`
	Detail string `json:"detail"`
	ToDo   string `json:"to_do,omitempty"` // where something is wrong
}

// Findings are in the order of the checks.
type Findings []Finding

// Any reports whether some have one of the results.
func (f Findings) Any(of ...Result) bool {
	return slices.ContainsFunc(f, func(k Finding) bool { return slices.Contains(of, k.Result) })
}

// Count is how many have the result.
func (f Findings) Count(r Result) (n int) {
	for _, k := range f {
		if k.Result == r {
			n++
		}
	}
	return n
}

func pass(format string, args ...any) Findings {
	return Findings{{Result: Pass, Detail: fmt.Sprintf(format, args...)}}
}
func warn(detail, todo string) Findings {
	return Findings{{Result: Warn, Detail: detail, ToDo: todo}}
}
func fail(detail, todo string) Findings {
	return Findings{{Result: Fail, Detail: detail, ToDo: todo}}
}
func skip(why string) Findings { return Findings{{Result: Skip, Detail: why}} }

// check is one thing to look at in a T. It is skipped where one of its needs, which
// earlier checks find out about, is not met; run's findings get the check's name.
type check[T any] struct {
	name  string
	needs []need[T]
	run   func(T, context.Context) Findings
}

// need is something without which a check cannot be made.
type need[T any] struct {
	what string // as "a connection"
	met  func(T) bool
}

func (c check[T]) look(ctx context.Context, t T) Findings {
	for _, n := range c.needs {
		if !n.met(t) {
			return skip("not without " + n.what)
		}
	}
	return c.run(t, ctx)
}

// lookAll goes through checks in their order, and says what each finds as soon as it is
// found; say may be nil. It ends early with the context.
func lookAll[T any](ctx context.Context, t T, checks []check[T], say func(Finding)) (all Findings) {
	for _, c := range checks {
		if ctx.Err() != nil {
			break
		}
		for _, f := range c.look(ctx, t) {
			f.Check = c.name
			all = append(all, f)
			if say != nil {
				say(f)
			}
		}
	}
	return all
}
