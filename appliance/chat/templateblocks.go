package chat

import (
	"fmt"

	"github.com/nikolalohinski/gonja/v2/builtins"
	structures "github.com/nikolalohinski/gonja/v2/builtins/control_structures"
	"github.com/nikolalohinski/gonja/v2/exec"
	"github.com/nikolalohinski/gonja/v2/nodes"
	"github.com/nikolalohinski/gonja/v2/parser"
	"github.com/nikolalohinski/gonja/v2/tokens"
)

// blocks are the statements a template may use: those Hugging Face renders with, less
// what loads files.
func blocks() *exec.ControlStructureSet {
	set := map[string]parser.ControlStructureParser{}
	for _, name := range []string{"if", "raw", "break", "continue", "filter", "for", "set", "macro"} {
		parse, _ := builtins.ControlStructures.Get(name)
		set[name] = func(p, args *parser.Parser) (nodes.ControlStructure, error) {
			first := ""
			if t := args.Current(tokens.Name); t != nil {
				first = t.Val
			}
			s, err := parse(p, args)
			if err != nil {
				return nil, err
			}
			run, ok := s.(exec.ControlStructure)
			if !ok {
				return s, nil
			}
			return &block{ControlStructure: run, kind: name, name: first}, nil
		}
	}
	return exec.NewControlStructureSet(set)
}

// block is a statement that is counted.
type block struct {
	exec.ControlStructure
	kind string
	name string // of the variable set, or the macro
}

// Execute runs the statement within what the rendering may still spend.
func (s *block) Execute(r *exec.Renderer, tag *nodes.ControlStructureBlock) error {
	b := budgetOf(r.Environment.Context)
	if err := b.spend(1, 0); err != nil {
		return err
	}
	switch s.kind {
	case "for":
		return s.loop(r, tag, b)
	case "set":
		if err := s.ControlStructure.Execute(r, tag); err != nil {
			return err
		}
		v, _ := r.Environment.Context.Get(s.name)
		return b.fits(v)
	case "macro":
		return s.macro(r, tag, b)
	}
	return s.ControlStructure.Execute(r, tag)
}

const loopKey = "\x00loop"

// loop looks at what is to be gone through before it begins.
func (s *block) loop(r *exec.Renderer, tag *nodes.ControlStructureBlock, b *budget) error {
	f, ok := s.ControlStructure.(*structures.ForControlStructure)
	if !ok {
		return fmt.Errorf("for is not what it was")
	}
	over := r.Eval(f.ObjectEvaluator)
	if over.IsError() {
		return over
	}
	if over.IsIterable() && over.Len() > maxLoop {
		b.err = fmt.Errorf("a loop has more than %d turns", maxLoop)
		return b.err
	}
	if !over.IsIterable() {
		over = exec.AsValue([]any{})
	}
	if err := b.spend(over.Len(), 0); err != nil {
		return err
	}
	again := *f
	r.Environment.Context.Set(loopKey, over)
	again.ObjectEvaluator = &nodes.Name{Name: &tokens.Token{Type: tokens.Name, Val: loopKey}}
	if _, ok := r.Output.(*limited); !ok {
		out := r.Output
		r.Output = &limited{out, b}
		defer func() { r.Output = out }()
	}
	return again.Execute(r, tag)
}

// macro has calls of the macro counted.
func (s *block) macro(r *exec.Renderer, tag *nodes.ControlStructureBlock, b *budget) error {
	if err := s.ControlStructure.Execute(r, tag); err != nil {
		return err
	}
	v, _ := r.Environment.Context.Get(s.name)
	call, ok := v.(exec.Macro)
	if !ok {
		return nil
	}
	r.Environment.Context.Set(s.name, exec.Macro(func(args *exec.VarArgs) *exec.Value {
		if b.depth++; b.depth > maxInMacro && b.err == nil {
			b.err = fmt.Errorf("macros call one another more than %d deep", maxInMacro)
		}
		defer func() { b.depth-- }()
		for _, v := range args.Args {
			_ = b.fits(v)
		}
		for _, v := range args.KwArgs {
			_ = b.fits(v)
		}
		if err := b.spend(1, 0); err != nil {
			return exec.AsValue(err)
		}
		out := call(args)
		if err := b.fits(out); err != nil {
			return exec.AsValue(err)
		}
		return out
	}))
	return nil
}
