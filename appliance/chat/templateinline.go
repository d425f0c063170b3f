package chat

import (
	"strings"

	"github.com/nikolalohinski/gonja/v2/tokens"
)

// inlined rewrites conditional expressions, which gonja has at the top of a statement
// only, into what it has everywhere: a if c else b becomes ((c and [a] or [b]) | first);
// and indexes from the end.
func inlined(source string) string {
	w := inliner{source, lex(source)}
	var out strings.Builder
	last := 0
	for i := 0; i+1 < len(w.all); i++ {
		from, rewrite := i+1, w.list
		switch w.all[i].Type {
		case tokens.VariableBegin:
		case tokens.BlockBegin:
			from++ // behind the name of the statement
			if w.all[i+1].Val == "for" {
				rewrite = w.brackets // its own if is another
			}
		default:
			continue
		}
		to := from
		for to < len(w.all) && w.all[to].Type != tokens.VariableEnd && w.all[to].Type != tokens.BlockEnd {
			to++
		}
		if from >= to {
			continue
		}
		out.WriteString(source[last:w.pos(from)])
		out.WriteString(rewrite(from, to))
		last, i = w.pos(to), to
	}
	out.WriteString(source[last:])
	return out.String()
}

// inliner rewrites tokens from i up to j.
type inliner struct {
	source string
	all    []*tokens.Token
}

func (w inliner) pos(i int) int {
	if i >= len(w.all) || w.all[i].Type == tokens.EOF {
		return len(w.source)
	}
	return w.all[i].Pos
}

// list is expressions with commas, colons or = between them.
func (w inliner) list(i, j int) string {
	var out strings.Builder
	for k := range w.flat(i, j) {
		switch w.all[k].Type {
		case tokens.Comma, tokens.Colon, tokens.Assign:
			out.WriteString(w.expression(i, k))
			out.WriteString(w.source[w.pos(k):w.pos(k+1)])
			i = k + 1
		}
	}
	return out.String() + w.expression(i, j)
}

func (w inliner) expression(i, j int) string {
	yes, no := -1, j
	for k := range w.flat(i, j) {
		switch t := w.all[k]; {
		case t.Type != tokens.Name:
		case t.Val == "if" && yes < 0:
			yes = k
		case t.Val == "else" && yes >= 0 && no == j:
			no = k
		}
	}
	if yes < 0 {
		return w.brackets(i, j)
	}
	other := "''"
	if no < j {
		other = w.expression(no+1, j)
	}
	return " (((" + w.brackets(yes+1, no) + ") and [" + w.brackets(i, yes) + "] or [" + other + "])|first) "
}

// brackets rewrites what is in brackets only.
func (w inliner) brackets(i, j int) string {
	var out strings.Builder
	for k := range w.flat(i, j) {
		if bracket(w.all[k]) == 1 {
			end := w.close(k, j)
			out.WriteString(w.source[w.pos(i):w.pos(k+1)])
			out.WriteString(w.list(k+1, end))
			if i = end; w.fromEnd(k, end) {
				out.WriteString(":][0")
			}
		}
	}
	return out.String() + w.source[w.pos(i):w.pos(j)]
}

// fromEnd reports an index as [-1], with which gonja misses the first of a list. It is
// written [-1:][0].
func (w inliner) fromEnd(k, end int) bool {
	if end-k != 3 || k == 0 || w.all[k].Type != tokens.LeftBracket || w.all[k+1].Type != tokens.Subtraction || w.all[k+2].Type != tokens.Integer {
		return false
	}
	switch w.all[k-1].Type {
	case tokens.Name, tokens.RightParenthesis, tokens.RightBracket, tokens.RightBrace, tokens.String:
		return true
	}
	return false
}

// flat are the tokens outside of brackets, and the opening ones.
func (w inliner) flat(i, j int) func(yield func(int) bool) {
	return func(yield func(int) bool) {
		for k := i; k < j; k++ {
			if !yield(k) {
				return
			}
			if bracket(w.all[k]) == 1 {
				k = w.close(k, j)
			}
		}
	}
}

// close is the bracket that closes the one at k, or j.
func (w inliner) close(k, j int) int {
	depth := 0
	for ; k < j; k++ {
		if depth += bracket(w.all[k]); depth == 0 {
			break
		}
	}
	return k
}

func bracket(t *tokens.Token) int {
	switch t.Type {
	case tokens.LeftParenthesis, tokens.LeftBracket, tokens.LeftBrace:
		return 1
	case tokens.RightParenthesis, tokens.RightBracket, tokens.RightBrace:
		return -1
	}
	return 0
}
