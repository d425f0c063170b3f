package split

import (
	"bytes"
	"encoding/binary"
	"math"
	"os"
	"strings"
	"testing"

	"skerry/appliance/bundle"
	"skerry/appliance/bundle/bundletest"
	"skerry/appliance/bundle/gguf"
)

// FuzzCheck changes the header of a good model of any architecture anywhere.
func FuzzCheck(f *testing.F) {
	var models [][]byte
	for _, a := range bundle.Architectures() {
		whole, err := os.ReadFile(bundletest.Synth(f, bundletest.Tiny[a], "q4_0"))
		if err != nil {
			f.Fatal(err)
		}
		models = append(models, whole)
	}
	f.Add(uint8(1), uint32(30), []byte("gemma"), uint32(0))
	f.Add(uint8(0), uint32(300), []byte("sliding_windox"), uint32(0))
	f.Add(uint8(2), uint32(8), binary.LittleEndian.AppendUint64(nil, math.MaxUint64), uint32(7))
	f.Fuzz(func(t *testing.T, which uint8, at uint32, patch []byte, cut uint32) {
		b := bytes.Clone(models[int(which)%len(models)])
		copy(b[int(at)%min(len(b), 32<<10):], patch) // longer than any header
		if cut > 0 {
			b = b[:int(cut)%len(b)]
		}
		g, err := gguf.Read(bytes.NewReader(b), int64(len(b)), "fuzz.gguf")
		if err != nil {
			return
		}
		m, err := bundle.CheckFile(g)
		if err != nil {
			if strings.ContainsAny(err.Error(), "\n\r") {
				t.Fatalf("more than a line: %q", err)
			}
			return
		}
		exits := m.DefaultExits()
		if len(exits) == 0 {
			return
		}
		s := slicer{f: g, m: m, want: TypeKeep}
		for _, st := range bundle.StagesOf(exits, m.Blocks) {
			if l, err := s.plan(st); err != nil || l.Size() > 2*int64(len(b)) {
				t.Fatalf("plan of %s: %v", st.Role, err)
			}
		}
	})
}
