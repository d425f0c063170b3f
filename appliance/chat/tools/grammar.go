package tools

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"skerry/appliance/chat/grammar/schema"
	"skerry/appliance/chat/orderedjson"
	"skerry/appliance/infer"
)

// Want is what an answer has to look like.
type Want struct {
	Format     string          // "", "json" or "schema"
	Schema     json.RawMessage // of Format "schema"
	BestEffort bool            // what a grammar cannot carry of Schema is left out
	Tools      []infer.Tool    // of those that are not Strict likewise
	ToolChoice string          // as in infer.Request
	Parallel   bool            // several calls in one answer
	Style      Style           // how the model writes calls
}

// WantOf is what a request wants of a model that writes calls in the given style.
func WantOf(style Style, r infer.Request) Want {
	return Want{Format: r.Format, Schema: r.Schema, BestEffort: r.BestEffort, Tools: r.Tools, ToolChoice: r.ToolChoice, Parallel: parallel(r), Style: style}
}

// parallel says whether several calls may come: of a tool that is asked for by name
// there is just one.
func parallel(r infer.Request) bool {
	return r.ParallelTools && !strings.HasPrefix(r.ToolChoice, "function:")
}

// maxCalls of one answer.
const maxCalls = 16

// Grammar returns GBNF with the rule root that allows just the answers wanted, or ""
// where anything goes, as it does where the model may call a tool or not and none of them is
// strict (then the Parser tells). Objects come with the properties of their schema in its order, and
// with others only where it speaks of additionalProperties.
//
// Keywords that the answer is not held to are in left, as JSON pointers behind
// "response_format" or "tools/N": a format that the grammar does not know, which is an
// annotation (JSON Schema 2020-12 validation, section 7.2.1), and what no grammar can
// carry of a tool that nobody called strict, or of a schema that is to be followed as
// well as can be. Errors are *infer.Error of BadRequest; Param is such a pointer.
func Grammar(w Want) (gbnf string, left []string, err error) {
	r := schema.NewRules()
	var roots []string
	calls, must, err := w.calls()
	if err != nil {
		return "", nil, err
	}
	switch {
	case must || len(calls) > 0 && w.Format != "":
		root, err := w.callsRule(r, calls)
		if err != nil {
			return "", nil, err
		}
		roots = append(roots, root)
	case w.lazy():
		root, err := w.lazyRule(r, calls)
		if err != nil {
			return "", nil, err
		}
		if root == "" {
			w.leaveStrict(r)
			break
		}
		roots = append(roots, root)
	}
	if w.Format != "" && !must {
		root, err := w.formatRule(r)
		if err != nil {
			return "", nil, err
		}
		roots = append(roots, root)
	}
	if len(roots) == 0 {
		return "", r.Left(), nil
	}
	if gbnf, err = r.Grammar(roots); err != nil && w.lazy() { // which auto does not refuse
		w.leaveStrict(r)
		return "", r.Left(), nil
	}
	if err != nil {
		return "", nil, infer.Errorf(infer.BadRequest, "response_format", "the schema cannot be obeyed: %v", err)
	}
	return gbnf, r.Left(), nil
}

// leaveStrict notes that the calls of strict tools are not held to their schemas.
func (w Want) leaveStrict(r *schema.Rules) {
	for i, t := range w.Tools {
		if t.Strict {
			r.Leave(fmt.Sprintf("tools/%d/strict", i))
		}
	}
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
		return nil, false, infer.Errorf(infer.BadRequest, "tool_choice", "there is no tool %q: name one of tools", name)
	case (named || w.ToolChoice == "required") && len(tools) > 0:
		return tools, true, nil
	case w.ToolChoice == "required":
		return nil, false, infer.Errorf(infer.BadRequest, "tool_choice", "a tool is required, and tools is empty: give some")
	}
	return nil, false, infer.Errorf(infer.BadRequest, "tool_choice", "tool_choice %q is none of none, auto, required or a function", w.ToolChoice)
}

// formatRule is the rule of an answer in words.
func (w Want) formatRule(r *schema.Rules) (string, error) {
	switch w.Format {
	case "json":
		return r.Common("object"), nil
	case "schema":
		return r.Follow(w.Schema, "response_format", w.BestEffort, "value")
	}
	return "", infer.Errorf(infer.BadRequest, "response_format", "the format %q is none of text, json and schema", w.Format)
}

// argumentsRule is the rule of the arguments of a tool's calls: none where it has no parameters.
func (w Want) argumentsRule(r *schema.Rules, i int) (string, error) {
	t := w.Tools[i]
	if raw := string(t.Parameters); raw == "" || raw == "null" {
		return `"{" ` + r.Common("ws") + ` "}"`, nil
	}
	return r.Follow(t.Parameters, fmt.Sprintf("tools/%d", i), !t.Strict, "object")
}

// callsRule is the rule of one call of the tools, or of several where that is wanted, in
// the model's style.
func (w Want) callsRule(r *schema.Rules, tools []int) (string, error) {
	ws := r.Common("ws")
	key := schema.Quote(orderedjson.Quote(w.Style.arguments()))
	var bodies []string
	for _, i := range tools {
		arguments, err := w.argumentsRule(r, i)
		if err != nil {
			return "", err
		}
		bodies = append(bodies, fmt.Sprintf(`"{" %[1]s "\"name\"" %[1]s ":" %[1]s %[2]s %[1]s "," %[1]s %[3]s %[1]s ":" %[1]s %[4]s %[1]s "}"`,
			ws, schema.Quote(orderedjson.Quote(w.Tools[i].Name)), key, arguments))
	}
	slices.Sort(bodies)
	call := r.Rule(schema.Either(bodies))
	more := func(between string) string {
		if !w.Parallel {
			return ""
		}
		return " (" + between + call + "){0," + fmt.Sprint(maxCalls-1) + "}"
	}
	switch w.Style {
	case Hermes:
		call = r.Rule(`"<tool_call>" ` + ws + " " + call + " " + ws + ` "</tool_call>"`)
		return r.Rule(call + more(`"\n"? `)), nil
	case Mistral:
		return r.Rule(`"[TOOL_CALLS]" " "? "[" ` + call + more(`"," " "? `) + ` "]"`), nil
	case Llama:
		return r.Rule(call + more(`";" " "? `)), nil
	}
	return r.Rule(call + more(`"\n" `)), nil
}
