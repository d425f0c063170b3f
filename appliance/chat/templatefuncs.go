package chat

import (
	"fmt"
	"strings"
	"time"

	"github.com/nikolalohinski/gonja/v2/builtins"
	"github.com/nikolalohinski/gonja/v2/exec"
)

// environment is what a template may call. Whatever makes long values of short ones is
// written here, with its bound; the rest is gonja's own.
func environment(t *Template) *exec.Environment {
	filters := map[string]exec.FilterFunction{
		"tojson": filterJSON, "items": filterItems, "trim": filterTrim,
		"replace": filterReplace, "join": filterJoin, "indent": filterIndent,
	}
	for _, name := range strings.Fields("abs capitalize default d dictsort e escape first float int last length count list lower map max min reject rejectattr reverse round safe select selectattr sort string title unique upper") {
		filters[name], _ = builtins.Filters.Get(name)
	}
	methods := map[string]exec.Method[string]{
		"strip":      stripMethod(true, true),
		"lstrip":     stripMethod(true, false),
		"rstrip":     stripMethod(false, true),
		"startswith": affixMethod(strings.HasPrefix),
		"endswith":   affixMethod(strings.HasSuffix),
		"replace":    replaceMethod,
		"join":       joinMethod,
		"split":      splitMethod,
	}
	for _, name := range strings.Fields("rsplit splitlines lower upper title capitalize find rfind index count isdigit isalpha isspace isupper islower removeprefix removesuffix partition rpartition") {
		methods[name], _ = builtins.Methods.Str.Get(name)
	}
	set := blocks()
	return &exec.Environment{
		Filters: exec.NewFilterSet(filters), Tests: builtins.Tests, ControlStructures: set,
		Methods: exec.Methods{
			Bool: builtins.Methods.Bool, Int: builtins.Methods.Int, Float: builtins.Methods.Float,
			Str: exec.NewMethodSet(methods), Dict: dictMethods(), List: exec.NewMethodSet(map[string]exec.Method[[]any]{}),
		},
		Context: exec.NewContext(map[string]any{
			"range": rangeOf, "namespace": namespaceOf, "dict": dictOfArgs,
			"raise_exception": raise,
			"strftime_now":    func(a *exec.VarArgs) *exec.Value { return exec.AsValue(strftime(a.First().String(), t.now())) },
		}),
	}
}

func raise(e *exec.Evaluator, a *exec.VarArgs) (*exec.Value, error) {
	b := budgetOf(e.Environment.Context)
	text := ""
	if len(a.Args) > 0 {
		text = strings.Join(strings.Fields(noMarks.strip(a.Args[0].String())), " ")
	}
	b.refused, b.refusing = text[:min(len(text), 300)], true
	return nil, fmt.Errorf("refused")
}

func rangeOf(a *exec.VarArgs) (*exec.Value, error) {
	low, high, step := 0, 0, 1
	for _, v := range a.Args {
		if !v.IsInteger() {
			return nil, fmt.Errorf("range of what is no integer")
		}
	}
	switch len(a.Args) {
	case 1:
		high = a.Args[0].Integer()
	case 2:
		low, high = a.Args[0].Integer(), a.Args[1].Integer()
	case 3:
		low, high, step = a.Args[0].Integer(), a.Args[1].Integer(), a.Args[2].Integer()
	default:
		return nil, fmt.Errorf("range has one to three arguments")
	}
	list := []any{}
	for i := low; step > 0 && i < high || step < 0 && i > high; i += step {
		if list = append(list, i); len(list) > maxLoop {
			return nil, fmt.Errorf("a range has more than %d numbers", maxLoop)
		}
	}
	return exec.AsValue(list), nil
}

func namespaceOf(a *exec.VarArgs) *exec.Value {
	ns := map[string]any{}
	for k, v := range a.KwArgs {
		ns[k] = v
	}
	return exec.AsValue(ns)
}

func dictOfArgs(a *exec.VarArgs) *exec.Value {
	d := exec.NewDict()
	for k, v := range a.KwArgs {
		d.Pairs = append(d.Pairs, &exec.Pair{Key: exec.AsValue(k), Value: v})
	}
	return exec.AsValue(d)
}

func filterJSON(e *exec.Evaluator, in *exec.Value, a *exec.VarArgs) *exec.Value {
	if in.IsError() {
		return in
	}
	if weigh(in, maxValue, 0) < 0 {
		return exec.AsValue(fmt.Errorf("tojson of more than %d bytes", maxValue))
	}
	indent := 0
	if v := a.KwArgs["indent"]; v != nil && v.IsInteger() {
		indent = max(0, min(v.Integer(), 16))
	} else if len(a.Args) > 0 && a.Args[0].IsInteger() {
		indent = max(0, min(a.Args[0].Integer(), 16))
	}
	return exec.AsValue(encodeJSON(jsonOf(in), indent))
}

// pairsOf are the members of a dictionary, in order.
func pairsOf(v *exec.Value) (pairs []*exec.Pair) {
	if d, ok := v.Interface().(*exec.Dict); ok {
		return d.Pairs
	}
	for _, key := range v.Keys() {
		x, _ := v.GetItem(key.String())
		pairs = append(pairs, &exec.Pair{Key: key, Value: x})
	}
	return pairs
}

func itemsOf(v *exec.Value) []any {
	list := []any{}
	for _, p := range pairsOf(v) {
		list = append(list, []any{p.Key, p.Value})
	}
	return list
}

func filterItems(e *exec.Evaluator, in *exec.Value, a *exec.VarArgs) *exec.Value {
	return exec.AsValue(itemsOf(in))
}

func dictMethods() *exec.MethodSet[map[string]any] {
	return exec.NewMethodSet(map[string]exec.Method[map[string]any]{
		"items": func(_ map[string]any, v *exec.Value, _ *exec.VarArgs) (any, error) { return itemsOf(v), nil },
		"keys": func(_ map[string]any, v *exec.Value, _ *exec.VarArgs) (any, error) {
			list := []any{}
			for _, p := range pairsOf(v) {
				list = append(list, p.Key)
			}
			return list, nil
		},
		"values": func(_ map[string]any, v *exec.Value, _ *exec.VarArgs) (any, error) {
			list := []any{}
			for _, p := range pairsOf(v) {
				list = append(list, p.Value)
			}
			return list, nil
		},
		"get": func(_ map[string]any, v *exec.Value, a *exec.VarArgs) (any, error) {
			if len(a.Args) == 0 {
				return nil, fmt.Errorf("get of no key")
			}
			if x, ok := v.GetItem(a.Args[0].String()); ok {
				return x.Interface(), nil
			}
			if len(a.Args) > 1 {
				return a.Args[1].Interface(), nil
			}
			return nil, nil
		},
	})
}

// strftime is Python's, of what templates use.
func strftime(format string, t time.Time) string {
	var b strings.Builder
	for i := 0; i < len(format); i++ {
		if format[i] != '%' || i+1 == len(format) {
			b.WriteByte(format[i])
			continue
		}
		i++
		unpadded := format[i] == '-' && i+1 < len(format)
		if unpadded {
			i++
		}
		if layout, ok := layouts[format[i]]; ok {
			s := t.Format(layout)
			if unpadded {
				s = strings.TrimLeft(s, "0 ")
			}
			b.WriteString(s)
		} else {
			b.WriteByte(format[i])
		}
	}
	return b.String()
}

var layouts = map[byte]string{
	'Y': "2006", 'y': "06", 'm': "01", 'd': "02", 'e': "_2", 'B': "January", 'b': "Jan", 'h': "Jan", 'A': "Monday",
	'a': "Mon", 'H': "15", 'I': "03", 'M': "04", 'S': "05", 'p': "PM", 'Z': "MST", 'z': "-0700",
	'j': "002", 'F': "2006-01-02", 'T': "15:04:05", 'D': "01/02/06", 'R': "15:04",
}
