package jinja

// The tree of a template. Statements run (exec.go), expressions have a value (eval.go).

type statement interface {
	exec(r *run, s *scope, out *builder) signal
}

type expression interface {
	eval(r *run, s *scope) Value
}

// target is what set and for put a value into.
type target interface {
	assign(r *run, s *scope, v Value)
}

type (
	verbatim struct{ text string }
	output   struct {
		expr expression
		line int
	}
	ifStatement struct {
		line      int
		tests     []expression
		bodies    [][]statement
		otherwise []statement
	}
	forStatement struct {
		line      int
		into      target
		over      expression
		test      expression // nil: all
		recursive bool
		body      []statement
		otherwise []statement
	}
	setStatement struct {
		line  int
		into  target
		value expression
	}
	setBlock struct {
		line int
		into target
		with *filterCall // nil: none; its innermost value is body's text
		body []statement
	}
	withStatement struct {
		line   int
		into   []target
		values []expression
		body   []statement
	}
	macroStatement struct {
		line int
		macroDefinition
	}
	macroDefinition struct {
		name     string
		params   []string
		defaults []expression // of the last params
		body     []statement
		// which of these the body names, so that calls may give them
		caller, varargs, kwargs bool
	}
	callStatement struct {
		line   int
		call   *call
		caller macroDefinition
	}
	filterStatement struct {
		line int
		with *filterCall
		body []statement
	}
	// scoped has a scope of its own: generation and block.
	scoped struct{ body []statement }
	// jump is break or continue.
	jump struct{ signal signal }
)

type (
	constant struct{ v Value }
	load     struct {
		line int
		name string
	}
	listOf  struct{ items []expression }
	tupleOf struct{ items []expression }
	dictOf  struct{ keys, vals []expression }
	unary   struct {
		line int
		op   string // - + not
		of   expression
	}
	binary struct {
		line        int
		op          string
		left, right expression
	}
	both     struct{ left, right expression } // and
	either   struct{ left, right expression } // or
	joined   struct{ parts []expression }     // ~
	compared struct {
		line  int
		first expression
		ops   []string
		rest  []expression
	}
	conditional struct{ test, then, otherwise expression } // otherwise may be nil
	attribute   struct {
		line int
		of   expression
		name string
	}
	subscript struct {
		line      int
		of, index expression
	}
	slicing struct{ from, to, step expression } // each may be nil
	call    struct {
		line int
		of   expression
		arguments
	}
	filterCall struct {
		line int
		name string
		of   expression // nil: the body of a block
		arguments
	}
	testCall struct {
		line int
		name string
		of   expression
		not  bool
		arguments
	}
	arguments struct {
		pos      []expression
		names    []string
		named    []expression
		morePos  expression // *x
		moreName expression // **x
	}
	nameTarget  struct{ name string }
	attrTarget  struct{ of, name string }
	tupleTarget struct{ parts []target }
)
