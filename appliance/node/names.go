package node

import (
	"skerry/appliance/bundle"
	"skerry/appliance/bundle/fetch"
	"skerry/appliance/bundle/prepare"
	"skerry/appliance/infer"
)

// Resolve returns the model that is meant by a name, as the library finds it; a copy's name
// means the bundle under its own. "" is the default: the configured model or bundle, or the
// one that is fetched where none is configured; while nothing of it is here it is the zero
// Model, which Load makes.
func (l *loader) Resolve(name string) (infer.Model, error) {
	if name == "" {
		return l.defaultModel(), nil
	}
	return l.find(name)
}

// defaultModel is what requests mean that name none.
func (l *loader) defaultModel() infer.Model {
	if l.conf.Model != "" {
		m, err := l.find(l.conf.Model)
		if err != nil { // it is to be fetched
			return infer.Model{}
		}
		return m
	}
	dir := l.conf.Bundle
	if dir == "" {
		cache, err := fetch.CacheDir()
		if err != nil {
			return infer.Model{}
		}
		dir = prepare.DefaultDir(cache)
	}
	k, err := bundle.ReadKept(dir)
	if err != nil {
		return infer.Model{}
	}
	return describeBundle(dir, &k.Manifest)
}
