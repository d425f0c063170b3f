// Package grammar says which tokens may follow in an answer that a context-free grammar
// binds. Grammars are written in GBNF, the notation of llama.cpp, whose own matcher it
// stands in for: that one follows every way to read a text apart from the others, which
// takes time exponential in the text or the grammar, and cannot be stopped.
//
// It is Earley's method (Earley 1970, CACM 13(2)) over bytes, with each rule a finite
// automaton and the states of the parse kept as immutable sets that are found again by
// their content, so that a set and a byte lead to the next set by one look-up. What a
// token costs is bounded: whoever asks for more gets ErrWork.
package grammar

import (
	"errors"
	"fmt"
	"slices"
	"sync"
)

// Limits on a grammar.
const (
	maxText   = 2 << 20 // bytes of its source
	maxStates = 200_000 // of its automata, all together
	maxNested = 200     // groups within groups
)

// ErrLarge is wrapped by the error for a grammar above the limits.
var ErrLarge = errors.New("the grammar is too large: simplify it")

// Grammar is compiled and does not change. It may be used from several goroutines.
type Grammar struct {
	source string
	states []state
	ranges []span
	jumps  []int32
	calls  []call
	rules  []rule
	root   int32
	class  [256]uint8 // of a byte: bytes of one class lead to the same states everywhere
	sorts  int        // how many classes there are
}

// state of an automaton; what leads on from it lies in the grammar's slices.
type state struct {
	ranges, jumps, calls extent
	rule                 int32
	final                bool // of its rule
}

type extent struct{ from, to int32 }

// span leads on over the bytes from lo to hi.
type span struct {
	lo, hi byte
	to     int32
}

// call leads on over a text of a rule.
type call struct{ rule, to int32 }

type rule struct {
	start    int32
	nullable bool // the empty text is of it
}

// compiled keeps the grammars of late: a request's is compiled where it is checked and
// again where it is decoded, and programs ask with the same schema over and over.
var compiled struct {
	mu   sync.Mutex // guards all following
	list []*Grammar // the newest last
}

const keptGrammars = 8

// Compile reads a grammar in GBNF whose rule root is what a text has to be. Errors say
// what is wrong and where; ErrLarge is wrapped.
func Compile(source string) (*Grammar, error) {
	compiled.mu.Lock()
	i := slices.IndexFunc(compiled.list, func(g *Grammar) bool { return g.source == source })
	if i >= 0 {
		g := compiled.list[i]
		compiled.list = append(slices.Delete(compiled.list, i, i+1), g)
		compiled.mu.Unlock()
		return g, nil
	}
	compiled.mu.Unlock()
	if len(source) > maxText {
		return nil, fmt.Errorf("%w: it has %d bytes, %d are the limit", ErrLarge, len(source), maxText)
	}
	rules, err := parse(source)
	if err != nil {
		return nil, err
	}
	g, err := build(rules)
	if err != nil {
		return nil, err
	}
	g.source = source
	compiled.mu.Lock()
	defer compiled.mu.Unlock()
	if len(compiled.list) == keptGrammars {
		compiled.list = slices.Delete(compiled.list, 0, 1)
	}
	compiled.list = append(compiled.list, g)
	return g, nil
}
