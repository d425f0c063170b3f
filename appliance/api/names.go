package api

import (
	"strings"

	"skerry/appliance/answer"
)

// bare is a model's name without the tag that Ollama's clients add.
func bare(name string) string { return strings.TrimSuffix(name, ":latest") }

// tagged is a model's name as Ollama's clients expect it.
func tagged(name string) string {
	if strings.Contains(name[strings.LastIndexByte(name, '/')+1:], ":") {
		return name
	}
	return name + ":latest"
}

// find returns the model of that name, "" for the first.
func (s *server) find(name string) (answer.Model, error) {
	models := s.Models()
	var names []string
	for _, m := range models {
		if name == "" || strings.EqualFold(bare(m.Name), bare(name)) {
			return m, nil
		}
		names = append(names, m.Name)
	}
	there := "there is none on this board yet"
	if len(names) > 0 {
		there = "this board has " + strings.Join(names, ", ")
	}
	return answer.Model{}, answer.Errorf(answer.NoModel, "model", "model %q not found: %s; /api/pull or skerry model fetches others", clip(name), there)
}

// resolve returns a model's name as the backend has it. While the backend knows no
// model, it is the backend that says why.
func (s *server) resolve(name string) (string, error) {
	if len(s.Models()) == 0 {
		return bare(name), nil
	}
	m, err := s.find(name)
	return m.Name, err
}
