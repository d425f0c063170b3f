package fetch

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"

	"skerry/appliance/bundle/gguf"
)

// Found is the model that a reference means, before it is fetched.
type Found struct {
	Ref     string // as Model takes it, pinned
	Name    string // by which it is known, else its file's
	SHA256  string // of its file, hex
	Bytes   int64  // of its file; 0: not known
	Licence string // as who publishes it says; "": nobody does
	// Projector is the file beside it by which it reads images, as Model takes it; "": none is
	// known.
	Projector string
}

// IsHub says whether a reference is to a file or a repository of a hub.
func IsHub(ref string) bool {
	_, repo := cutHub(ref)
	return repo || strings.HasPrefix(ref, "hf:")
}

// cutHub cuts one of HubPrefixes off a reference to a repository, or hf:.
func cutHub(ref string) (rest string, ok bool) {
	if rest, ok := strings.CutPrefix(ref, "hf:"); ok && hubRepo.MatchString(rest) && (strings.Contains(rest, ":") || !strings.HasSuffix(strings.ToLower(rest), ".gguf")) {
		return rest, true
	}
	for _, p := range HubPrefixes {
		if len(ref) > len(p) && strings.EqualFold(ref[:len(p)], p) {
			return ref[len(p):], true
		}
	}
	return ref, false
}

// Find says which model a reference means, which Model would fetch, and asks a hub where it
// is one's. Errors name what to do.
func Find(ctx context.Context, ref string, opt Options) (f Found, err error) {
	if known, ok := Known(ref); ok {
		p := packaged[known]
		return Found{Ref: known, Name: known, SHA256: p.sha256, Bytes: p.bytes, Licence: p.license}, nil
	}
	if _, ok := cutHub(ref); ok {
		q, err := ByQuantization(ctx, ref, opt)
		if err != nil {
			return f, err
		}
		ref, f.Licence, f.Projector = q.Ref, q.Licence, q.Projector
	}
	rest, ok := strings.CutPrefix(ref, "hf:")
	if !ok {
		return f, fmt.Errorf("model %q is not known: give hf:OWNER/REPO/FILE.gguf, hf.co/OWNER/REPO:QUANT or one of %s", gguf.Short(ref), strings.Join(Suggest(ref), ", "))
	}
	c, err := newCache(opt)
	if err != nil {
		return f, err
	}
	d, b, err := c.hubFile(ref, rest)
	if err != nil {
		return f, err
	}
	if b.sha256 == "" || c.check(ctx, b, c.path(b)) != nil {
		if err := d.ask(ctx, &b); err != nil {
			return f, err
		}
	}
	bare, _, _ := strings.Cut(ref, "@")
	f.Ref, f.SHA256, f.Bytes = bare+"@sha256:"+b.sha256, b.sha256, b.bytes
	f.Name = strings.TrimSuffix(b.name, filepath.Ext(b.name))
	return f, nil
}
