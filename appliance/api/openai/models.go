package openai

import (
	"net/http"

	"skerry/appliance/api/exchange"
	"skerry/appliance/infer"
)

type modelEntry struct {
	ID      string `json:"id"`
	Object  string `json:"object"`
	Created int64  `json:"created"`
	Owner   string `json:"owned_by"`
	Context int    `json:"context_length"` // not OpenAI's, but widely read
}

func entry(m infer.Model) modelEntry {
	return modelEntry{m.Name, "model", max(0, m.Modified.Unix()), "skerry", m.Context}
}

func (s server) models(w http.ResponseWriter, r *http.Request) error {
	list := []modelEntry{}
	for _, m := range s.Models() {
		list = append(list, entry(m))
	}
	exchange.WriteJSON(w, http.StatusOK, map[string]any{"object": "list", "data": list})
	return nil
}

func (s server) model(w http.ResponseWriter, r *http.Request) error {
	id := r.PathValue("id")
	if id == "" {
		return exchange.Unknown(w, r)
	}
	m, err := s.Find(id)
	if err != nil {
		return err
	}
	exchange.WriteJSON(w, http.StatusOK, entry(m))
	return nil
}
