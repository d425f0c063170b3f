package api

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"fmt"
	"net/http"
	"skerry/appliance/api/exchange"
	"sync"

	"go.yaml.in/yaml/v3"
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
	return json.Marshal(tree)
})

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
