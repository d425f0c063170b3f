package chat

import (
	"errors"
	"fmt"
	"io"
	"reflect"
	"regexp"
	"time"

	"github.com/nikolalohinski/gonja/v2/config"
	"github.com/nikolalohinski/gonja/v2/exec"
	"github.com/nikolalohinski/gonja/v2/tokens"

	"skerry/appliance/answer"
)

// Limits on a template. Published ones are up to 30 KB, and take milliseconds.
const (
	maxTemplate = 128 << 10       // bytes of source
	maxNesting  = 100             // brackets, and blocks in blocks
	maxExpr     = 1000            // tokens between delimiters
	maxGrowing  = 24              // operators in an expression that make text grow
	maxLoop     = 20_000          // turns of one loop
	maxTurns    = 200_000         // steps of a rendering
	maxInMacro  = 40              // macros in macros
	maxValue    = 16 << 20        // bytes of a variable
	maxOutput   = 32 << 20        // bytes written, over all
	maxTime     = 2 * time.Second // of a rendering
)

// careful refuses, before it is parsed, a source that would exhaust the parser, or
// build texts that no check in between could stop.
func careful(source string) error {
	if len(source) > maxTemplate {
		return fmt.Errorf("it is %d bytes long: %d are the limit", len(source), maxTemplate)
	}
	depth, blocks, count, growing := 0, 0, 0, 0
	all := lex(source)
	for i, t := range all {
		switch t.Type {
		case tokens.Error:
			return fmt.Errorf("line %d: %s", t.Line, t.Val)
		case tokens.BlockBegin, tokens.VariableBegin:
			depth, count, growing = 0, 0, 0
			if t.Type == tokens.BlockBegin && i+1 < len(all) {
				blocks += opens(all[i+1].Val)
			}
		case tokens.LeftParenthesis, tokens.LeftBracket, tokens.LeftBrace:
			depth++
		case tokens.RightParenthesis, tokens.RightBracket, tokens.RightBrace:
			depth--
		case tokens.Addition, tokens.Tilde:
			growing++
		case tokens.Multiply, tokens.Power:
			if err := multiplies(all, i); err != nil {
				return err
			}
		}
		count++
		if depth > maxNesting || blocks > maxNesting || count > maxExpr || growing > maxGrowing && t.Type != tokens.Data {
			return fmt.Errorf("line %d: it is too complicated", t.Line)
		}
	}
	return nil
}

func lex(source string) (all []*tokens.Token) {
	c := config.New()
	c.TrimBlocks, c.LeftStripBlocks = true, true
	s := tokens.LexAll(source, c)
	for !s.End() {
		all = append(all, s.Current())
		s.Next()
	}
	return all
}

// opens is the change of depth by a block.
func opens(name string) int {
	switch name {
	case "for", "if", "macro", "filter":
		return 1
	case "endfor", "endif", "endmacro", "endfilter":
		return -1
	}
	return 0
}

// multiplies lets a literal be repeated a literal number of times, and nothing else:
// products of texts grow beyond any check.
func multiplies(all []*tokens.Token, i int) error {
	if i > 0 && i+1 < len(all) && all[i].Type == tokens.Multiply {
		left, right := all[i-1], all[i+1]
		if (left.Type == tokens.String || left.Type == tokens.Integer) && right.Type == tokens.Integer && len(right.Val) <= 3 && len(left.Val) <= 64 {
			return nil
		}
	}
	return fmt.Errorf("line %d: only a literal may be multiplied, by a number up to 999", all[i].Line)
}

// budget is what a rendering has left.
type budget struct {
	now      func() time.Time
	end      time.Time
	turns    int
	written  int
	depth    int
	err      error // the first reason to stop
	refused  string
	refusing bool
}

const budgetKey = "\x00budget" // no template can name it

func newBudget(now func() time.Time) *budget { return &budget{now: now, end: now().Add(maxTime)} }

// spend takes steps.
func (b *budget) spend(turns, bytes int) error {
	b.turns += turns
	b.written += bytes
	switch {
	case b.err != nil:
	case b.turns > maxTurns:
		b.err = fmt.Errorf("it takes more than %d steps", maxTurns)
	case b.written > maxOutput:
		b.err = fmt.Errorf("it writes more than %d bytes", maxOutput)
	case b.now().After(b.end):
		b.err = fmt.Errorf("it takes longer than %v", maxTime)
	}
	return b.err
}

// line is where a rendering failed.
var line = regexp.MustCompile(`at line (\d+)`)

// cause is the error to tell: what the template itself said, the limit it met, or where
// it failed; not why, as gonja's reasons quote the messages.
func (b *budget) cause(err error) error {
	switch {
	case b.refusing:
		return answer.Errorf(answer.BadRequest, "messages", "the model's chat template refuses this conversation: %s", b.refused)
	case b.err != nil:
		return fmt.Errorf("chat template: %w", b.err)
	}
	var e *answer.Error
	if errors.As(err, &e) {
		return err
	}
	where := ""
	if m := line.FindAllStringSubmatch(err.Error(), -1); m != nil {
		where = " at line " + m[len(m)-1][1]
	}
	return fmt.Errorf("chat template: it cannot be rendered%s: another model or a plain prompt (raw) would do", where)
}

func budgetOf(c *exec.Context) *budget {
	b, _ := c.Get(budgetKey)
	return b.(*budget)
}

// limited counts what is written.
type limited struct {
	io.Writer
	b *budget
}

func (w *limited) Write(p []byte) (int, error) {
	if err := w.b.spend(1, len(p)); err != nil {
		return 0, err
	}
	return w.Writer.Write(p)
}

// fits refuses a value that is too large, or holds itself.
func (b *budget) fits(v any) error {
	if left := weigh(exec.ToValue(v), maxValue, 0); left < 0 {
		b.err = fmt.Errorf("it builds a value of more than %d bytes", maxValue)
	}
	return b.err
}

// weigh takes the size of a value from what is left.
func weigh(v *exec.Value, left, depth int) int {
	left -= 16
	if left < 0 || depth > maxNesting {
		return -1
	}
	if d, ok := v.Interface().(*exec.Dict); ok {
		for _, p := range d.Pairs {
			if left = weigh(p.Value, weigh(p.Key, left, depth+1), depth+1); left < 0 {
				return left
			}
		}
		return left
	}
	switch r := v.Val; r.Kind() {
	case reflect.String:
		return left - r.Len()
	case reflect.Slice, reflect.Array:
		for i := range r.Len() {
			if left = weigh(exec.ToValue(r.Index(i)), left, depth+1); left < 0 {
				return left
			}
		}
	case reflect.Map:
		for _, k := range r.MapKeys() {
			if left = weigh(exec.ToValue(r.MapIndex(k)), left-len(k.String()), depth+1); left < 0 {
				return left
			}
		}
	}
	return left
}
