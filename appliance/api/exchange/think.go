package exchange

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"skerry/appliance/infer"
)

// Thinking are the fields by which clients say whether and how much the model is to think,
// and what else its chat template is to be given.
type Thinking struct {
	Think  json.RawMessage `json:"think"` // Ollama's: a boolean or a word
	Effort *string         `json:"reasoning_effort"`
	Args   map[string]any  `json:"chat_template_kwargs"`
	// Format "none" leaves thoughts where they are.
	Format    string `json:"reasoning_format"`
	InContent bool   `json:"reasoning_in_content"`
}

// efforts are the words for how much to think, none for not at all.
var efforts = []string{"none", "minimal", "low", "medium", "high", "xhigh", "max"}

// reserved are the variables of a template that are the conversation's own.
var reserved = []string{"messages", "tools", "documents", "add_generation_prompt", "bos_token", "eos_token"}

// mostArgs variables may be given to a chat template.
const mostArgs = 64

// Apply puts the fields into a request.
func (x *Thinking) Apply(r *infer.Request) error {
	if n := len(x.Args); n > mostArgs {
		return BadRequest("chat_template_kwargs", "chat_template_kwargs has %d variables: give at most %d", n, mostArgs)
	}
	args := map[string]any{}
	for _, name := range slices.Sorted(maps.Keys(x.Args)) {
		at := "chat_template_kwargs." + Clip(name)
		if slices.Contains(reserved, name) {
			return BadRequest(at, "%s is the conversation's own: send it in the field that it has", at)
		}
		switch v := x.Args[name].(type) {
		case string, bool, float64:
			args[name] = v
		case nil:
		default:
			return BadRequest(at, "%s must be a string, a number, true or false", at)
		}
	}
	word, param := Value(x.Effort), "reasoning_effort"
	switch s := string(x.Think); {
	case s == "" || s == "null":
	case s == "true" || s == "false":
		think(args, s == "true")
	case s[0] == '"':
		param = "think"
		json.Unmarshal(x.Think, &word)
	default:
		return BadRequest("think", "think must be true, false, low, medium or high")
	}
	if word != "" {
		if !slices.Contains(efforts, word) {
			return BadRequest(param, "%s is %q: it must be one of %s", param, Clip(word), strings.Join(efforts, ", "))
		}
		if think(args, word != "none"); word != "none" {
			args["reasoning_effort"] = word
		}
	}
	if len(args) > 0 {
		r.TemplateArgs = args
	}
	r.SplitThoughts = x.Format != "none" && !x.InContent
	return nil
}

// think sets the variables by which models have it.
func think(args map[string]any, whether bool) {
	for _, name := range []string{"enable_thinking", "thinking"} {
		if _, there := args[name]; !there {
			args[name] = whether
		}
	}
}

// Unheard are the fields about thinking that the model's template has no place for.
func (s *Server) Unheard(r infer.Request, x *Thinking) (all []infer.Ignored) {
	m, err := s.Find(r.Model)
	if err != nil || m.Template == "" {
		return nil
	}
	for _, name := range slices.Sorted(maps.Keys(x.Args)) {
		if _, set := r.TemplateArgs[name]; set && !strings.Contains(m.Template, name) {
			all = append(all, infer.Ignored{Field: "chat_template_kwargs." + Clip(name), Why: "the model's chat template has no such variable"})
		}
	}
	if string(x.Think) == "true" && !s.Thinks(m) {
		all = append(all, infer.Ignored{Field: "think", Why: "the model does not think before it answers"})
	}
	if word := Value(x.Effort); word != "" && word != "none" && !s.Thinks(m) {
		all = append(all, infer.Ignored{Field: "reasoning_effort", Why: "the model does not think before it answers"})
	}
	return all
}

// Thinks says whether a model's template knows of thoughts.
func (s *Server) Thinks(m infer.Model) bool {
	return strings.Contains(m.Template, "<think>") || strings.Contains(m.Template, "enable_thinking") || strings.Contains(m.Template, "reasoning_effort")
}
