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

// Find returns the model that is meant by a name, "" for the default.
func (s *Server) Find(name string) (infer.Model, error) { return s.Backend.Resolve(name) }

// Resolve returns a model's name as the backend has it. While the backend knows no
// model, it is the backend that says why.
func (s *Server) Resolve(name string) (string, error) {
	if len(s.Models()) == 0 {
		return Bare(name), nil
	}
	m, err := s.Find(name)
	return m.Name, err
}
