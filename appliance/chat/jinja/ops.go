package jinja

import (
	"cmp"
	"math"
	"math/big"
	"strings"
)

// maxBits of an integer.
const maxBits = 1 << 14

// bigOf is an integer or a boolean, nil of anything else.
func bigOf(v Value) *big.Int {
	switch v := v.(type) {
	case bool:
		if v {
			return big.NewInt(1)
		}
		return new(big.Int)
	case int64:
		return big.NewInt(v)
	case *big.Int:
		return v
	}
	return nil
}

// floatOf is a number as a float.
func floatOf(v Value) (float64, bool) {
	switch v := v.(type) {
	case float64:
		return v, true
	case int64:
		return float64(v), true
	case bool, *big.Int:
		f, _ := new(big.Float).SetInt(bigOf(v)).Float64()
		return f, true
	}
	return 0, false
}

// intOf is an index or count.
func intOf(v Value) int {
	switch v := must(v).(type) {
	case int64:
		if v > math.MaxInt32 || v < math.MinInt32 {
			fail("a number is too large here")
		}
		return int(v)
	case bool:
		if v {
			return 1
		}
		return 0
	}
	fail("'%s' object cannot be interpreted as an integer", typeName(v))
	return 0
}

// operate does what stands between two values.
func (r *run) operate(op string, left, right Value) Value {
	if t, ok := must(left).(Text); ok && op == "%" {
		return r.percent(t, right)
	}
	must(right)
	if a, b := bigOf(left), bigOf(right); a != nil && b != nil {
		return integers(op, a, b)
	}
	if a, ok := floatOf(left); ok {
		if b, ok := floatOf(right); ok {
			return floats(op, a, b)
		}
	}
	switch op {
	case "+":
		if v := r.plus(left, right); v != nil {
			return v
		}
	case "*":
		if v := r.times(left, right); v != nil {
			return v
		}
		if v := r.times(right, left); v != nil {
			return v
		}
	}
	fail("unsupported operand type(s) for %s: '%s' and '%s'", op, typeName(left), typeName(right))
	return nil
}

func (r *run) plus(left, right Value) Value {
	switch a := left.(type) {
	case Text:
		if b, ok := right.(Text); ok {
			return r.concat(r.beside(a, b), r.beside(b, a)).as(Text{markup: a.markup || b.markup})
		}
	case *List:
		if b, ok := right.(*List); ok {
			return r.list(append(append(make([]Value, 0, len(a.Items)+len(b.Items)), a.Items...), b.Items...))
		}
	case *Tuple:
		if b, ok := right.(*Tuple); ok {
			r.take(itemBytes * (len(a.Items) + len(b.Items)))
			return &Tuple{Items: append(append([]Value{}, a.Items...), b.Items...)}
		}
	}
	return nil
}

// times repeats a text, list or tuple.
func (r *run) times(of, n Value) Value {
	if bigOf(n) == nil {
		return nil
	}
	switch v := of.(type) {
	case Text:
		return r.repeat(v, intOf(n))
	case *List:
		return &List{r.repeated(v.Items, intOf(n))}
	case *Tuple:
		return &Tuple{Items: r.repeated(v.Items, intOf(n))}
	}
	return nil
}

func (r *run) repeated(items []Value, n int) (all []Value) {
	if n > 0 && len(items) > maxMemory/itemBytes/n {
		exceed("it builds more than %d MB", maxMemory/1_000_000)
	}
	r.take(itemBytes * len(items) * max(n, 0))
	for range n {
		all = append(all, items...)
	}
	return all
}

func integers(op string, a, b *big.Int) Value {
	n := new(big.Int)
	switch op {
	case "+":
		n.Add(a, b)
	case "-":
		n.Sub(a, b)
	case "*":
		n.Mul(a, b)
	case "**":
		return power(a, b)
	case "/", "//", "%":
		if b.Sign() == 0 {
			fail("division by zero")
		}
		if op == "/" {
			f, _ := new(big.Rat).SetFrac(a, b).Float64()
			return f
		}
		m := new(big.Int)
		n.DivMod(a, b, m)                  // the rest is never below 0
		if b.Sign() < 0 && m.Sign() != 0 { // Python's has the sign of b
			m.Add(m, b)
			n.Sub(n, big.NewInt(1))
		}
		if op == "%" {
			n = m
		}
	}
	if n.BitLen() > maxBits {
		fail("a number is too large")
	}
	return shrunk(n)
}

func power(a, b *big.Int) Value {
	if b.Sign() < 0 {
		x, _ := floatOf(shrunk(a))
		y, _ := floatOf(shrunk(b))
		return floats("**", x, y)
	}
	if !b.IsInt64() || b.Int64() > maxBits || int64(a.BitLen())*b.Int64() > maxBits {
		if a.BitLen() <= 1 { // 0, 1 and -1
			return shrunk(new(big.Int).Exp(a, new(big.Int).Add(new(big.Int).And(b, big.NewInt(1)), big.NewInt(2)), nil))
		}
		fail("a number is too large")
	}
	return shrunk(new(big.Int).Exp(a, b, nil))
}

func floats(op string, a, b float64) Value {
	switch op {
	case "+":
		return a + b
	case "-":
		return a - b
	case "*":
		return a * b
	case "**":
		if a == 0 && b < 0 {
			fail("0.0 cannot be raised to a negative power")
		}
		return math.Pow(a, b)
	}
	if b == 0 {
		fail("float division by zero")
	}
	if op == "/" {
		return a / b
	}
	m := math.Mod(a, b)
	if m != 0 && (m < 0) != (b < 0) {
		m += b
	}
	if op == "%" {
		return m
	}
	return math.Round((a - m) / b)
}

func (r *run) compare(op string, a, b Value) bool {
	switch op {
	case "==":
		return r.equal(a, b, 0)
	case "!=":
		return !r.equal(a, b, 0)
	case "in":
		return r.contains(b, a)
	case "not in":
		return !r.contains(b, a)
	}
	c := r.order(must(a), must(b), 0)
	switch op {
	case "<":
		return c < 0
	case "<=":
		return c <= 0
	case ">":
		return c > 0 && c != unordered
	}
	return c >= 0 && c != unordered
}

func (r *run) equal(a, b Value, depth int) bool {
	r.step(1)
	if depth > maxNested {
		exceed("values are nested more than %d deep", maxNested)
	}
	if x, y := bigOf(a), bigOf(b); x != nil && y != nil {
		return x.Cmp(y) == 0
	}
	if x, ok := floatOf(a); ok {
		if y, ok := floatOf(b); ok {
			return x == y
		}
	}
	switch x := a.(type) {
	case nil:
		return b == nil
	case Text:
		y, ok := b.(Text)
		return ok && x.s == y.s
	case Undefined:
		_, ok := b.(Undefined)
		return ok
	case *List:
		y, ok := b.(*List)
		return ok && r.equalItems(x.Items, y.Items, depth)
	case *Tuple:
		y, ok := b.(*Tuple)
		return ok && r.equalItems(x.Items, y.Items, depth)
	case *Dict:
		y, ok := b.(*Dict)
		if !ok || len(x.keys) != len(y.keys) {
			return false
		}
		for i, k := range x.keys {
			if v, ok := y.Get(k); !ok || !r.equal(x.vals[i], v, depth+1) {
				return false
			}
		}
		return true
	case *Range:
		y, ok := b.(*Range)
		return ok && *x == *y
	case function:
		return false
	}
	if _, ok := b.(function); ok {
		return false
	}
	return a == b
}

func (r *run) equalItems(a, b []Value, depth int) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if !r.equal(a[i], b[i], depth+1) {
			return false
		}
	}
	return true
}

// unordered is how a NaN stands to any number.
const unordered = 2

// order is less, equal or more: -1, 0, 1.
func (r *run) order(a, b Value, depth int) int {
	r.step(1)
	if depth > maxNested {
		exceed("values are nested more than %d deep", maxNested)
	}
	if x, y := bigOf(a), bigOf(b); x != nil && y != nil {
		return x.Cmp(y)
	}
	if x, ok := floatOf(a); ok {
		if y, ok := floatOf(b); ok {
			switch {
			case x < y:
				return -1
			case x > y:
				return 1
			case x == y:
				return 0
			}
			return unordered
		}
	}
	switch x := a.(type) {
	case Text:
		if y, ok := b.(Text); ok {
			return strings.Compare(x.s, y.s)
		}
	case *List:
		if y, ok := b.(*List); ok {
			return r.orderItems(x.Items, y.Items, depth)
		}
	case *Tuple:
		if y, ok := b.(*Tuple); ok {
			return r.orderItems(x.Items, y.Items, depth)
		}
	}
	fail("'<' not supported between instances of '%s' and '%s'", typeName(a), typeName(b))
	return 0
}

func (r *run) orderItems(a, b []Value, depth int) int {
	for i := range min(len(a), len(b)) {
		if !r.equal(a[i], b[i], depth+1) {
			return r.order(a[i], b[i], depth+1)
		}
	}
	return cmp.Compare(len(a), len(b))
}

// contains says whether x is in a value.
func (r *run) contains(in, x Value) bool {
	switch v := in.(type) {
	case Text:
		t, ok := must(x).(Text)
		if !ok {
			fail("'in <string>' requires string as left operand, not %s", typeName(x))
		}
		r.looked(len(v.s))
		return strings.Contains(v.s, t.s)
	case *Dict:
		_, ok := v.Get(x)
		return ok
	case *Range:
		n := bigOf(x)
		if n == nil || !n.IsInt64() || v.step == 0 {
			return false
		}
		i := n.Int64()
		inside := v.step > 0 && i >= v.from && i < v.to || v.step < 0 && i <= v.from && i > v.to
		return inside && (i-v.from)%v.step == 0
	case nil, bool, int64, float64, *big.Int:
		fail("argument of type '%s' is not iterable", typeName(in))
	case *Namespace:
		fail("argument of type 'Namespace' is not iterable")
	}
	for _, item := range r.items(in) {
		if r.equal(item, x, 0) {
			return true
		}
	}
	return false
}
