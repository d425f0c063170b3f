package chat

import (
	"fmt"
	"strings"
	"unicode"

	"github.com/nikolalohinski/gonja/v2/exec"
)

// The functions on texts know the marks around what is somebody's words: blanks are
// stripped within them, and a beginning is looked for behind them.

// stripped removes characters (nil: white space) at the ends of a text.
func stripped(s string, chars *string, left, right bool) string {
	drop := unicode.IsSpace
	if chars != nil {
		drop = func(r rune) bool { return strings.ContainsRune(*chars, r) }
	}
	if left {
		head := ""
		for {
			s = strings.TrimLeftFunc(s, drop)
			m := leading(s)
			if m == "" {
				break
			}
			head, s = head+m, s[len(m):]
		}
		s = head + s
	}
	if right {
		tail := ""
		for {
			s = strings.TrimRightFunc(s, drop)
			m := trailing(s)
			if m == "" {
				break
			}
			tail, s = m+tail, s[:len(s)-len(m)]
		}
		s += tail
	}
	return s
}

func charsOf(a *exec.VarArgs) *string {
	if len(a.Args) == 0 || a.Args[0].IsNil() {
		return nil
	}
	s := a.Args[0].String()
	return &s
}

func stripMethod(left, right bool) exec.Method[string] {
	return func(self string, _ *exec.Value, a *exec.VarArgs) (any, error) {
		return stripped(self, charsOf(a), left, right), nil
	}
}

func filterTrim(e *exec.Evaluator, in *exec.Value, a *exec.VarArgs) *exec.Value {
	if in.IsError() {
		return in
	}
	return exec.AsValue(stripped(in.String(), charsOf(a), true, true))
}

func affixMethod(has func(s, affix string) bool) exec.Method[string] {
	return func(self string, _ *exec.Value, a *exec.VarArgs) (any, error) {
		if len(a.Args) == 0 {
			return nil, fmt.Errorf("an argument is missing")
		}
		s := noMarks.strip(self)
		if a.Args[0].IsList() {
			found := false
			a.Args[0].Iterate(func(_, _ int, x, _ *exec.Value) bool {
				found = found || has(s, noMarks.strip(x.String()))
				return !found
			}, func() {})
			return found, nil
		}
		return has(s, noMarks.strip(a.Args[0].String())), nil
	}
}

func splitMethod(self string, _ *exec.Value, a *exec.VarArgs) (any, error) {
	n := -1
	if len(a.Args) > 1 && a.Args[1].IsInteger() && a.Args[1].Integer() >= 0 {
		n = a.Args[1].Integer() + 1
	}
	var parts []string
	switch {
	case len(a.Args) == 0 || a.Args[0].IsNil():
		parts = strings.Fields(self)
	case a.Args[0].String() == "":
		return nil, fmt.Errorf("split at nothing")
	default:
		parts = strings.SplitN(self, a.Args[0].String(), n)
	}
	list := make([]any, 0, len(parts))
	for _, s := range parts {
		list = append(list, s)
	}
	return list, nil
}

func replaced(s string, a *exec.VarArgs) (string, error) {
	if len(a.Args) < 2 {
		return "", fmt.Errorf("replace has two arguments")
	}
	from, to, n := a.Args[0].String(), a.Args[1].String(), -1
	if len(a.Args) > 2 && a.Args[2].IsInteger() {
		n = a.Args[2].Integer()
	}
	if len(s)+(strings.Count(s, from)+1)*len(to) > maxValue {
		return "", fmt.Errorf("replace makes more than %d bytes", maxValue)
	}
	return strings.Replace(s, from, to, n), nil
}

func replaceMethod(self string, _ *exec.Value, a *exec.VarArgs) (any, error) {
	return replaced(self, a)
}

func filterReplace(e *exec.Evaluator, in *exec.Value, a *exec.VarArgs) *exec.Value {
	if in.IsError() {
		return in
	}
	s, err := replaced(in.String(), a)
	if err != nil {
		return exec.AsValue(err)
	}
	return exec.AsValue(s)
}

func joined(list *exec.Value, between string) (string, error) {
	var parts []string
	size := 0
	list.Iterate(func(_, _ int, x, _ *exec.Value) bool {
		parts = append(parts, x.String())
		size += len(parts[len(parts)-1]) + len(between)
		return size <= maxValue
	}, func() {})
	if size > maxValue {
		return "", fmt.Errorf("join makes more than %d bytes", maxValue)
	}
	return strings.Join(parts, between), nil
}

func joinMethod(self string, _ *exec.Value, a *exec.VarArgs) (any, error) {
	if len(a.Args) != 1 {
		return nil, fmt.Errorf("join has one argument")
	}
	return joined(a.Args[0], self)
}

func filterJoin(e *exec.Evaluator, in *exec.Value, a *exec.VarArgs) *exec.Value {
	if in.IsError() {
		return in
	}
	between := ""
	if v := a.KwArgs["d"]; v != nil {
		between = v.String()
	} else if len(a.Args) > 0 {
		between = a.Args[0].String()
	}
	s, err := joined(in, between)
	if err != nil {
		return exec.AsValue(err)
	}
	return exec.AsValue(s)
}

func filterIndent(e *exec.Evaluator, in *exec.Value, a *exec.VarArgs) *exec.Value {
	if in.IsError() {
		return in
	}
	width := 4
	if len(a.Args) > 0 && a.Args[0].IsInteger() {
		width = a.Args[0].Integer()
	} else if v := a.KwArgs["width"]; v != nil {
		width = v.Integer()
	}
	s := in.String()
	if width < 0 || width > 64 || len(s)+width*strings.Count(s, "\n") > maxValue {
		return exec.AsValue(fmt.Errorf("indent makes more than %d bytes", maxValue))
	}
	return exec.AsValue(strings.ReplaceAll(s, "\n", "\n"+strings.Repeat(" ", width)))
}
