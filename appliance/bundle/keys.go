package bundle

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"skerry/appliance/bundle/gguf"
)

// keys reads hyperparameters and keeps the first error.
type keys struct {
	f    *gguf.File
	arch string
	err  error
}

func (k *keys) fail(format string, args ...any) {
	if k.err == nil {
		k.err = fmt.Errorf("%s: "+format, append([]any{k.f.Name}, args...)...)
	}
}

// number reads a uint32 of 1 to most; fallback stands in for a missing key
// unless it is 0.
func (k *keys) number(key string, most, fallback uint32) uint32 {
	key = k.arch + "." + key
	kv, ok := k.f.KV(key)
	if !ok {
		if fallback == 0 {
			k.fail("%s is missing: the model is incomplete, get another copy", key)
		}
		return fallback
	}
	v, ok := kv.Uint32()
	if !ok || v < 1 || v > most {
		k.fail("%s is not a uint32 of 1 to %d: the file is corrupt, or of a kind that is not supported", key, most)
		return 1
	}
	return v
}

// count reads a uint32 of 0 to most, 0 where the key is missing.
func (k *keys) count(key string, most uint32) uint32 {
	key = k.arch + "." + key
	kv, ok := k.f.KV(key)
	if !ok {
		return 0
	}
	v, ok := kv.Uint32()
	if !ok || v > most {
		k.fail("%s is not a uint32 of 0 to %d: the file is corrupt, or of a kind that is not supported", key, most)
		return 0
	}
	return v
}

// positive checks that a float, if there is one, is above zero and finite.
func (k *keys) positive(key string, need bool) {
	key = k.arch + "." + key
	kv, ok := k.f.KV(key)
	if !ok {
		if need {
			k.fail("%s is missing: the model is incomplete, get another copy", key)
		}
		return
	}
	v, ok := kv.Float32()
	if !ok || !(v > 0) || math.IsInf(float64(v), 0) {
		k.fail("%s is not a positive finite float32: the file is corrupt, download it again", key)
	}
}

func (k *keys) oneOf(key string, names ...string) {
	key = k.arch + "." + key
	kv, ok := k.f.KV(key)
	if !ok {
		return
	}
	if v, ok := kv.Text(); !ok || !slices.Contains(names, v) {
		k.fail("%s is not one of %s: the file is corrupt, or of a kind that is not supported", key, strings.Join(names, ", "))
	}
}

// only refuses a key that this llama.cpp does not read and takes for want,
// a uint32 or a float32, where it says something else.
func (k *keys) only(key string, want float64) {
	key = k.arch + "." + key
	kv, ok := k.f.KV(key)
	if !ok {
		return
	}
	n, isInt := kv.Uint32()
	x, isFloat := kv.Float32()
	if isInt && float64(n) == want || isFloat && float64(x) == want {
		return
	}
	k.fail("%s is not %g: this variant of %s is %w", key, want, k.arch, ErrUnsupported)
}

// absent refuses keys that turn the model into one of another kind.
func (k *keys) absent(key, why string) {
	if _, ok := k.f.KV(k.arch + "." + key); ok {
		k.fail("%s.%s is set: %s", k.arch, key, why)
	}
}
