package api

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"

	"go.yaml.in/yaml/v3"

	"skerry/appliance/api/exchange"
	"skerry/appliance/api/fields"
)

// document is what openapi.json is made of; it is served as JSON, which more tools
// read.
//
//go:embed openapi.yaml
var document []byte

var documentJSON = sync.OnceValues(func() ([]byte, error) {
	var tree map[string]any
	if err := yaml.Unmarshal(document, &tree); err != nil {
		return nil, fmt.Errorf("openapi.yaml: %w", err)
	}
	addFields(tree)
	return json.Marshal(tree)
})

// addFields puts the fields that are refused or harmless into the schemas of the requests,
// out of the table. Those that are done are in openapi.yaml, with their types.
func addFields(tree map[string]any) {
	schemas := tree["components"].(map[string]any)["schemas"].(map[string]any)
	for _, table := range fields.Tables {
		schema, _ := schemas[table.Schema].(map[string]any)
		if parts, ok := schema["allOf"].([]any); ok {
			schema = parts[len(parts)-1].(map[string]any)
		}
		if schema == nil {
			continue
		}
		properties := member(schema, "properties")
		for _, f := range table.Fields {
			to, name := properties, f.Name
			if rest, ok := strings.CutPrefix(name, "options."); ok {
				// What allOf joins has to hold together: the options of all are in one place.
				to, name = member(member(member(schemas, "OllamaCommon"), "properties"), "options"), rest
				to = member(to, "properties")
			}
			if _, there := to[name]; there || f.Treatment == fields.Done || strings.Contains(name, ".") {
				continue
			}
			to[name] = map[string]any{"description": described(f), "nullable": true, "x-skerry": string(f.Treatment)}
		}
	}
}

// member of an object that is an object, made where there is none.
func member(in map[string]any, name string) map[string]any {
	m, ok := in[name].(map[string]any)
	if !ok {
		m = map[string]any{}
		in[name] = m
	}
	return m
}

func described(f fields.Field) string {
	switch {
	case f.Treatment == fields.Harmless:
		return "Has no effect: " + f.Why
	case f.Checked:
		return "Refused"
	}
	text := "Refused: " + f.Why
	if len(f.Off) > 0 {
		text += "; " + strings.Join(f.Off, " and ") + " may be given"
	}
	return text
}

func (s ownServer) openapi(w http.ResponseWriter, r *http.Request) error {
	doc, err := documentJSON()
	if err != nil {
		return err
	}
	version, err := json.Marshal(s.Version)
	if err != nil {
		return err
	}
	exchange.WriteJSON(w, http.StatusOK, json.RawMessage(bytes.Replace(doc, []byte(`"VERSION"`), version, 1)))
	return nil
}
