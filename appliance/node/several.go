package node

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"skerry/appliance/bundle"
	"skerry/appliance/decode/batch"
	"skerry/appliance/engine"
	"skerry/appliance/engine/gpu"
	"skerry/appliance/infer"
	"skerry/appliance/server"
	"skerry/appliance/status"
)

// This file is about several models in memory. Each is planned as if it were alone, which
// says how long its conversations may be, and then again within what the others leave. What
// they hold counts by their plans: weights are mapped, and so look like free memory.

// hold counts what a model that was loaded takes, letGo takes that back.
func (l *loader) hold(o *opening) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.held == nil {
		l.held = map[*opening]int64{}
	}
	l.held[o] = max(o.plan.Bytes-programBytes, 0) // the program is there once
}

func (l *loader) letGo(o *opening) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.held, o)
}

// heldBytes are those that the loaded models were planned to take.
func (l *loader) heldBytes() (sum int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for bytes := range maps.Values(l.held) {
		sum += bytes
	}
	return sum
}

// holders names the loaded models and what they take.
func (l *loader) holders() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var all []string
	for o, bytes := range maps.All(l.held) {
		all = append(all, fmt.Sprintf("%s (%s)", o.bundle.Manifest.Name, status.Bytes(bytes)))
	}
	slices.Sort(all)
	return strings.Join(all, ", ")
}

// memory is what the model may be given. What other models hold is given back first, as far as
// the machine has counted it as taken, and then counted by their plans.
func (o *opening) memory() (batch.Memory, error) {
	memory, err := MachineMemory(o.loader.root)
	if held := o.loader.heldBytes(); held > 0 {
		counted := min(max(anonymous(o.loader.root)-programBytes, 0), held) - o.held
		memory.Available += counted
		for i := range memory.Limits {
			memory.Limits[i].Free += counted
		}
	}
	memory = withGPU(memory, engine.Device(), o.loader.conf.GPULayers, o.bundle.Manifest)
	if most := int64(o.loader.conf.Memory); most > 0 {
		memory.Limits = append(memory.Limits, batch.Limit{Name: "the models", Bytes: most, Free: most - o.held})
	}
	return memory, err
}

// withGPU adds what layers may take of a GPU's memory. Where that is the machine's own it is
// counted already.
func withGPU(memory batch.Memory, d engine.GPU, layers gpu.Layers, man *bundle.Manifest) batch.Memory {
	if layers == 0 || d.Name == "" || d.Unified {
		return memory
	}
	room := max(0, d.Free-d.Free/8-mostScratch)
	if layers > 0 { // of their weights alone is it known what they take
		room = min(room, man.WholeBytes/int64(max(man.Blocks, 1))*min(int64(layers), int64(man.Blocks)))
	}
	memory.Total += room
	memory.Available += room
	memory.Limits = slices.Clone(memory.Limits)
	for i := range memory.Limits {
		memory.Limits[i].Bytes += room
		memory.Limits[i].Free += room
	}
	return memory
}

// anonymous is the memory of this process that is no file's, in bytes; 0 where it is not known.
func anonymous(root string) int64 {
	text, _ := os.ReadFile(filepath.Join(root, "proc/self/status"))
	for line := range bytes.Lines(text) {
		if kB, ok := bytes.CutPrefix(line, []byte("RssAnon:")); ok {
			n, _ := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(string(kB)), "kB")), 10, 64)
			return n << 10
		}
	}
	return 0
}

// beside has the model be planned beside those that are loaded: with the context that it would
// have without them, so that what it can do does not depend on what was asked before.
func (o *opening) beside() {
	held := o.loader.heldBytes()
	if held == 0 {
		return
	}
	if alone := *o; alone.fit() == nil {
		o.context, o.aloneRest = alone.plan.Context, alone.rest
	}
	o.held = held
}

// roomBeside says that a model has room in memory, and has none beside those that are loaded:
// the error wraps server.ErrCrowded. What else is wrong with it is found out as it is loaded.
func (l *loader) roomBeside(dir string, man *bundle.Manifest, mode infer.Mode) error {
	if !l.wantsDraft(mode) || man.Draft != nil && !man.Draft.Speaks() {
		man = withoutDraft(man)
	}
	o := &opening{loader: l, bundle: &bundle.Bundle{Dir: dir, Manifest: man}, mode: mode}
	if o.beside(); o.context == 0 { // none is loaded, or it has no room without them either
		return nil
	}
	switch err := o.fit(); {
	case errors.Is(err, batch.ErrMemory):
		return l.crowdedBy(err)
	case err == nil && o.rest < o.aloneRest && !l.allPinned():
		// Without the others it would answer when the cloud is lost too.
		return l.crowdedBy(cmp.Or(o.noRest, fmt.Errorf("%w: the rest of the model has room for %d positions of %d", batch.ErrMemory, o.rest, o.aloneRest)))
	}
	return nil
}

// allPinned says whether every model that is loaded stays whatever is asked, and so makes no room.
func (l *loader) allPinned() bool {
	pinned := map[string]bool{}
	for _, name := range l.conf.Pin {
		if m, err := l.find(name); err == nil {
			pinned[m.Digest] = true
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for o := range l.held {
		if !pinned[BundleID(o.bundle.Manifest)] {
			return false
		}
	}
	return true
}

// crowded is the error of planning a model, which wraps server.ErrCrowded where it has room
// without those that are loaded.
func (o *opening) crowded(ctx context.Context, err error) error {
	if o.held == 0 || !errors.Is(err, batch.ErrMemory) {
		return err
	}
	alone := *o
	alone.held, alone.context = 0, 0
	if alone.fitWithDraft(ctx) != nil {
		return err
	}
	return o.loader.crowdedBy(err)
}

func (l *loader) crowdedBy(err error) error {
	return fmt.Errorf("%w, %s: %w", server.ErrCrowded, l.holders(), err)
}

// describeUnloaded is what is known of a model that need not be loaded: the same that it is when it
// is. Its context is that of the configuration, or what it is planned for.
func (l *loader) describeUnloaded(dir string, man *bundle.Manifest) infer.Model {
	m := describeBundle(dir, man)
	if n := l.conf.Context; n > 0 {
		m.Context = cmp.Or(min(n, man.ContextLength), n)
		return m
	}
	mode, _ := l.modeOf(dir, man)
	if !l.wantsDraft(mode) || man.Draft != nil && !man.Draft.Speaks() {
		man = withoutDraft(man)
	}
	o := &opening{loader: l, bundle: &bundle.Bundle{Dir: dir, Manifest: man}, mode: mode}
	if o.fit() == nil {
		m.Context = o.plan.Context
	}
	return m
}
