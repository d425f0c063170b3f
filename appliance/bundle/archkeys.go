package bundle

// What the graph of each architecture depends on beyond the common keys, as
// llama.cpp's load_hparams and models/*.cpp of the pinned version have it. Above
// all: what they derive from the number of blocks, or from a block's number,
// which a slice counts anew.

// gemma3Window is the block after which gemma3's windows repeat: five that see
// a sliding window, then one that sees all.
const gemma3Window = 6

// gemma3Scaled is the number of blocks by which llama.cpp knows gemma3 27B, the
// one size with another attention scale. No key holds it, so no slice can.
const gemma3Scaled = 62

// smollm3Rope is the block after which smollm3 repeats: three that rotate, then
// one that does not.
const smollm3Rope = 4

// fullRope wants every dimension of a head rotated, as most graphs assert.
func (k *keys) fullRope(m *Model) {
	if m.rotated != m.head {
		k.fail("rope dimension count %d does not fit the key length %d: the file is corrupt", m.rotated, m.head)
	}
}

// evenHeads wants the heads to share out the embedding, which loading assumes
// where it makes one matrix square.
func (k *keys) evenHeads(m *Model) {
	if int(m.head)*m.Heads != m.Embedding {
		k.fail("%d heads of length %d do not make the embedding length %d: the file is corrupt", m.Heads, m.head, m.Embedding)
	}
}

func llamaKeys(k *keys, m *Model) {
	k.fullRope(m)
	kv, _ := k.f.KV("llama.rope.scaling.type")
	kind, _ := kv.Text()
	m.LongRope = kind == "longrope"
}

func qwen2Keys(k *keys, m *Model) {
	k.fullRope(m)
	k.evenHeads(m)
}

func qwen3Keys(k *keys, m *Model) { k.fullRope(m) }

func gemma3Keys(k *keys, m *Model) {
	k.fullRope(m)
	k.only("final_logit_softcapping", 0) // an exit head of our own has none
	k.only("attn_logit_softcapping", 0)
	if k.count("attention.sliding_window", maxContext) > 0 {
		m.Period, m.window = gemma3Window, true
		k.only("attention.sliding_window_pattern", gemma3Window)
		k.only("rope.freq_base_swa", 10000)
		if m.Blocks < gemma3Window {
			k.fail("%d blocks are fewer than gemma3's %d with a sliding window: the file is corrupt", m.Blocks, gemma3Window)
		}
	}
	if m.Blocks >= gemma3Scaled {
		k.fail("gemma3 of %d blocks is %w: its attention scale hangs on the number of blocks, use a smaller gemma3", m.Blocks, ErrUnsupported)
	}
}

// phi3's sliding window is read and not used by this llama.cpp, in slices as in
// the whole model.
func phi3Keys(k *keys, m *Model) {
	k.evenHeads(m)
	k.count("attention.sliding_window", maxContext)
	m.LongRope = true
}

func smollm3Keys(k *keys, m *Model) {
	k.fullRope(m)
	m.Period = smollm3Rope
}
