package node

import (
	"context"
	"errors"
	"log/slog"
	"path/filepath"
	"testing"

	"skerry/appliance/bundle/bundletest"
	"skerry/appliance/bundle/disk"
	"skerry/appliance/bundle/split"
	"skerry/appliance/config"
	"skerry/appliance/infer"
	"skerry/appliance/server"
)

// What is listed can be resolved, and by its other names; what is in use is not removed.
func TestLibraryOfTheLoader(t *testing.T) {
	cache := t.TempDir()
	t.Setenv("SKERRY_CACHE", cache)
	dir := filepath.Join(cache, "bundles", "a")
	if _, err := split.Model(t.Context(), bundletest.Synth(t, "tiny", "q4_0"), dir, split.Options{}); err != nil {
		t.Fatal(err)
	}
	conf := config.Default()
	conf.Bundle = t.TempDir() // so that nothing is loaded
	l := &loader{conf: conf, root: "/", log: slog.New(slog.DiscardHandler)}
	b := &Board{state: t.TempDir(), log: l.log}
	b.openCore(l, server.Options{})
	defer func() {
		if err := b.core.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
	}()
	lib := &models{l, b.core, unloadTime}
	if err := lib.Copy(t.Context(), "tiny", "mine:small"); err != nil {
		t.Fatal(err)
	}
	all := l.Models()
	if len(all) != 2 || all[0].Name != "tiny" || all[1].Name != "mine:small" || all[0].Parameters == 0 || all[0].Path != dir {
		t.Fatalf("%+v", all)
	}
	for _, name := range []string{"tiny", "TINY:latest", "tiny.gguf", "mine:small", all[0].Digest} {
		if m, err := l.Resolve(name); err != nil || m.Name != "tiny" || m.Path != dir {
			t.Errorf("%s: %+v, %v", name, m, err)
		}
	}
	code := func(err error) infer.Code {
		e := (*infer.Error)(nil)
		errors.As(err, &e)
		if e == nil {
			return ""
		}
		return e.Code
	}
	none := func(infer.Progress) {}
	_, unknown := l.Resolve("nope")
	release, err := disk.Use(dir)
	if err != nil {
		t.Fatal(err)
	}
	for what, c := range map[string]struct {
		err  error
		want infer.Code
	}{
		"resolve":      {unknown, infer.NoModel},
		"pull":         {l.Pull(t.Context(), "nope", none), infer.NoModel},
		"pull a file":  {l.Pull(t.Context(), "/etc/model.gguf", none), infer.BadRequest},
		"pull, here":   {l.Pull(t.Context(), "mine:small", none), ""},
		"copy":         {lib.Copy(t.Context(), "nope", "x"), infer.NoModel},
		"copy to path": {lib.Copy(t.Context(), "tiny", "../x"), infer.BadRequest},
		"delete":       {lib.Delete(t.Context(), "nope"), infer.NoModel},
		"in use":       {lib.Delete(t.Context(), "tiny"), infer.Conflict},
		"create":       {lib.Create(t.Context(), infer.Creation{Name: "x", Digest: "sha256:" + all[0].Digest}, none), infer.NoModel},
		"no type":      {lib.Create(t.Context(), infer.Creation{Name: "x", From: "tiny", Quantize: "q1"}, none), infer.BadRequest},
	} {
		if got := code(c.err); got != c.want || c.want == "" && c.err != nil {
			t.Errorf("%s: %v", what, c.err)
		}
	}
	release()
	for _, name := range []string{"mine:small", "tiny"} {
		if err := lib.Delete(t.Context(), name); err != nil {
			t.Error(err)
		}
	}
	if left := l.Models(); len(left) != 0 {
		t.Errorf("%+v", left)
	}
	if err := b.core.Await(t.Context()); err == nil {
		t.Error("an empty directory is loaded")
	}
}

// A copy stands for its own bundle also where that bundle's name is another's, which lies
// elsewhere and keeps it.
func TestCopyOfANameThatSeveralHave(t *testing.T) {
	cache := t.TempDir()
	t.Setenv("SKERRY_CACHE", cache)
	dir, given := filepath.Join(cache, "bundles", "a"), filepath.Join(t.TempDir(), "b")
	for at, quant := range map[string]string{dir: "q4_0", given: "q8_0"} {
		if _, err := split.Model(t.Context(), bundletest.Synth(t, "tiny", quant), at, split.Options{Name: "tiny", Type: split.TypeKeep}); err != nil {
			t.Fatal(err)
		}
	}
	l := &loader{conf: config.Default(), root: "/", log: slog.New(slog.DiscardHandler)}
	lib, err := l.openLibrary()
	if err != nil {
		t.Fatal(err)
	}
	if err := lib.Copy(t.Context(), "tiny", "mine"); err != nil {
		t.Fatal(err)
	}
	l = &loader{conf: config.Default(), root: "/", log: l.log}
	l.conf.Bundle = given
	m, err := l.Resolve("mine")
	if err != nil || m.Path != dir {
		t.Fatalf("%+v, %v", m, err)
	}
	if again, err := l.Resolve(m.Name); err != nil || again.Digest != m.Digest {
		t.Errorf("%s is %.12s, and is then %.12s: %v", m.Name, m.Digest, again.Digest, err)
	}
}
