package cross_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// cpu is a processor that qemu imitates, and the kernels that the program is to
// choose on it.
type cpu struct {
	name    string // of the boards that have it
	model   string // qemu's -cpu
	variant string
	feature string // one that tells the variant from the next lower
	exact   bool   // results do not depend on how positions are batched
}

// armCPUs are all that qemu can do, a Raspberry Pi 3, a Pi 4 or Jetson Nano, and a
// Pi 5 or Jetson Orin. Vectors of SVE have 128 bits on all boards to be had, 256
// on Graviton 3; qemu's own default of 512 is found together with these
// instructions nowhere, and takes it seven seconds a token.
var armCPUs = []cpu{
	{"max", "max,sve-max-vq=1,pauth-impdef=on", "armv8.6_1", "SVE_CNT=16", false}, // the slowest first
	{"cortex-a53", "cortex-a53", "armv8.0_1", "NEON", true},
	{"cortex-a72", "cortex-a72", "armv8.0_1", "NEON", true},
	{"cortex-a76", "cortex-a76", "armv8.2_2", "DOTPROD", true},
}

// machine runs a program for a processor, imitated where cpu.model is not empty.
type machine struct {
	cpu     cpu
	qemu    string
	program string
	kernels string // "" for those beside the program
	state   string
}

// onARM returns machines that run the cross-built program, or skips the test.
func onARM(t *testing.T) func(cpu) machine {
	t.Helper()
	program := binary(t, "../build/out/arm64/bin/skerry", "make cross")
	qemu := qemu(t, "aarch64")
	if _, err := os.Stat("/usr/aarch64-linux-gnu/lib"); err != nil {
		t.Skipf("skipped: no arm64 C library for emulation: %v (apt-get install libc6-arm64-cross libstdc++6-arm64-cross)", err)
	}
	state := t.TempDir()
	return func(c cpu) machine { return machine{cpu: c, qemu: qemu, program: program, state: state} }
}

// here is this machine, with the program that make built.
func here(t *testing.T) machine {
	t.Helper()
	return machine{program: binary(t, "../bin/skerry", "make build"), state: t.TempDir()}
}

func binary(t *testing.T, path, target string) string {
	t.Helper()
	abs, err := filepath.Abs(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(abs); err != nil {
		t.Skipf("skipped: %v: %s builds it where a compiler is to be had", err, target)
	}
	return abs
}

func qemu(t *testing.T, arch string) string {
	t.Helper()
	path, err := exec.LookPath("qemu-" + arch + "-static")
	if err != nil {
		t.Skipf("skipped: %v (apt-get install qemu-user-static)", err)
	}
	return path
}

func (m machine) command(args ...string) *exec.Cmd {
	cmd := exec.Command(m.program, args...)
	if m.cpu.model != "" {
		cmd = exec.Command(m.qemu, append([]string{"-cpu", m.cpu.model, m.program}, args...)...)
	}
	cmd.Env = append(os.Environ(), "QEMU_LD_PREFIX=/usr/aarch64-linux-gnu", "SKERRY_STATE="+m.state, "SKERRY_KERNELS="+m.kernels)
	return cmd
}

func (m machine) output(t *testing.T, args ...string) []byte {
	t.Helper()
	cmd := m.command(args...)
	var complaint strings.Builder
	cmd.Stderr = &complaint
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: skerry %s: %v\n%s%s", m.cpu.name, strings.Join(args, " "), err, out, complaint.String())
	}
	return out
}

// kernelsOf is what skerry version --json says of kernels.
type kernelsOf struct {
	Variant  string
	Path     string
	Features []string
}

func (m machine) chosen(t *testing.T) kernelsOf {
	t.Helper()
	var v struct{ Kernels kernelsOf }
	if err := json.Unmarshal(m.output(t, "version", "--json"), &v); err != nil {
		t.Fatal(err)
	}
	return v.Kernels
}

// wantChoice fails the test unless the program chooses the variant that suits.
func (m machine) wantChoice(t *testing.T) kernelsOf {
	t.Helper()
	k := m.chosen(t)
	if k.Variant != m.cpu.variant || !slices.Contains(k.Features, m.cpu.feature) {
		t.Errorf("%s runs %s with %v, want %s with %s", m.cpu.name, k.Variant, k.Features, m.cpu.variant, m.cpu.feature)
	}
	return k
}
