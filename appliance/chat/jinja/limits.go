package jinja

import (
	"fmt"
	"strings"
	"time"
)

// Limits on a template. Published ones are up to 30 KB, and take milliseconds.
const (
	maxSource = 256 << 10       // bytes of source
	maxParse  = 150             // expressions in expressions, and blocks in blocks
	maxDepth  = 100             // macros and recursive loops in one another
	maxNested = 100             // values in values, where they are gone through
	maxSteps  = 2_000_000       // of a rendering: nodes evaluated, turns, items
	maxText   = 32 << 20        // bytes of one text, the output's among them
	maxMemory = 512 << 20       // bytes built over a whole rendering
	maxTime   = 5 * time.Second // of a rendering
)

// Error is why a template cannot be parsed or rendered.
type Error struct {
	Line    int // of the source, from 1
	Message string
	// Limit says that a rendering came to one of the limits, which may be for the size of what
	// it was given.
	Limit bool
}

func (e *Error) Error() string { return fmt.Sprintf("line %d: %s", e.Line, e.Message) }

// Refusal is what a template says to raise_exception of a conversation that it does not
// take.
type Refusal struct {
	Line    int
	Message string
}

func (e *Refusal) Error() string { return fmt.Sprintf("line %d: it refuses: %s", e.Line, e.Message) }

// failure goes as a panic from where an operation cannot be done to Render or Parse,
// which know the line.
type failure string

func fail(format string, args ...any) {
	panic(failure(fmt.Sprintf(format, args...)))
}

// exceeded goes as a panic from where a limit is met.
type exceeded string

func exceed(format string, args ...any) {
	panic(exceeded(fmt.Sprintf(format, args...)))
}

// refused goes as a panic from raise_exception.
type refused string

// caught turns a panic of this package into an error.
func caught(recovered any, line int) error {
	switch e := recovered.(type) {
	case nil:
		return nil
	case *Error:
		return e
	case failure:
		return &Error{Line: line, Message: shortened(string(e))}
	case exceeded:
		return &Error{Line: line, Message: shortened(string(e)), Limit: true}
	case refused:
		return &Refusal{line, shortened(string(e))}
	}
	return &Error{Line: line, Message: shortened(fmt.Sprintf("it cannot be rendered: %v", recovered))}
}

// shortened is a message as one line of no more than 300 bytes.
func shortened(s string) string {
	s = strings.Join(strings.Fields(s), " ")
	if len(s) > 300 {
		s = strings.ToValidUTF8(s[:300], "") + " …"
	}
	return s
}

// run is one rendering, and what it has used up.
type run struct {
	now    func() time.Time
	end    time.Time
	steps  int
	memory int
	depth  int
	line   int // of the statement or call that is being done
}

// step counts n steps.
func (r *run) step(n int) {
	if n < 0 || n > maxSteps {
		exceed("it takes more than %d steps", maxSteps)
	}
	before := r.steps
	if r.steps += n; r.steps > maxSteps {
		exceed("it takes more than %d steps", maxSteps)
	}
	if before>>8 != r.steps>>8 {
		r.inTime()
	}
}

func (r *run) inTime() {
	if r.now().After(r.end) {
		exceed("it takes longer than %v", maxTime)
	}
}

// take counts n bytes that are about to be built.
func (r *run) take(n int) {
	if n < 0 || n > maxMemory {
		exceed("it builds more than %d MB", maxMemory/1_000_000)
	}
	before := r.memory
	if r.memory += n; r.memory > maxMemory {
		exceed("it builds more than %d MB", maxMemory/1_000_000)
	}
	if before>>20 != r.memory>>20 {
		r.inTime()
	}
}

// looked counts the reading of n bytes of a text.
func (r *run) looked(n int) { r.step(1 + n>>10) }

// down goes one macro or recursive loop deeper; the caller comes up again.
func (r *run) down() {
	if r.depth++; r.depth > maxDepth {
		fail("macros or recursive loops call one another more than %d deep", maxDepth)
	}
}

func (r *run) up() { r.depth-- }

// itemBytes is about what an item of a list takes.
const itemBytes = 64
