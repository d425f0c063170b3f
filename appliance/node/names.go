package node

import (
	"skerry/appliance/bundle"
	"skerry/appliance/bundle/fetch"
	"skerry/appliance/bundle/prepare"
	"skerry/appliance/infer"
)

// Resolve returns the model that is meant by a name, as infer.ByName finds it. "" is the
// default: the configured bundle, or the model that is fetched where none is configured; while
// nothing of it is here it is the zero Model, which Load makes.
func (l *loader) Resolve(name string) (infer.Model, error) {
	if name == "" {
		return l.defaultModel(), nil
	}
	return infer.ByName(l.Models(), name)
}

// defaultModel is what requests mean that name none.
func (l *loader) defaultModel() infer.Model {
	dir := l.conf.Bundle
	if dir == "" {
		cache, err := fetch.CacheDir()
		if err != nil {
			return infer.Model{}
		}
		dir = prepare.DefaultDir(cache)
	}
	m, err := bundle.ReadManifest(dir)
	if err != nil {
		return infer.Model{}
	}
	return describeBundle(dir, m)
}
