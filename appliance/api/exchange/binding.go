package exchange

import (
	"encoding/json"

	"skerry/appliance/infer"
)

// Field of a request.
type Field struct {
	Name string
	Raw  json.RawMessage
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
