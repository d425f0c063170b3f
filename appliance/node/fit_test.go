package node

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"skerry/appliance/bundle"
	"skerry/appliance/bundle/prepare"
	"skerry/appliance/config"
	"skerry/appliance/decode"
	"skerry/appliance/decode/batch"
	"skerry/appliance/engine"
	"skerry/appliance/infer"
	"skerry/cloudlink/hidden"
)

// limitedTo is the root of a machine of 8 GiB whose memory is limited to so many MB for
// this process.
func limitedTo(t *testing.T, mb int) string {
	t.Helper()
	root := t.TempDir()
	for name, text := range map[string]string{
		"proc/meminfo":             "MemTotal: 8388608 kB\nMemAvailable: 7340032 kB\n",
		"proc/42/cgroup":           "0::/box\n",
		"proc/42/mountinfo":        "30 20 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n",
		"sys/fs/cgroup/memory.max": "max\n", "sys/fs/cgroup/box/memory.max": fmt.Sprintln(mb * 1e6),
		"sys/fs/cgroup/box/memory.current": "17000000\n",
	} {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("42", filepath.Join(root, "proc/self")); err != nil {
		t.Fatal(err)
	}
	return root
}

// defaultBundle is the default model, split, in the cache.
func defaultBundle(t *testing.T) (dir string, man *bundle.Manifest) {
	t.Helper()
	quiet := func(string, int64, int64) {}
	dir, err := prepare.Default(t.Context(), quiet, quiet)
	if err != nil {
		t.Fatalf("the default model is neither in the cache nor to be had: %v", err)
	}
	if man, err = bundle.ReadManifest(dir); err != nil {
		t.Fatal(err)
	}
	return dir, man
}

// Where a board answers with the whole model alone, it does so with a cloud too, once
// that is lost: but for the little that the stages take twice.
func TestEnrollingTakesNoAnswersAway(t *testing.T) {
	dir, man := defaultBundle(t)
	fit := func(mode infer.Mode, mb int) (*opening, error) {
		o := &opening{loader: &loader{conf: config.Default(), root: limitedTo(t, mb)}, bundle: &bundle.Bundle{Dir: dir, Manifest: man}, mode: mode}
		return o, o.fit()
	}
	first, _ := man.Stage(bundle.Board1)
	last, _ := man.Stage(bundle.Cloud)
	twice := int((first.Bytes+last.Bytes-man.WholeBytes)/1e6) + 60 // and compute buffers of one stage more
	for mb := 250; mb < 2000; mb += 50 {
		alone, err := fit(decode.Unsplit, mb-twice)
		if err != nil {
			continue
		}
		o, err := fit(decode.Collaborative, mb)
		if err != nil || o.rest < min(alone.plan.Context, 2048) {
			t.Errorf("%d MB: alone a context of %d; with a cloud %d, without it %d, %v, %v", mb, alone.plan.Context, o.plan.Context, o.rest, o.noRest, err)
		}
		if o.plan.Bytes > int64(mb)*1e6 {
			t.Errorf("%d MB: %d are planned", mb, o.plan.Bytes/1e6)
		}
	}
}

// TestPlanCoversHiddenStates: what conversations keep of hidden states, once for all
// who want them, is in the plan, with a cloud and without.
func TestPlanCoversHiddenStates(t *testing.T) {
	dir, man := defaultBundle(t)
	for _, mode := range []infer.Mode{decode.Collaborative, decode.Standalone} {
		o := &opening{loader: &loader{conf: config.Default(), root: limitedTo(t, 4000)}, bundle: &bundle.Bundle{Dir: dir, Manifest: man}, mode: mode}
		if err := o.fit(); err != nil {
			t.Fatal(err)
		}
		if len(o.roles) < 2 {
			t.Fatalf("%s: one stage of the board", mode)
		}
		sizes := batch.Sizes{Scratch: programBytes}
		for _, role := range o.roles {
			if err := AddStage(&sizes, o.bundle, role); err != nil {
				t.Fatal(err)
			}
		}
		rows := hidden.NewBuffer(man.Embedding)
		if err := rows.Put(0, make([]float32, o.plan.Context*man.Embedding)); err != nil {
			t.Fatal(err)
		}
		kept := int64(o.plan.Parallel * rows.Bytes())
		if least := sizes.Weights + sizes.Scratch + int64(o.plan.Positions)*sizes.Position + kept; o.plan.Bytes < least {
			t.Errorf("%s: the plan has %d bytes for %d positions, at least %d are taken, %d of them by hidden states", mode, o.plan.Bytes, o.plan.Positions, least, kept)
		}
	}
}

// TestPlanCoversVocabulary: the plan has what a stage's tokenizer takes beside its weights.
func TestPlanCoversVocabulary(t *testing.T) {
	dir, man := defaultBundle(t)
	b := &bundle.Bundle{Dir: dir, Manifest: man}
	var sizes batch.Sizes
	if err := AddStage(&sizes, b, bundle.Unsplit); err != nil {
		t.Fatal(err)
	}
	st, _ := man.Stage(bundle.Unsplit)
	if more := sizes.Weights - st.Bytes; more < int64(man.Vocab)*270 || more > int64(man.Vocab)*400 {
		t.Errorf("%d bytes are planned for %d tokens", more, man.Vocab)
	}
}

// TestPlanCoversAttention: the plan has what each thread computes attention in, and what
// several share for each position.
func TestPlanCoversAttention(t *testing.T) {
	dir, man := defaultBundle(t)
	b := &bundle.Bundle{Dir: dir, Manifest: man}
	shape, err := shapeOf(b.Path(bundle.Unsplit), man)
	if err != nil {
		t.Fatal(err)
	}
	var sizes batch.Sizes
	if err := AddStage(&sizes, b, bundle.Unsplit); err != nil {
		t.Fatal(err)
	}
	thread, position := engine.AttentionMemory(shape.headLength, shape.headLength, shape.group)
	if least := int64(man.Blocks)*shape.kvPerBlock() + position; sizes.Position < least {
		t.Errorf("a position takes %d bytes, not %d", sizes.Position, least)
	}
	bytes := func(threads int) int64 {
		memory, _ := MachineMemory(limitedTo(t, 4000))
		plan, err := batch.Fit(batch.Want{Context: 2048, Parallel: 1, Threads: threads}, memory, sizes)
		if err != nil {
			t.Fatal(err)
		}
		return plan.Bytes
	}
	if more := bytes(4) - bytes(1); more < 3*thread || thread == 0 {
		t.Errorf("three threads more take %d bytes, each %d", more, thread)
	}
}
