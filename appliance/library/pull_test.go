package library

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"skerry/appliance/bundle"
	"skerry/appliance/bundle/bundletest"
	"skerry/appliance/bundle/disk"
	"skerry/appliance/bundle/gguf"
	"skerry/appliance/bundle/split"
)

// A model of a hub is found by its quantization, fetched once with its draft, split, and is
// there under every name by which it was asked for.
func TestPullFromHub(t *testing.T) {
	l := open(t)
	small := model(t, "small", 2)
	of, fetched := hub(t, map[string]string{"m-Q4_0.gguf": model(t, "m", 1), "m-Q8_0.gguf": model(t, "m", 3), "small.gguf": small})
	l.draftFor = func(sum string) string {
		if draft, err := disk.HashFile(t.Context(), small, nil); err != nil || draft == sum {
			return ""
		}
		return "hf:owner/repo/small.gguf"
	}
	var said []string
	o := PullOptions{Fetch: of, Progress: func(what string, _, _ int64) {
		if !slices.Contains(said, what) {
			said = append(said, what)
		}
	}}
	p, err := l.Pull(t.Context(), "huggingface.co/owner/repo:q4_0", o)
	if err != nil {
		t.Fatal(err)
	}
	if p.Had || p.Name != "m-Q4_0" || p.Licence != "mit" || p.Draft() != "small" || p.NoDraft != "" || !slices.Contains(said, "licence of m-Q4_0: mit") {
		t.Errorf("%+v, %q", p, said)
	}
	for _, name := range []string{"hf.co/owner/repo:Q4_0", "hf:owner/repo/m-Q4_0.gguf", "m-q4_0:latest", "m:Q4_0", "m-Q4_0.gguf"} {
		if m, err := l.Find(name); err != nil || m.ID != p.ID || m.Origin != "huggingface.co/owner/repo:q4_0" {
			t.Errorf("%s: %q, %v", name, m.Origin, err)
		}
	}
	if _, err := l.Find("hf.co/owner/repo"); err == nil {
		t.Error("a name by which nobody fetched it means it")
	}
	if p, err := l.Pull(t.Context(), "hf.co/owner/repo", o); err != nil || !p.Had || p.Name != "m-Q4_0" {
		t.Errorf("again: %+v, %v", p, err)
	}
	if find1(t, l, "hf.co/owner/repo:latest").ID != p.ID {
		t.Error("the name by which it was fetched again means another")
	}
	if !slices.Equal(*fetched, []string{"m-Q4_0.gguf", "small.gguf"}) {
		t.Errorf("fetched: %q", *fetched)
	}

	// The other one, without the draft: memory has no room for it, or it is not wanted.
	o.Room = 1
	if p, err = l.Pull(t.Context(), "hf:owner/repo/m-Q8_0.gguf", o); err != nil || p.Draft() != "" || !strings.Contains(p.NoDraft, "with small it would take") {
		t.Errorf("without room: %+v, %v", p, err)
	}
	if r, err := l.Remove(t.Context(), "hf:owner/repo/m-Q8_0.gguf"); err != nil || r.Left != "" {
		t.Fatalf("%+v, %v", r, err)
	}
	o.Room, o.NoDraft = 0, true
	if p, err = l.Pull(t.Context(), "hf.co/owner/repo:Q8_0", o); err != nil || p.Had || p.Draft() != "" || p.NoDraft != "" {
		t.Errorf("not wanted: %+v, %v", p, err)
	}
	for ref, words := range map[string]string{
		"hf.co/owner/repo:Q5_K_M": "no file of quantization Q5_K_M: choose one of Q4_0, Q8_0, small",
		"hf.co/owner/none:Q4_0":   "the hub has no repository owner/none",
		"hf.co/owner":             "not of the form",
		"no-such-model":           `"no-such-model" not found: this board has m-Q4_0, m-Q8_0; `,
		"qwen2.5-coder":           "qwen2.5-coder-0.5b, qwen2.5-coder-1.5b",
	} {
		if _, err := l.Pull(t.Context(), ref, o); err == nil || !strings.Contains(err.Error(), words) {
			t.Errorf("%s: %v", ref, err)
		}
	}
}

// What no stage can be made of leaves nothing, and what is cancelled nothing that is listed.
func TestPullFails(t *testing.T) {
	l := open(t)
	src := model(t, "m", 1)
	other := bundletest.Edit(t, src, func(kvs []gguf.KV, outs []gguf.Out) ([]gguf.KV, []gguf.Out) {
		return bundletest.Set(kvs, gguf.StringKV("general.architecture", "mamba")), outs
	})
	of, _ := hub(t, map[string]string{"mamba.gguf": other, "m.gguf": src})
	if _, err := l.Pull(t.Context(), "hf:owner/repo/mamba.gguf", PullOptions{Fetch: of}); !errors.Is(err, bundle.ErrUnsupported) {
		t.Errorf("mamba: %v", err)
	}
	if left, _ := filepath.Glob(filepath.Join(l.cache, "models", "*", "*.gguf")); len(left) > 0 {
		t.Errorf("left: %q", left)
	}
	ctx, cancel := context.WithCancel(t.Context())
	_, err := l.Pull(ctx, "hf:owner/repo/m.gguf", PullOptions{Fetch: of, Progress: func(what string, _, _ int64) {
		if strings.HasPrefix(what, "split: ") {
			cancel()
		}
	}})
	if !errors.Is(err, context.Canceled) || len(l.List()) > 0 {
		t.Errorf("cancelled: %v, %q", err, names(l))
	}
	if p, err := l.Pull(t.Context(), "hf:owner/repo/m.gguf", PullOptions{Fetch: of}); err != nil || p.Name != "m" {
		t.Errorf("gone on with: %+v, %v", p, err)
	}
	if _, err := l.Pull(t.Context(), filepath.Join(t.TempDir(), "absent.gguf"), PullOptions{}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("absent: %v", err)
	}
	// A file of one's own of another content has a name of its own.
	p, err := l.Pull(t.Context(), model(t, "m", 2), PullOptions{})
	if err != nil || !strings.HasPrefix(p.Name, "m-") || p.Had {
		t.Errorf("%+v, %v", p, err)
	}
}

// What a cloud gave a board is not the whole model: a pull has that made.
func TestPullBesideAPart(t *testing.T) {
	l := open(t)
	src := model(t, "m", 1)
	bundleIn(t, filepath.Join(l.bundles(), "part"), src, split.Options{NoUnsplit: true})
	p, err := l.Pull(t.Context(), src, PullOptions{})
	if err != nil || p.Had || !p.wholeHere() {
		t.Errorf("%+v, %v", p, err)
	}
}

// An uploaded file is taken in if it is what its digest says, and becomes a model under the
// name that is asked for.
func TestCreate(t *testing.T) {
	l := open(t)
	text, err := os.ReadFile(model(t, "m", 1))
	if err != nil {
		t.Fatal(err)
	}
	sum, err := disk.HashReader(t.Context(), bytes.NewReader(text), nil)
	if err != nil {
		t.Fatal(err)
	}
	digest := "sha256:" + sum
	for name, c := range map[string]struct {
		digest string
		size   int64
		text   []byte
		want   error
	}{
		"another digest": {"sha256:" + strings.Repeat("ab", 32), int64(len(text)), text, ErrContent},
		"no digest":      {"md5:ab", 1, text, ErrDigest},
		"too short":      {digest, int64(len(text)), text[1:], ErrContent},
		"too long":       {digest, int64(len(text)) - 1, text, ErrContent},
		"no room":        {digest, 1 << 62, text, ErrContent},
	} {
		if err := l.PutBlob(t.Context(), c.digest, c.size, bytes.NewReader(c.text)); !errors.Is(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if left, _ := os.ReadDir(l.blobs()); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
	create := func(name, from string) (Pulled, error) {
		return l.Create(t.Context(), CreateOptions{Name: name, From: from, Digest: digest, File: "m.gguf"})
	}
	if _, err := create("mine", ""); !errors.Is(err, ErrNoBlob) {
		t.Errorf("of nothing: %v", err)
	}
	if has, err := l.HasBlob(digest); has || err != nil {
		t.Errorf("there already: %v, %v", has, err)
	}
	for range 2 { // the second is no loss
		if err := l.PutBlob(t.Context(), digest, -1, bytes.NewReader(text)); err != nil {
			t.Fatal(err)
		}
	}
	p, err := create("me/mine:small", "")
	if err != nil || p.Name != "me/mine:small" || p.Own != "me-mine-small" {
		t.Fatalf("%+v, %v", p, err)
	}
	if left, _ := os.ReadDir(l.blobs()); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
	if has, err := l.HasBlob(digest); has || err != nil {
		t.Errorf("a file that was used up is still there: %v", err)
	}
	for _, from := range []string{"", "me/mine:small"} {
		if p, err := create("again"+from[:min(len(from), 2)], from); err != nil || !p.Had || p.Own != "me-mine-small" {
			t.Errorf("again: %+v, %v", p, err)
		}
	}
	if got := names(l); !slices.Equal(got, []string{"me-mine-small", "me/mine:small", "again", "againme"}) {
		t.Errorf("listed: %q", got)
	}
	if _, err := create("x y", ""); !errors.Is(err, ErrName) {
		t.Errorf("a name: %v", err)
	}
	if err := l.PutBlob(t.Context(), "sha256:"+strings.Repeat("0", 64), 0, strings.NewReader("")); !errors.Is(err, ErrContent) {
		t.Errorf("an empty file: %v", err)
	}
}
