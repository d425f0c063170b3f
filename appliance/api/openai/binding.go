package openai

import (
	"bytes"
	"encoding/json"

	"skerry/appliance/api/exchange"
	"skerry/appliance/infer"
)

// bind takes in what the answer is to look like, by response_format, which may be nil, or
// by another field that says it.
func (c *common) bind(r *infer.Request, format *responseFormat) error {
	if err := format.bind(r); err != nil {
		return err
	}
	said := ""
	if r.Format != "" {
		said = "response_format"
	}
	raw := func(s string) json.RawMessage { b, _ := json.Marshal(s); return b }
	choices, _ := json.Marshal(c.GuidedChoice)
	structured := exchange.Field{Name: "structured_outputs"}
	if c.Structured != nil {
		structured.Raw = json.RawMessage("true")
	}
	for _, f := range []struct {
		exchange.Field
		bind func() error
	}{
		{exchange.Field{Name: "format", Raw: c.Format}, func() error { return exchange.BindFormat(r, "format", c.Format) }},
		{exchange.Field{Name: "json_schema", Raw: c.JSONSchema}, func() error { return exchange.BindFormat(r, "json_schema", c.JSONSchema) }},
		{exchange.Field{Name: "guided_json", Raw: c.GuidedJSON}, func() error { return exchange.BindFormat(r, "guided_json", c.GuidedJSON) }},
		{exchange.Field{Name: "grammar", Raw: raw(c.Grammar)}, func() error { return bindGrammar(r, c.Grammar) }},
		{exchange.Field{Name: "guided_grammar", Raw: raw(c.GuidedGrammar)}, func() error { return bindGrammar(r, c.GuidedGrammar) }},
		{exchange.Field{Name: "guided_choice", Raw: choices}, func() error { return bindChoices(r, "guided_choice", c.GuidedChoice) }},
		{structured, func() error { return c.Structured.bind(r) }},
	} {
		if !exchange.Given(f.Raw) && !bytes.HasPrefix(f.Raw, []byte("{")) { // {} is a schema: any JSON
			continue
		}
		if said != "" {
			return exchange.BadRequest(f.Name, "%s and %s both set the form of the answer: send one of them", said, f.Name)
		}
		said = f.Name
		if err := f.bind(); err != nil {
			return err
		}
	}
	return nil
}

func bindGrammar(r *infer.Request, gbnf string) error {
	r.Format, r.Grammar = "grammar", gbnf
	return nil
}

// mostOptions of which an answer may be one.
const mostOptions = 1024

func bindChoices(r *infer.Request, param string, choices []string) error {
	if len(choices) > mostOptions {
		return exchange.BadRequest(param, "%s has %d strings: give at most %d", param, len(choices), mostOptions)
	}
	for _, c := range choices {
		if c == "" {
			return exchange.BadRequest(param, "a string of %s must not be empty", param)
		}
	}
	r.Format, r.Choices = "choice", choices
	return nil
}

// structuredOutputs are vLLM's: one of the fields binds the answer.
type structuredOutputs struct {
	JSON       json.RawMessage `json:"json"` // a schema, or one written out as a string
	JSONObject bool            `json:"json_object"`
	Choice     []string        `json:"choice"`
	Grammar    string          `json:"grammar"`
}

func (s *structuredOutputs) bind(r *infer.Request) error {
	var text string
	if json.Unmarshal(s.JSON, &text) == nil && text != "" {
		s.JSON = json.RawMessage(text)
	}
	n := 0
	for _, there := range []bool{len(s.JSON) > 0, s.JSONObject, len(s.Choice) > 0, s.Grammar != ""} {
		if there {
			n++
		}
	}
	switch {
	case n != 1:
		return exchange.BadRequest("structured_outputs", "structured_outputs must have one of json, json_object, choice and grammar")
	case len(s.JSON) > 0:
		if !json.Valid(s.JSON) || s.JSON[0] != '{' {
			return exchange.BadRequest("structured_outputs.json", "structured_outputs.json must be a JSON schema")
		}
		r.Format, r.Schema = "schema", s.JSON
	case s.JSONObject:
		r.Format = "json"
	case len(s.Choice) > 0:
		return bindChoices(r, "structured_outputs.choice", s.Choice)
	default:
		return bindGrammar(r, s.Grammar)
	}
	return nil
}

// responseFormat is OpenAI's. Of an object llama-server and others take a schema.
type responseFormat struct {
	Type   string `json:"type"`
	Schema struct {
		Name   string          `json:"name"`
		Strict *bool           `json:"strict"`
		Schema json.RawMessage `json:"schema"`
	} `json:"json_schema"`
	OfObject json.RawMessage `json:"schema"`
}

func (f *responseFormat) bind(r *infer.Request) error {
	if f == nil {
		return nil
	}
	if exchange.Given(f.OfObject) && f.Type != "json_object" {
		return exchange.BadRequest("response_format.schema", "response_format.schema is of type json_object: send response_format.json_schema.schema")
	}
	switch f.Type {
	case "text":
	case "json_object":
		r.Format = "json"
		if exchange.Given(f.OfObject) {
			if f.OfObject[0] != '{' {
				return exchange.BadRequest("response_format.schema", "response_format.schema must be an object: a JSON schema")
			}
			r.Format, r.Schema = "schema", f.OfObject
		}
	case "json_schema":
		s := f.Schema.Schema
		if len(s) == 0 || s[0] != '{' {
			return exchange.BadRequest("response_format.json_schema.schema", "response_format.json_schema.schema must be an object: a JSON schema")
		}
		r.Format, r.Schema = "schema", s
		r.BestEffort = f.Schema.Strict != nil && !*f.Schema.Strict
	default:
		return exchange.BadRequest("response_format.type", "response_format.type is %q: it must be text, json_object or json_schema", exchange.Clip(f.Type))
	}
	return nil
}
