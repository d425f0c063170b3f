package exchange

import (
	"strings"

	"skerry/appliance/infer"
)

// Bare is a model's name without the tag that Ollama's clients add.
func Bare(name string) string { return strings.TrimSuffix(name, ":latest") }

// Tagged is a model's name as Ollama's clients expect it.
func Tagged(name string) string {
	if strings.Contains(name[strings.LastIndexByte(name, '/')+1:], ":") {
		return name
	}
	return name + ":latest"
}

// Find returns the model of that name, "" for the first.
func (s *Server) Find(name string) (infer.Model, error) {
	models := s.Models()
	var names []string
	for _, m := range models {
		if name == "" || strings.EqualFold(Bare(m.Name), Bare(name)) {
			return m, nil
		}
		names = append(names, m.Name)
	}
	there := "there is none on this board yet"
	if len(names) > 0 {
		there = "this board has " + strings.Join(names, ", ")
	}
	return infer.Model{}, infer.Errorf(infer.NoModel, "model", "model %q not found: %s; /api/pull or skerry model fetches others", Clip(name), there)
}

// Resolve returns a model's name as the backend has it. While the backend knows no
// model, it is the backend that says why.
func (s *Server) Resolve(name string) (string, error) {
	if len(s.Models()) == 0 {
		return Bare(name), nil
	}
	m, err := s.Find(name)
	return m.Name, err
}
