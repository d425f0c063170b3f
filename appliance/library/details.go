package library

import (
	"strings"
	"time"

	"skerry/appliance/bundle"
	"skerry/appliance/bundle/gguf"
)

// Details of a model are what only the headers of its files say.
type Details struct {
	Parameters int64  // of the whole model; 0 where its files are not all here
	Licence    string // "" where the file says none
	Template   string // its chat template, "" for none
}

// known are details that were read before.
type known struct {
	modified time.Time
	Details
}

// Details reads them once, until the bundle changes.
func (l *Library) Details(m Model) Details {
	l.mu.Lock()
	defer l.mu.Unlock()
	if k, ok := l.details[m.Dir]; ok && k.modified.Equal(m.Modified) {
		return k.Details
	}
	d := details(&bundle.Bundle{Dir: m.Dir, Manifest: m.Manifest})
	l.details[m.Dir] = known{m.Modified, d}
	return d
}

// details of a bundle, by the headers of its stages. An LM head that is the embedding counts
// once.
func details(b *bundle.Bundle) (d Details) {
	for _, role := range []bundle.Role{bundle.Board1, bundle.Board2, bundle.Cloud} {
		if _, ok := b.Manifest.Stage(role); !ok {
			continue
		}
		f, err := gguf.Open(b.Path(role))
		if err != nil {
			continue // a board need not have them all
		}
		for _, t := range f.Tensors {
			if strings.HasPrefix(t.Name, "blk.") || role == bundle.Board1 && t.Name == "token_embd.weight" || role == bundle.Cloud && t.Name == "output_norm.weight" {
				d.Parameters += t.Cols() * t.Rows()
			}
		}
		if role == bundle.Board1 {
			d.Licence, d.Template = oneLine(text(f, "general.license")), text(f, "tokenizer.chat_template")
		}
		f.Close()
	}
	return d
}

// text is a value of a file's metadata, "" where there is none.
func text(f *gguf.File, key string) string {
	kv, ok := f.KV(key)
	if !ok {
		return ""
	}
	value, _ := kv.Text()
	return strings.ToValidUTF8(value, "?")
}
