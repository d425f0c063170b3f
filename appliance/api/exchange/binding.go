package exchange

import (
	"encoding/json"

	"skerry/appliance/infer"
)

// Bindings are the fields by which APIs of others bind what an answer looks like. One
// that were passed over would be answered with just any text, so that each is obeyed or
// refused by its name.
type Bindings struct {
	Format     json.RawMessage `json:"format"`      // Ollama's
	JSONSchema json.RawMessage `json:"json_schema"` // llama-server's
	GuidedJSON json.RawMessage `json:"guided_json"` // vLLM's, and so are the guided ones

	ResponseFormat    json.RawMessage `json:"response_format"` // where it is not of the route
	Schema            json.RawMessage `json:"schema"`
	ResponseSchema    json.RawMessage `json:"response_schema"`
	Grammar           json.RawMessage `json:"grammar"`
	GuidedGrammar     json.RawMessage `json:"guided_grammar"`
	GuidedRegex       json.RawMessage `json:"guided_regex"`
	GuidedChoice      json.RawMessage `json:"guided_choice"`
	StructuredOutputs json.RawMessage `json:"structured_outputs"`
	StructuralTag     json.RawMessage `json:"structural_tag"`
	Regex             json.RawMessage `json:"regex"`
	EBNF              json.RawMessage `json:"ebnf"`
	Tools             json.RawMessage `json:"tools"` // where they are not of the route
	ToolChoice        json.RawMessage `json:"tool_choice"`
	Functions         json.RawMessage `json:"functions"`
}

// Field of a request.
type Field struct {
	Name string
	Raw  json.RawMessage
}

// Refuse names the first field that is given and cannot be obeyed; instead is the one
// that can.
func (b *Bindings) Refuse(instead string, more ...Field) error {
	for _, f := range append([]Field{
		{"response_format", b.ResponseFormat}, {"schema", b.Schema}, {"response_schema", b.ResponseSchema}, {"grammar", b.Grammar},
		{"guided_grammar", b.GuidedGrammar}, {"guided_regex", b.GuidedRegex}, {"guided_choice", b.GuidedChoice},
		{"structured_outputs", b.StructuredOutputs}, {"structural_tag", b.StructuralTag}, {"regex", b.Regex}, {"ebnf", b.EBNF},
	}, more...) {
		if Given(f.Raw) {
			return BadRequest(f.Name, "%s is not supported here: send a JSON schema as %s", f.Name, instead)
		}
	}
	for _, f := range []Field{{"tools", b.Tools}, {"functions", b.Functions}, {"tool_choice", b.ToolChoice}} {
		if Given(f.Raw) && string(f.Raw) != `"none"` && string(f.Raw) != `"auto"` {
			return BadRequest(f.Name, "%s is not supported here: call tools in a chat", f.Name)
		}
	}
	return nil
}

// BindFormat takes in a format as Ollama has it: "json" or a schema.
func BindFormat(r *infer.Request, name string, raw json.RawMessage) error {
	switch s := string(raw); {
	case s == "" || s == "null" || s == `""`:
	case s == `"json"`:
		r.Format = "json"
	case s[0] == '{':
		r.Format, r.Schema = "schema", raw
	default:
		return BadRequest(name, `%s must be "json" or a JSON schema`, name)
	}
	return nil
}
