package infer

import "strings"

// ByName returns the model of a list that is meant by a name. Case does not matter, nor does
// a tag, as Ollama's clients add one, unless there is a model of just that name; "" is the
// first. Where it means none the error is an *Error that is NoModel and names the list's.
func ByName(models []Model, name string) (Model, error) {
	bare, _, _ := strings.Cut(name, ":")
	var names []string
	for _, m := range models {
		if name == "" || strings.EqualFold(m.Name, name) {
			return m, nil
		}
		names = append(names, m.Name)
	}
	for _, m := range models {
		if strings.EqualFold(m.Name, bare) || strings.EqualFold(m.Name, bare+":latest") {
			return m, nil
		}
	}
	return Model{}, NoSuchModel(name, names)
}

// NoSuchModel is the Error for a name that means none of the models that are here.
func NoSuchModel(name string, here []string) *Error {
	there := "there is none on this board yet"
	if len(here) > 0 {
		there = "this board has " + strings.Join(here, ", ")
	}
	if long := []rune(name); len(long) > 100 {
		name = string(long[:100]) + "…"
	}
	return Errorf(NoModel, "model", "model %q not found: %s; /api/pull or skerry model fetches others", name, there)
}
