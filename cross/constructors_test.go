package cross

import (
	"debug/elf"
	"path/filepath"
	"testing"
)

// Every variant is loaded, to be asked whether it suits, on processors that lack its instructions.
// So nothing of it is to be computed before it is asked: a constructor of a variable would be
// compiled with those instructions. On amd64 there is the compiler's own alone; on arm64 some
// compilers have another one, which is of no variant.
func TestVariantsConstructNothing(t *testing.T) {
	const pointer = 8
	for _, bin := range []string{"../bin", "../build/out/amd64/bin"} {
		paths, err := filepath.Glob(filepath.Join(bin, "kernels", "libggml-cpu-*.so"))
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range paths {
			f, err := elf.Open(path)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			if f.Machine != elf.EM_X86_64 {
				continue
			}
			if s := f.Section(".init_array"); s != nil && s.Size > pointer {
				t.Errorf("%s runs %d constructors when it is loaded, want the compiler's own alone: a variable in cross/kernels is not initialised by a constant", path, s.Size/pointer)
			}
		}
	}
}
