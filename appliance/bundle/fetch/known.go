package fetch

import (
	"slices"
	"strings"
)

// Known finds the model of Packaged that a name means: in any case, with Ollama's tag (as
// qwen2.5-coder:1.5b, or :latest), or shortened where only one begins so. ok is false where
// none does, or several do.
func Known(name string) (known string, ok bool) {
	name = strings.TrimSuffix(strings.ToLower(name), ":latest")
	name = strings.ReplaceAll(name, ":", "-")
	var begins []string
	for _, k := range Packaged() {
		if k == name {
			return k, true
		}
		if len(name) > 0 && strings.HasPrefix(k, name+"-") {
			begins = append(begins, k)
		}
	}
	if len(begins) != 1 {
		return "", false
	}
	return begins[0], true
}

// Licence of a model that Model knows by name, "" where there is no such model.
func Licence(name string) string { return packaged[name].license }

// draftOf has the names of the models that draft for others of their family.
var draftOf = map[string]string{"qwen2.5-coder-1.5b": "qwen2.5-coder-0.5b"}

// DraftFor is the name of the model that drafts for the one whose file has this sha256, in
// hex, wherever that came from; "" where none is known.
func DraftFor(sha256 string) string {
	for name, draft := range draftOf {
		if packaged[name].sha256 == sha256 {
			return draft
		}
	}
	return ""
}

// Sum is the sha256 of a model of Packaged, in hex; "" where there is no such model.
func Sum(name string) string { return packaged[name].sha256 }

// Suggest names the models of Packaged that share a word with a name, else all.
func Suggest(name string) []string {
	words := strings.FieldsFunc(strings.ToLower(name), func(r rune) bool { return strings.ContainsRune("-_.:/ ", r) })
	var near []string
	for _, k := range Packaged() {
		if slices.ContainsFunc(words, func(w string) bool { return len(w) > 2 && strings.Contains(k, w) }) {
			near = append(near, k)
		}
	}
	if len(near) == 0 {
		return Packaged()
	}
	return near
}
