package cross_test

import (
	"os/exec"
	"path/filepath"
	"testing"
)

func TestChoiceARM(t *testing.T) {
	on := onARM(t)
	for _, c := range append(armCPUs,
		cpu{"neoverse-n1", "neoverse-n1", "armv8.2_2", "DOTPROD", false},
		// It has SVE and no dot products, which no variant fits.
		cpu{"a64fx", "a64fx", "armv8.0_1", "REPACK", false},
		cpu{"max of 256 bits", "max,sve-max-vq=2", "armv8.6_1", "SVE_CNT=32", false}) {
		on(c).wantChoice(t)
	}
}

// Libraries are found beside the program, and where there are none the portable
// kernels linked into it compute.
func TestFallbackARM(t *testing.T) {
	m := onARM(t)(armCPUs[1])
	m.kernels = t.TempDir()
	m.wantChoice(t)
	alone := filepath.Join(t.TempDir(), "skerry")
	if err := exec.Command("cp", m.program, alone).Run(); err != nil {
		t.Fatal(err)
	}
	m.program = alone
	if k := m.chosen(t); k.Variant != "baseline" || k.Path != "" {
		t.Errorf("without a library the kernels are %+v", k)
	}
}

func TestChoiceAMD(t *testing.T) {
	own := here(t)
	all := filepath.Dir(binary(t, "../build/out/amd64/bin/kernels/libggml-cpu-sse42.so", "make cross"))
	emulator := qemu(t, "x86_64")
	for _, c := range []cpu{
		{"nehalem", "Nehalem", "sse42", "SSSE3", false},
		{"sandybridge", "SandyBridge", "sandybridge", "AVX", false},
		{"haswell", "Haswell", "haswell", "AVX2", false},
		{"core2duo", "core2duo", "baseline", "LLAMAFILE", false},
	} {
		m := machine{cpu: c, qemu: emulator, program: own.program, kernels: all, state: own.state}
		m.wantChoice(t)
	}
	// What make build thinks this processor will choose is what it does choose.
	best := own
	best.kernels = all
	if a, b := own.chosen(t), best.chosen(t); a.Variant != b.Variant {
		t.Errorf("make build made %s, of all variants %s is chosen", a.Variant, b.Variant)
	}
}
