package gpu

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func put(t *testing.T, root, name, text string) string {
	t.Helper()
	path := filepath.Join(root, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestReadPlatform(t *testing.T) {
	for name, c := range map[string]struct {
		file, text string
		want       Platform
	}{
		"nothing":        {"etc/hostname", "board", Platform{}},
		"JetPack 6":      {"etc/nv_tegra_release", "# R36 (release), REVISION: 4.0, GCID: 37537400, BOARD: generic, EABI: aarch64, DATE: Fri Sep 13 04:36:44 UTC 2024\n", Platform{Tegra: 36}},
		"JetPack 7":      {"etc/nv_tegra_release", "# R38 (release), REVISION: 2.0\n", Platform{Tegra: 38}},
		"another text":   {"etc/nv_tegra_release", "R36", Platform{}},
		"a library":      {"usr/lib/x86_64-linux-gnu/libcuda.so.535.183.01", "", Platform{Driver: "535.183.01"}},
		"only a link":    {"usr/lib/x86_64-linux-gnu/libcuda.so.1", "", Platform{}},
		"only a driver":  {"proc/driver/nvidia/version", "NVRM version: NVIDIA UNIX x86_64 Kernel Module  470.256.02  Thu May  2 14:37:44 UTC 2024\n", Platform{Driver: "470.256.02"}},
		"an open driver": {"proc/driver/nvidia/version", "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  580.65.06  Release Build\n", Platform{Driver: "580.65.06"}},
	} {
		root := t.TempDir()
		put(t, root, c.file, c.text)
		if got := ReadPlatform(root); got != c.want {
			t.Errorf("%s: %+v, want %+v", name, got, c.want)
		}
	}
}

func TestChoose(t *testing.T) {
	both := []Library{{Path: "cuda12/libggml-cuda.so", CUDA: 12}, {Path: "cuda13/libggml-cuda.so", CUDA: 13}}
	for name, c := range map[string]struct {
		p     Platform
		all   []Library
		first string // CUDA of the first that may be loaded, "" for none
		why   string // of the first that may not
	}{
		"JetPack 6":           {Platform{Tegra: 36}, both, "cuda12", "for CUDA 13, and release 36 of Linux for Tegra has CUDA 12"},
		"JetPack 7":           {Platform{Tegra: 38, Driver: "580.0.0"}, both, "cuda13", "for CUDA 12"},
		"JetPack 5":           {Platform{Tegra: 35}, both, "", "JetPack 6 (release 36) is the oldest"},
		"a new driver":        {Platform{Driver: "580.65.06"}, both, "cuda13", ""},
		"an older driver":     {Platform{Driver: "535.183.01"}, both, "cuda12", "the driver 535.183.01 is too old for CUDA 13: install 580 or newer"},
		"a driver too old":    {Platform{Driver: "470.256.02"}, both, "", "too old for CUDA 13"},
		"no driver":           {Platform{}, both, "", "no driver of NVIDIA is installed"},
		"no CUDA is wanted":   {Platform{}, []Library{{Path: "libggml-vulkan.so"}}, "libggml-vulkan.so", ""},
		"a damaged file":      {Platform{Tegra: 36}, []Library{{Path: "libggml-cuda.so", Unfit: "it is damaged"}}, "", "it is damaged"},
		"CUDA within":         {Platform{Tegra: 36}, []Library{{Path: "libggml-cuda.so"}}, "libggml-cuda.so", ""},
		"CUDA within, no GPU": {Platform{}, []Library{{Path: "libggml-cuda.so"}}, "", "no driver"},
	} {
		got := c.p.Choose(c.all)
		first := ""
		if got[0].Unfit == "" {
			first = got[0].Path
		}
		if c.first == "" && first != "" || !strings.Contains(first, c.first) {
			t.Errorf("%s: the first is %q", name, first)
		}
		i := slices.IndexFunc(got, func(l Library) bool { return l.Unfit != "" })
		if c.why == "" && i >= 0 || c.why != "" && (i < 0 || !strings.Contains(got[i].Unfit, c.why)) {
			t.Errorf("%s: %+v, not %q", name, got, c.why)
		}
	}
}

func TestFind(t *testing.T) {
	dir := t.TempDir()
	broken := put(t, dir, "libggml-broken.so", "no library")
	put(t, dir, "libggml-base.so", "")
	put(t, dir, "libggml-cpu-haswell.so", "")
	put(t, dir, "else/libggml-cuda.so", "")
	deep := put(t, dir, "cuda12/libggml-cuda.so", "")
	self, err := os.Executable() // which is ELF
	if err != nil {
		t.Fatal(err)
	}
	program, err := os.ReadFile(self)
	if err != nil {
		t.Fatal(err)
	}
	whole := put(t, dir, "cuda-13/libggml-cuda.so", string(program))
	got := Find([]string{dir, dir, filepath.Join(dir, "missing")})
	if len(got) != 3 || got[0].Path != broken || got[0].Unfit == "" || got[1].Path != whole || got[2].Path != deep {
		t.Fatalf("%+v", got)
	}
	if got[1].CUDA != 13 || got[1].Unfit != "" {
		t.Errorf("%+v", got[1])
	}
}

func TestLayers(t *testing.T) {
	for text, want := range map[string]Layers{"auto": Auto, "all": All, "0": 0, "12": 12} {
		var l Layers
		if err := l.UnmarshalText([]byte(text)); err != nil || l != want || l.String() != text {
			t.Errorf("%s: %v, %v", text, l, err)
		}
	}
	for _, text := range []string{"", "-1", "some", "65536"} {
		if err := new(Layers).UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q is taken", text)
		}
	}
}

func TestFit(t *testing.T) {
	s := Sizes{Blocks: []int64{10, 10, 20}, Head: 50, KV: 5, Scratch: 10, Logits: 5}
	for _, c := range []struct {
		want Layers
		free int64
		n    int
	}{
		{Auto, 0, 0}, {Auto, 36, 0}, {Auto, 38, 1}, {Auto, 54, 2}, {Auto, 70, 3}, {Auto, 126, 3}, {Auto, 1000, 4},
		{All, 1000, 4}, {All, 70, 3}, {2, 1000, 2}, {2, 38, 1}, {0, 1000, 0},
	} {
		if n := s.Fit(c.want, c.free); n != c.n {
			t.Errorf("%v in %d: %d, want %d", c.want, c.free, n, c.n)
		}
	}
}
