package library

import (
	"context"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"

	"skerry/appliance/bundle/disk"
	"skerry/appliance/bundle/prepare"
)

// What is fetched stays while a bundle is being made of it, whatever is removed meanwhile.
func TestRemoveDuringPull(t *testing.T) {
	l := open(t)
	small := model(t, "small", 2)
	of, fetched := hub(t, map[string]string{"m.gguf": model(t, "m", 1), "small.gguf": small})
	sum, err := disk.HashFile(t.Context(), small, nil)
	if err != nil {
		t.Fatal(err)
	}
	l.draftFor = func(of string) string {
		if of == sum {
			return ""
		}
		return "hf:owner/repo/small.gguf"
	}
	pull := func(name string, meanwhile func()) {
		t.Helper()
		splitting := false
		p, err := l.Pull(t.Context(), "hf:owner/repo/m.gguf", PullOptions{Fetch: of, Name: name, Progress: func(what string, _, _ int64) {
			if strings.HasPrefix(what, "split: ") && !splitting {
				splitting = true
				meanwhile()
			}
		}})
		if err != nil || p.Name != name || p.Draft() != "small" || !splitting {
			t.Fatalf("%+v, %v", p, err)
		}
	}
	here := func() (all []string) {
		for _, g := range prepare.Fetched(l.cache) {
			all = append(all, g.Name)
		}
		slices.Sort(all)
		return all
	}
	both := []string{"m", "small"}
	pull("one", func() {
		for _, name := range both {
			if _, err := l.Remove(t.Context(), name); !errors.Is(err, disk.ErrInUse) {
				t.Errorf("%s is removed while it is read: %v", name, err)
			}
		}
	})
	pull("two", func() {
		if r, err := l.Remove(t.Context(), "one"); err != nil || r.Left != "" {
			t.Errorf("%+v, %v", r, err)
		}
		if got := here(); !slices.Equal(got, both) {
			t.Errorf("while it is read there are %q", got)
		}
	})
	if got := here(); !slices.Equal(got, both) || !slices.Equal(*fetched, []string{"m.gguf", "small.gguf"}) {
		t.Errorf("there are %q, fetched %q", got, *fetched)
	}
	if r, err := l.Remove(t.Context(), "two"); err != nil || r.Left != "" || len(here()) > 0 {
		t.Errorf("%+v, %v; there are %q", r, err, here())
	}
}

// What is being removed is waited for, by whoever is about to fetch it again.
func TestUseWaitsForRemoval(t *testing.T) {
	l := open(t)
	dir := l.fetched("ab")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	release, err := disk.Claim(dir)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := disk.WaitUse(ctx, dir); !errors.Is(err, context.Canceled) {
		t.Errorf("used while it is removed: %v", err)
	}
	used := make(chan error, 1)
	go func() {
		free, err := disk.WaitUse(t.Context(), dir)
		if err == nil {
			free()
		}
		used <- err
	}()
	if err := os.RemoveAll(dir); err != nil {
		t.Error(err)
	}
	release()
	if err := <-used; err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(dir); err != nil {
		t.Errorf("what is in use is not there: %v", err)
	}
}
