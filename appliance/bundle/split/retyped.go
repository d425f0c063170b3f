package split

import (
	"context"
	"io"
	"slices"

	"skerry/appliance/bundle"
	"skerry/appliance/bundle/disk"
	"skerry/appliance/bundle/gguf"
)

// Types are those of Options.Type that store the weights of a model differently, TypeAuto first.
func Types(src string) ([]string, error) {
	f, err := gguf.Open(src)
	if err != nil {
		return nil, disk.OpenError(src, err)
	}
	defer f.Close()
	var names []string
	var stored [][]gguf.Type
	for _, name := range []string{TypeAuto, TypeQ4_0, TypeQ8_0, TypeKeep} {
		var types []gguf.Type
		for _, t := range f.Tensors {
			types = append(types, target(name, t))
		}
		if !slices.ContainsFunc(stored, func(other []gguf.Type) bool { return slices.Equal(other, types) }) {
			names, stored = append(names, name), append(stored, types)
		}
	}
	return names, nil
}

// Retype writes the whole model src to dst as a split of Options.Type want stores it, and returns
// false, with nothing written, where that is as it is. Progress may be nil.
func Retype(ctx context.Context, src, dst, want string, q Quantizer, progress func(done, total int64)) (bool, error) {
	if err := validType(want); err != nil {
		return false, err
	}
	f, err := gguf.Open(src)
	if err != nil {
		return false, disk.OpenError(src, err)
	}
	defer f.Close()
	m, err := bundle.CheckFile(f)
	if err != nil {
		return false, err
	}
	s := slicer{f: f, m: m, want: want, q: q}
	if !s.converts() {
		return false, nil
	}
	l, err := s.plan(bundle.Stage{Role: bundle.Unsplit, File: bundle.Unsplit.File(), To: m.Blocks})
	if err != nil {
		return false, err
	}
	_, _, err = disk.WriteFile(ctx, dst, func(w io.Writer) error {
		return l.Write(ctx, disk.Metered(ctx, w, func(done int64) {
			if progress != nil {
				progress(done, l.Size())
			}
		}))
	})
	if err != nil {
		return false, disk.WriteError(dst, err)
	}
	return true, nil
}
