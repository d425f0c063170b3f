package jinja

import (
	"slices"
	"strings"
)

// listFilters are those that go through a value.
func listFilters() map[string]func(r *run, in Value, a args) Value {
	return map[string]func(r *run, in Value, a args) Value{
		"batch":      batch,
		"dictsort":   dictsort,
		"first":      first,
		"groupby":    groupby,
		"items":      itemsFilter,
		"last":       last,
		"list":       func(r *run, in Value, _ args) Value { return r.list(slices.Clone(r.items(in))) },
		"map":        mapFilter,
		"max":        func(r *run, in Value, a args) Value { return extreme(r, in, a, 1) },
		"min":        func(r *run, in Value, a args) Value { return extreme(r, in, a, -1) },
		"reject":     func(r *run, in Value, a args) Value { return r.selected(in, a, false, false) },
		"rejectattr": func(r *run, in Value, a args) Value { return r.selected(in, a, true, false) },
		"select":     func(r *run, in Value, a args) Value { return r.selected(in, a, false, true) },
		"selectattr": func(r *run, in Value, a args) Value { return r.selected(in, a, true, true) },
		"reverse":    reverse,
		"slice":      sliceFilter,
		"sort":       sortFilter,
		"sum":        sum,
		"unique":     unique,
	}
}

func first(r *run, in Value, _ args) Value {
	switch v := in.(type) {
	case Text:
		if v.s == "" {
			return Undefined{"No first item, sequence was empty."}
		}
		return v.slice(0, v.at(1))
	case *Range:
		if v.len() > 0 {
			return v.from
		}
	case *generator:
		if len(v.left) > 0 {
			x := v.left[0]
			v.left = v.left[1:]
			return x
		}
	default:
		if items := r.items(in); len(items) > 0 {
			return items[0]
		}
	}
	return Undefined{"No first item, sequence was empty."}
}

func last(r *run, in Value, _ args) Value {
	if _, ok := in.(*generator); ok {
		fail("'%s' object is not reversible", typeName(in))
	}
	if items := r.items(in); len(items) > 0 {
		return items[len(items)-1]
	}
	return Undefined{"No last item, sequence was empty."}
}

func itemsFilter(r *run, in Value, _ args) Value {
	switch v := in.(type) {
	case Undefined:
		return &generator{what: "generator"}
	case *Dict:
		return &generator{"generator", r.pairs(v)}
	}
	fail("Can only get item pairs from a mapping.")
	return nil
}

func reverse(r *run, in Value, _ args) Value {
	if t, ok := in.(Text); ok {
		b := r.builder()
		for _, c := range slices.Backward(r.runes(t)) {
			b.text(c.(Text))
		}
		return b.done()
	}
	items := slices.Clone(r.items(in))
	r.take(itemBytes * len(items))
	slices.Reverse(items)
	return &generator{"list_reverseiterator", items}
}

func batch(r *run, in Value, a args) Value {
	b := a.bind("batch", "linecount", "fill_with")
	n, all := max(intOf(b[0]), 1), []Value{}
	for part := range slices.Chunk(r.items(in), n) {
		r.step(1)
		row := slices.Clone(part)
		if fill := or(b[1], nil); fill != nil {
			r.take(itemBytes * (n - len(row)))
			for len(row) < n {
				row = append(row, fill)
			}
		}
		all = append(all, r.list(row))
	}
	return &generator{"generator", all}
}

// sliceFilter divides a value into so many columns.
func sliceFilter(r *run, in Value, a args) Value {
	b := a.bind("slice", "slices", "fill_with")
	items, n := r.items(in), intOf(b[0])
	if n < 1 || n > maxSteps {
		fail("slice into %d", n)
	}
	each, more, at := len(items)/n, len(items)%n, 0
	all := []Value{}
	for i := range n {
		r.step(1)
		size := each
		if i < more {
			size++
		}
		row := slices.Clone(items[at : at+size])
		at += size
		if fill := or(b[1], nil); fill != nil && i >= more {
			row = append(row, fill)
		}
		all = append(all, r.list(row))
	}
	return &generator{"generator", all}
}

// picked is an attribute of a value as filters name it: "a.b" is the b of the a, a
// number an index.
func (r *run) picked(v, by Value) Value {
	name, ok := by.(Text)
	if !ok {
		return r.item(v, by)
	}
	for _, part := range strings.Split(name.s, ".") {
		var key Value = Own(part)
		if part != "" && strings.Trim(part, "0123456789") == "" {
			key = number(part)
		}
		v = r.item(v, key)
	}
	return v
}

// folded is a value to be compared, without regard to case unless that is wanted.
func (r *run) folded(v Value, sensitive bool) Value {
	if t, ok := v.(Text); ok && !sensitive {
		return r.lower(t)
	}
	return v
}

func mapFilter(r *run, in Value, a args) Value {
	if !truth(in) { // None too, as in Jinja2
		return &generator{what: "generator"}
	}
	items := r.items(in)
	r.take(itemBytes * len(items))
	all := make([]Value, len(items))
	if len(a.pos) == 0 {
		b := a.bind("map", "attribute", "default")
		if _, ok := b[0].(unset); ok {
			fail("map requires a filter argument")
		}
		for i, x := range items {
			r.step(1)
			if all[i] = r.picked(x, b[0]); isUndefined(all[i]) {
				all[i] = or(b[1], all[i])
			}
		}
		return &generator{"generator", all}
	}
	name := wanted(a.pos[0]).s
	rest := args{a.pos[1:], a.names, a.vals}
	for i, x := range items {
		r.step(1)
		all[i] = r.filter(name, x, rest)
	}
	return &generator{"generator", all}
}

// selected are the items of which a test, by default their truth, is as wanted.
func (r *run) selected(in Value, a args, byAttribute, want bool) Value {
	if !truth(in) { // None too, as in Jinja2
		return &generator{what: "generator"}
	}
	rest := a.pos
	var by Value
	if byAttribute {
		if len(rest) == 0 {
			fail("selectattr requires an attribute")
		}
		by, rest = rest[0], rest[1:]
	}
	test := ""
	if len(rest) > 0 {
		test, rest = wanted(rest[0]).s, rest[1:]
	}
	all := []Value{}
	for _, x := range r.items(in) {
		r.step(1)
		v := x
		if byAttribute {
			v = r.picked(x, by)
		}
		yes := false
		if test == "" {
			yes = truth(v)
		} else {
			yes = r.test(test, v, args{rest, a.names, a.vals})
		}
		if yes == want {
			r.take(itemBytes)
			all = append(all, x)
		}
	}
	return &generator{"generator", all}
}

// keyed is an item and what it is sorted by.
type keyed struct{ item, by Value }

func (r *run) sorted(all []keyed, reversed bool) {
	r.take(itemBytes * len(all))
	slices.SortStableFunc(all, func(a, b keyed) int {
		c := r.order(must(a.by), must(b.by), 0)
		if reversed {
			return -c
		}
		return c
	})
}

func sortFilter(r *run, in Value, a args) Value {
	b := a.bind("sort", "reverse", "case_sensitive", "attribute")
	sensitive := truth(or(b[1], false))
	var all []keyed
	for _, x := range r.items(in) {
		all = append(all, keyed{x, r.sortKey(x, or(b[2], nil), sensitive)})
	}
	r.sorted(all, truth(or(b[0], false)))
	items := make([]Value, len(all))
	for i, k := range all {
		items[i] = k.item
	}
	return r.list(items)
}

func (r *run) sortKey(x, by Value, sensitive bool) Value {
	if by == nil {
		return r.folded(x, sensitive)
	}
	name, ok := by.(Text)
	if !ok || !strings.Contains(name.s, ",") {
		return r.folded(r.picked(x, by), sensitive)
	}
	t := &List{}
	for _, part := range strings.Split(name.s, ",") {
		t.Items = append(t.Items, r.folded(r.picked(x, Own(part)), sensitive))
	}
	return t
}

func dictsort(r *run, in Value, a args) Value {
	b := a.bind("dictsort", "case_sensitive", "by", "reverse")
	d, ok := must(in).(*Dict)
	if !ok {
		fail("'%s' object has no attribute 'items'", typeName(in))
	}
	at := 0
	switch wanted(or(b[1], Own("key"))).s {
	case "key":
	case "value":
		at = 1
	default:
		fail(`you can only sort by either "key" or "value"`)
	}
	var all []keyed
	for _, p := range r.pairs(d) {
		all = append(all, keyed{p, r.folded(p.(*Tuple).Items[at], truth(or(b[0], false)))})
	}
	r.sorted(all, truth(or(b[2], false)))
	items := make([]Value, len(all))
	for i, k := range all {
		items[i] = k.item
	}
	return r.list(items)
}

func groupby(r *run, in Value, a args) Value {
	b := a.bind("groupby", "attribute", "default", "case_sensitive")
	sensitive := truth(or(b[2], false))
	var all []keyed
	pick := func(x Value) Value {
		v := r.picked(x, b[0])
		if isUndefined(v) {
			v = or(b[1], v)
		}
		return v
	}
	for _, x := range r.items(in) {
		all = append(all, keyed{x, r.folded(pick(x), sensitive)})
	}
	r.sorted(all, false)
	groups := []Value{}
	for i := 0; i < len(all); {
		members := &List{}
		j := i
		for ; j < len(all) && r.equal(all[i].by, all[j].by, 0); j++ {
			members.Items = append(members.Items, all[j].item)
		}
		groups = append(groups, &Tuple{[]Value{pick(all[i].item), members}, []string{"grouper", "list"}})
		i = j
	}
	return r.list(groups)
}

func extreme(r *run, in Value, a args, sign int) Value {
	b := a.bind("max", "case_sensitive", "attribute")
	items := r.items(in)
	if len(items) == 0 {
		return Undefined{"No aggregated item, sequence was empty."}
	}
	sensitive := truth(or(b[0], false))
	best := 0
	key := func(i int) Value { return r.sortKey(items[i], or(b[1], nil), sensitive) }
	for i := range items {
		if r.order(must(key(i)), must(key(best)), 0)*sign > 0 {
			best = i
		}
	}
	return items[best]
}

func sum(r *run, in Value, a args) Value {
	b := a.bind("sum", "attribute", "start")
	total := or(b[1], int64(0))
	for _, x := range r.items(in) {
		r.step(1)
		if by := or(b[0], nil); by != nil {
			x = r.picked(x, by)
		}
		total = r.operate("+", total, x)
	}
	return total
}

func unique(r *run, in Value, a args) Value {
	b := a.bind("unique", "case_sensitive", "attribute")
	seen, all := map[any]bool{}, []Value{}
	for _, x := range r.items(in) {
		r.step(1)
		h := hashed(r.sortKey(x, or(b[1], nil), truth(or(b[0], false))), 0)
		if !seen[h] {
			seen[h] = true
			all = append(all, x)
		}
	}
	return &generator{"generator", all}
}
