package split

import (
	"context"
	"encoding/binary"
	"fmt"
	"math"
	"testing"

	"github.com/x448/float16"

	"skerry/appliance/bundle"
	"skerry/appliance/bundle/bundletest"
	"skerry/appliance/bundle/gguf"
	"skerry/build/testleak"
)

func TestMain(m *testing.M) { testleak.Main(m) }

// testQuantizer stands in for the engine's: it knows q4_1 and q8_0, plainly.
var testQuantizer Quantizer = func(dst, src gguf.Type, cols int, data []byte) ([]byte, error) {
	if src != gguf.Q4_1 || dst != gguf.Q8_0 {
		return nil, fmt.Errorf("no conversion here from %v to %v", src, dst)
	}
	var out []byte
	for b := data; len(b) > 0; b = b[20:] {
		out = append(out, q8(bundletest.Q4_1(b[:20]))...)
	}
	return out, nil
}

func q8(v [32]float32) []byte {
	most := float32(0)
	for _, x := range v {
		most = max(most, float32(math.Abs(float64(x))))
	}
	b := binary.LittleEndian.AppendUint16(nil, float16.Fromfloat32(most/127).Bits())
	for _, x := range v {
		b = append(b, byte(int8(math.Round(float64(x/max(most, 1e-20)*127)))))
	}
	return b
}

func split(t testing.TB, src, dir string, opt Options) *bundle.Manifest {
	t.Helper()
	if opt.Quantizer == nil {
		opt.Quantizer = testQuantizer
	}
	m, err := Model(t.Context(), src, dir, opt)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func parityOK(context.Context, string, *bundle.Manifest) (bundle.ParityResult, error) {
	return bundle.ParityResult{Positions: 64, EqualTokens: 64, Kernels: "test"}, nil
}
