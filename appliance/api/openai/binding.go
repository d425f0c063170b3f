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
	for _, f := range []exchange.Field{{Name: "format", Raw: c.Format}, {Name: "json_schema", Raw: c.JSONSchema}, {Name: "guided_json", Raw: c.GuidedJSON}} {
		if !exchange.Given(f.Raw) && !bytes.HasPrefix(f.Raw, []byte("{")) { // {} is a schema: any JSON
			continue
		}
		if said != "" {
			return exchange.BadRequest(f.Name, "%s and %s both set the form of the answer: send one of them", said, f.Name)
		}
		said = f.Name
		if err := exchange.BindFormat(r, f.Name, f.Raw); err != nil {
			return err
		}
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
