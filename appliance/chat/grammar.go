package chat

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"skerry/appliance/answer"
)

// Want is what an answer has to look like.
type Want struct {
	Format     string          // "", "json" or "schema"
	Schema     json.RawMessage // of Format "schema"
	Tools      []answer.Tool
	ToolChoice string // as in answer.Request
	Parallel   bool   // several calls in one answer
	Style      Style  // how the model writes calls
}

// WantOf is what a request wants of a model with template t (nil for none).
func WantOf(t *Template, r answer.Request) Want {
	return Want{Format: r.Format, Schema: r.Schema, Tools: r.Tools, ToolChoice: r.ToolChoice, Parallel: parallel(r), Style: StyleOf(t)}
}

// parallel says whether several calls may come: of a tool that is asked for by name
// there is just one.
func parallel(r answer.Request) bool {
	return r.ParallelTools && !strings.HasPrefix(r.ToolChoice, "function:")
}

// maxCalls of one answer.
const maxCalls = 16

// Grammar returns GBNF with the rule root that allows just the answers wanted, or ""
// where anything goes, as it does where the model may call a tool or not (then the
// Parser tells). Objects come with the properties of their schema in its order, and
// with others only where it speaks of additionalProperties. Errors are *answer.Error
// of BadRequest; Param is the JSON pointer of the keyword at fault, behind
// "response_format" or "tools/N".
func Grammar(w Want) (gbnf string, err error) {
	r := newRules()
	var roots []string
	calls, must, err := w.calls()
	if err != nil {
		return "", err
	}
	if must || len(calls) > 0 && w.Format != "" {
		root, err := r.calls(w, calls)
		if err != nil {
			return "", err
		}
		roots = append(roots, root)
	}
	if w.Format != "" && !must {
		root, err := r.format(w)
		if err != nil {
			return "", err
		}
		roots = append(roots, root)
	}
	if len(roots) == 0 {
		return "", nil
	}
	if r.check() != nil {
		return "", answer.Errorf(answer.BadRequest, "response_format", "the schema's grammar is too large: simplify the schema")
	}
	return "root ::= " + either(roots) + "\n" + r.text.String(), nil
}

// calls are the tools that may be called, by their place in the request, and whether
// one has to be.
func (w Want) calls() (tools []int, must bool, err error) {
	name, named := strings.CutPrefix(w.ToolChoice, "function:")
	for i, t := range w.Tools {
		if !named || t.Name == name {
			tools = append(tools, i)
		}
	}
	switch {
	case w.ToolChoice == "none":
		return nil, false, nil
	case w.ToolChoice == "" || w.ToolChoice == "auto":
		return tools, false, nil
	case named && len(tools) == 0:
		return nil, false, answer.Errorf(answer.BadRequest, "tool_choice", "there is no tool %q: name one of tools", name)
	case (named || w.ToolChoice == "required") && len(tools) > 0:
		return tools, true, nil
	case w.ToolChoice == "required":
		return nil, false, answer.Errorf(answer.BadRequest, "tool_choice", "a tool is required, and tools is empty: give some")
	}
	return nil, false, answer.Errorf(answer.BadRequest, "tool_choice", "tool_choice %q is none of none, auto, required or a function", w.ToolChoice)
}

func (r *rules) format(w Want) (string, error) {
	switch w.Format {
	case "json":
		return r.common("object"), nil
	case "schema":
		return r.schema(w.Schema, "response_format")
	}
	return "", answer.Errorf(answer.BadRequest, "response_format", "the format %q is none of text, json and schema", w.Format)
}

// schema is the rule of a whole document.
func (r *rules) schema(raw json.RawMessage, param string) (string, error) {
	if len(raw) == 0 {
		return "", answer.Errorf(answer.BadRequest, param, "the schema is missing")
	}
	c, err := newCompiler(r, raw, param)
	if err != nil {
		return "", err
	}
	root, err := c.place([]node{{c.root, ""}})
	if errors.Is(err, errNothing) {
		return "", c.fail("", "no value satisfies it")
	}
	return root, err
}

// calls is one call of the tools, or several where that is wanted, in the model's
// style.
func (r *rules) calls(w Want, tools []int) (string, error) {
	ws := r.common("ws")
	key := quote(quoteJSON(w.Style.arguments()))
	var bodies []string
	for _, i := range tools {
		t := w.Tools[i]
		arguments := r.common("object")
		if raw := t.Parameters; len(raw) > 0 && string(raw) != "null" {
			var err error
			if arguments, err = r.schema(raw, fmt.Sprintf("tools/%d", i)); err != nil {
				return "", err
			}
		}
		bodies = append(bodies, fmt.Sprintf(`"{" %[1]s "\"name\"" %[1]s ":" %[1]s %[2]s %[1]s "," %[1]s %[3]s %[1]s ":" %[1]s %[4]s %[1]s "}"`,
			ws, quote(quoteJSON(t.Name)), key, arguments))
	}
	slices.Sort(bodies)
	call := r.rule(either(bodies))
	more := func(between string) string {
		if !w.Parallel {
			return ""
		}
		return " (" + between + call + "){0," + fmt.Sprint(maxCalls-1) + "}"
	}
	switch w.Style {
	case Hermes:
		call = r.rule(`"<tool_call>" ` + ws + " " + call + " " + ws + ` "</tool_call>"`)
		return r.rule(call + more(`"\n"? `)), nil
	case Mistral:
		return r.rule(`"[TOOL_CALLS]" " "? "[" ` + call + more(`"," " "? `) + ` "]"`), nil
	case Llama:
		return r.rule(call + more(`";" " "? `)), nil
	}
	return r.rule(call + more(`"\n" `)), nil
}
