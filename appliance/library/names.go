package library

import (
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"skerry/appliance/bundle/fetch"
)

// Canonical is a name as names are compared: without case, without the tag and the hosts
// that clients add.
func Canonical(name string) string {
	name = strings.ToLower(strings.TrimSpace(name))
	for _, p := range []string{"https://", "registry.ollama.ai/", "library/"} {
		name = strings.TrimPrefix(name, p)
	}
	if rest, ok := strings.CutPrefix(name, "huggingface.co/"); ok {
		name = "hf.co/" + rest
	}
	return strings.TrimSuffix(name, ":latest")
}

// copyName is what a further name may be: as Ollama has it, with slashes and one tag.
var copyName = regexp.MustCompile(`^[\pL\pN][\pL\pN._+-]*(/[\pL\pN][\pL\pN._+-]*){0,3}(:[\pL\pN._-]+)?$`)

// CheckName refuses a name that no model may be given.
func CheckName(name string) error {
	if len(name) > 128 || !copyName.MatchString(name) {
		return fmt.Errorf("%w %.80q: give letters, digits, and . _ + - within, 128 at most, and a tag behind a colon", ErrName, name)
	}
	return nil
}

// NameError says that a name means no model, or several.
type NameError struct {
	Asked string
	// Several are the names of those that it may mean; empty where it means none.
	Several []string
	// Here are names of models that are here, the likeliest first; Known are those that
	// could be fetched by name.
	Here, Known []string
}

// shownNames is how many names an error has.
const shownNames = 8

func (e *NameError) Error() string {
	asked := e.Asked
	if len(asked) > 100 {
		asked = strings.ToValidUTF8(asked[:100], "") + "…"
	}
	if len(e.Several) > 0 {
		return fmt.Sprintf("model %q means several: ask for one of %s", asked, strings.Join(e.Several[:min(len(e.Several), shownNames)], ", "))
	}
	there := "there is none on this board yet"
	if len(e.Here) > 0 {
		there = "this board has " + strings.Join(e.Here[:min(len(e.Here), shownNames)], ", ")
	}
	return fmt.Sprintf("model %q not found: %s; skerry model pull, or /api/pull, fetches others, as %s", asked, there, strings.Join(e.Known, ", "))
}

// notFound is the error for a name that means none of the models.
func notFound(models []Model, asked string) error {
	e := &NameError{Asked: asked, Known: fetch.Suggest(asked)}
	name := Canonical(asked)
	likely := func(m Model) bool {
		own := Canonical(m.Name)
		base, _, _ := strings.Cut(name, ":")
		return base != "" && (strings.Contains(own, base) || strings.Contains(base, own)) || len(base) > 3 && strings.HasPrefix(own, base[:4])
	}
	for _, first := range []bool{true, false} {
		for _, m := range models {
			if likely(m) == first {
				e.Here = append(e.Here, m.Name)
			}
		}
	}
	return e
}

// find is the one model that a name means: the name that is listed before others that it
// has, those before a name with a tag, and all of them before what it may be fetched by.
func find(models []Model, asked string) (Model, error) {
	name := Canonical(asked)
	if name == "" {
		return Model{}, notFound(models, asked)
	}
	known := "none" // the file that the name is fetched by, also in short
	if of, ok := fetch.Known(name); ok {
		known = fetch.Sum(of)
	}
	for _, means := range []func(Model) bool{
		func(m Model) bool { return Canonical(m.Name) == name },
		func(m Model) bool { return !m.Copy && m.alias(name, asked) },
		func(m Model) bool { return !m.Copy && m.tagged(name) },
		func(m Model) bool { return !m.Copy && !m.only && m.Manifest.Source.SHA256 == known },
	} {
		var found []Model
		for _, m := range models {
			if means(m) {
				found = append(found, m)
			}
		}
		switch len(found) {
		case 0:
		case 1:
			return found[0], nil
		default:
			e := &NameError{Asked: asked}
			for _, m := range found {
				e.Several = append(e.Several, m.Name)
			}
			return Model{}, e
		}
	}
	return Model{}, notFound(models, asked)
}

// alias says whether a name, canonical, is one of the model's that are not listed: the
// bundle's own, its id, its file's and its directory's, and those by which it was fetched.
func (m *Model) alias(name, asked string) bool {
	if id, ok := strings.CutPrefix(name, "sha256:"); ok || len(name) >= idTag {
		if !ok {
			id = name
		}
		if len(id) >= idTag && strings.HasPrefix(m.ID, id) {
			return true
		}
	}
	if slices.Contains(m.asked, name) || slices.Contains(m.dirs, asked) {
		return true
	}
	dashed := strings.ReplaceAll(name, ":", "-")
	for _, alias := range m.aliases() {
		if alias == name || alias == dashed {
			return true
		}
	}
	return false
}

// aliases are the names that the bundle has by itself, canonical.
func (m *Model) aliases() []string {
	if m.only {
		return []string{Canonical(m.Own)}
	}
	file := strings.ToLower(m.Manifest.Source.File)
	all := []string{Canonical(m.Own), file, strings.TrimSuffix(file, ".gguf"), strings.ToLower(filepath.Base(m.Dir))}
	for _, known := range fetch.Packaged() {
		if fetch.Sum(known) == m.Manifest.Source.SHA256 {
			all = append(all, known)
		}
	}
	return all
}

// tagged says whether a name, canonical, is one of the model's with a tag that is its
// quantization, or the end of its file's name.
func (m *Model) tagged(name string) bool {
	i := strings.LastIndexByte(name, ':')
	if i < 0 {
		return false
	}
	base, tag := name[:i], name[i+1:]
	for _, alias := range m.aliases() {
		if alias == base && strings.EqualFold(tag, m.Quantization()) {
			return true
		}
		for _, sep := range []string{"-", ".", "_"} {
			if alias == base+sep+tag {
				return true
			}
		}
	}
	return false
}
