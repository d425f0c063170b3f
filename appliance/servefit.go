package main

import (
	"cmp"
	"runtime"

	"skerry/appliance/bundle"
	"skerry/appliance/bundle/gguf"
	"skerry/appliance/decode/slots"
	"skerry/board"
)

// programBytes is what the program and its compute buffers take beside weights and
// KV cache.
const programBytes = 192 << 20

// fit decides context, answers at once and threads from what memory there is.
func (o *opening) fit() (err error) {
	man, conf := o.bundle.Manifest, o.loader.conf
	sizes := slots.Sizes{Scratch: programBytes, Trained: man.ContextLength}
	for _, role := range boardRoles(man, o.mode) {
		st, _ := man.Stage(role)
		sizes.Weights += st.Bytes
		per, err := kvPerBlock(o.bundle.Path(role), man)
		if err != nil {
			return err
		}
		sizes.Position += int64(st.To-st.From) * per
	}
	if o.mode.NeedsCloud() {
		sizes.Position += 4 * int64(man.Embedding) // hidden states that the cloud may want again
	}
	want := slots.Want{Context: conf.Context, Parallel: conf.Parallel, Threads: conf.Threads}
	o.plan, err = slots.Fit(want, machineMemory(), sizes)
	return err
}

// kvPerBlock is what one position takes in the KV cache of a block, in bytes: keys
// and values of float16.
func kvPerBlock(path string, man *bundle.Manifest) (int64, error) {
	f, err := gguf.Open(path)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	number := func(key string) int64 {
		kv, _ := f.KV(man.Architecture + ".attention." + key)
		n, _ := kv.Uint32()
		return int64(n)
	}
	heads := max(number("head_count"), 1)
	length := cmp.Or(number("key_length"), int64(man.Embedding)/heads)
	return 2 * 2 * cmp.Or(number("head_count_kv"), heads) * length, nil
}

// machineMemory is what is free on this machine.
func machineMemory() slots.Memory {
	m, _ := board.ReadMemory("/") // where it is not known nothing fits, and the error says so
	return slots.Memory{Total: int64(m.Total), Available: int64(m.Available), Cores: runtime.NumCPU()}
}
