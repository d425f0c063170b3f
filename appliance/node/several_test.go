package node

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"skerry/appliance/bundle"
	"skerry/appliance/bundle/split"
	"skerry/appliance/bundle/synth"
	"skerry/appliance/config"
	"skerry/appliance/decode"
	"skerry/appliance/infer"
	"skerry/appliance/server"
	"skerry/appliance/status"
	"skerry/board"
)

// tinyBundles are three bundles of random weights, alpha, beta and gamma, in a cache directory
// of the test's own; alpha is the one that is returned, for the configuration.
func tinyBundles(t *testing.T) (dir string) {
	t.Helper()
	cache := t.TempDir()
	t.Setenv("SKERRY_CACHE", cache)
	for i, name := range []string{"alpha", "beta", "gamma"} {
		src := filepath.Join(t.TempDir(), name+".gguf")
		if err := synth.Write(t.Context(), "tiny", src, synth.Options{Seed: uint64(i + 1), Type: split.TypeQ4_0}); err != nil {
			t.Fatal(err)
		}
		at := filepath.Join(cache, "bundles", name)
		if err := os.MkdirAll(filepath.Dir(at), 0o755); err != nil {
			t.Fatal(err)
		}
		if _, err := split.Model(t.Context(), src, at, split.Options{Name: name, Exits: []int{2, 4}, Type: split.TypeKeep}); err != nil {
			t.Fatal(err)
		}
	}
	return filepath.Join(cache, "bundles", "alpha")
}

// Models are switched among while memory has room for two of three: each says what it says
// alone, what is known of it is the same loaded or not, and the plan is never passed.
func TestSwitchingModels(t *testing.T) {
	conf := config.Default()
	conf.Bundle, conf.Mode, conf.Context, conf.Threads, conf.Parallel, conf.Cache = tinyBundles(t), string(decode.Unsplit), 256, 1, 1, 0
	var log strings.Builder
	newLoader := func() *loader {
		return &loader{conf: conf, state: t.TempDir(), root: limitedTo(t, 4000), log: slog.New(slog.NewTextHandler(&log, nil))}
	}
	l := newLoader()
	one, err := l.Load(t.Context(), infer.Model{}, func(status.State, status.Progress) {})
	if err != nil {
		t.Fatal(err)
	}
	each := l.heldBytes()
	one.Slots.Close()
	one.Close()
	if each <= 0 || l.heldBytes() != 0 {
		t.Fatalf("a model holds %d bytes, and %d once it is closed", each, l.heldBytes())
	}
	conf.Memory = config.Size(float64(programBytes+5*each/2) / 0.95) // of which a twentieth stays free
	l = newLoader()
	core := server.New(server.Options{Loader: l, Log: l.log})
	defer func() {
		if err := core.Shutdown(t.Context()); err != nil || l.heldBytes() != 0 {
			t.Errorf("%v, and %d bytes are held", err, l.heldBytes())
		}
	}()
	if err := core.Await(t.Context()); err != nil {
		t.Fatal(err)
	}
	zero := float32(0)
	says := func(name string) string {
		a, err := core.Ask(t.Context(), infer.Request{Model: name, PromptTokens: []int32{5, 6, 7}, Raw: true, Options: infer.Options{MaxTokens: 8, Temperature: &zero, IgnoreEnd: true}})
		if err != nil {
			t.Fatal(name, err)
		}
		var said []int32
		for e := range a.Events(t.Context(), 0) {
			for _, token := range e.Tokens {
				said = append(said, token.ID)
			}
			if e.Err != nil {
				t.Fatal(name, e.Err)
			}
		}
		if held := l.heldBytes(); held > 2*each {
			t.Errorf("after %s: %d bytes are held, for two of %d", name, held, each)
		}
		return fmt.Sprint(said)
	}
	before, err := core.Resolve("beta")
	if err != nil || before.Loaded || before.Context != 256 || before.Parameters == 0 {
		t.Errorf("not loaded: %+v, %v", before, err)
	}
	first := map[string]string{}
	for _, name := range []string{"alpha", "beta", "Gamma:latest", "alpha", "", "beta", "gamma", "BETA", "alpha"} {
		m, err := core.Resolve(name)
		if err != nil {
			t.Fatal(err)
		}
		said := says(name)
		if first[m.Name] == "" {
			first[m.Name] = said
		}
		if said != first[m.Name] {
			t.Errorf("%s says %s, and said %s", m.Name, said, first[m.Name])
		}
	}
	if len(first) != 3 || first["alpha"] == first["beta"] {
		t.Errorf("they say %v", first)
	}
	says("beta")
	after, err := core.Resolve("beta")
	if err != nil || !after.Loaded || after.LoadedBytes == 0 {
		t.Errorf("loaded: %+v, %v", after, err)
	}
	after.Loaded, after.LoadedBytes = false, 0
	if fmt.Sprint(after) != fmt.Sprint(before) {
		t.Errorf("what is known of it loaded:\n%+v\nand not:\n%+v", after, before)
	}
	if s := core.Snapshot(); len(s.Models) != 2 || s.Models[0].Name != "alpha" || !s.Models[0].Default || s.Models[1].WeightBytes == 0 {
		t.Errorf("loaded are %+v", s.Models)
	}
	if !strings.Contains(log.String(), `why="room for`) {
		t.Errorf("nothing made room: %s", log.String())
	}
}

// What loaded models hold is taken from what memory has, and what the machine counts of it
// already is not taken twice.
func TestMemoryBesideModels(t *testing.T) {
	root := limitedTo(t, 4000)
	l, none := &loader{root: root}, &bundle.Bundle{Manifest: new(bundle.Manifest)}
	l.held = map[*opening]int64{{loader: l}: 1000 << 20}
	alone, err := (&opening{bundle: none, loader: l}).memory()
	if err != nil {
		t.Fatal(err)
	}
	beside, _ := (&opening{bundle: none, loader: l, held: 1000 << 20}).memory()
	if free := alone.Available - beside.Available; free != 1000<<20 || alone.Limits[0].Free-beside.Limits[0].Free != free {
		t.Errorf("of %d held %d count", 1000<<20, free)
	}
	if err := os.WriteFile(filepath.Join(root, "proc/42/status"), fmt.Appendf(nil, "Name:\tskerry\nRssAnon:\t%d kB\nRssFile:\t9 kB\n", (programBytes+600<<20)>>10), 0o644); err != nil {
		t.Fatal(err)
	}
	counted, _ := (&opening{bundle: none, loader: l, held: 1000 << 20}).memory()
	if got := counted.Available - beside.Available; got != 600<<20 {
		t.Errorf("%d bytes that the machine counts are given back, want %d", got, 600<<20)
	}
	if m, err := board.ReadMemory(root); err != nil || int64(m.Available) != alone.Available {
		t.Errorf("without a count of the process: %d, the machine has %d: %v", alone.Available, m.Available, err)
	}
}

// A model that would lose its stand-in for the cloud beside another has that one go first,
// unless it is pinned.
func TestRoomForTheRest(t *testing.T) {
	dir := tinyBundles(t)
	man, err := bundle.ReadManifest(dir)
	if err != nil {
		t.Fatal(err)
	}
	other, err := bundle.ReadManifest(filepath.Join(filepath.Dir(dir), "beta"))
	if err != nil {
		t.Fatal(err)
	}
	conf := config.Default()
	conf.Mode, conf.Context, conf.Threads, conf.Parallel = string(decode.Collaborative), 256, 1, 1
	conf.OnLoss = string(infer.GoAlone)
	l := &loader{conf: conf, root: limitedTo(t, 4000), log: slog.New(slog.DiscardHandler)}
	beta := &opening{loader: l, bundle: &bundle.Bundle{Dir: filepath.Join(filepath.Dir(dir), "beta"), Manifest: other}}
	room, _ := (&opening{loader: l, bundle: beta.bundle}).memory()
	most, _ := room.Room()
	lost := 0
	for free := most.Bytes; free > 0; free -= 100 << 10 {
		if free > programBytes+(40<<20) {
			free = programBytes + 40<<20
		}
		l.held = map[*opening]int64{beta: most.Bytes - free}
		o := &opening{loader: l, bundle: &bundle.Bundle{Dir: dir, Manifest: man}, mode: decode.Collaborative}
		o.beside()
		if err := o.fit(); err != nil {
			break
		}
		if o.rest == o.aloneRest {
			continue
		}
		lost++
		l.conf.Pin = nil
		if err := l.roomBeside(dir, man, o.mode); !errors.Is(err, server.ErrCrowded) {
			t.Fatalf("%d bytes free, and the rest holds %d of %d: %v", free, o.rest, o.aloneRest, err)
		}
		l.conf.Pin = []string{"beta"}
		if err := l.roomBeside(dir, man, o.mode); err != nil {
			t.Fatalf("beside a pinned one: %v", err)
		}
	}
	if lost == 0 {
		t.Error("there is no plan without the rest")
	}
}
