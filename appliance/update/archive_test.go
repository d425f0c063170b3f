package update

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"skerry/appliance/update/manifest"
)

// packed is an archive of these files, in this order.
func packed(t testing.TB, files ...[2]string) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, f := range files {
		if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: f[0], Size: int64(len(f[1])), Mode: 0o644}); err != nil {
			t.Fatal(err)
		}
		w.Write([]byte(f[1]))
	}
	w.Close()
	return b.Bytes()
}

func TestArchive(t *testing.T) {
	v := newVersion(t, 2, "skerry", "kernels/k.so")
	skerry, kernel := [2]string{"skerry", string(v.files["skerry"])}, [2]string{"kernels/k.so", string(v.files["kernels/k.so"])}
	for name, c := range map[string]struct {
		files [][2]string
		cut   int
		want  error
	}{
		"whole":   {files: [][2]string{skerry, {"other", "x"}, kernel}},
		"missing": {files: [][2]string{skerry}, want: ErrDamaged},
		"longer":  {files: [][2]string{skerry, {"kernels/k.so", "x"}}, want: ErrDamaged},
		"outside": {files: [][2]string{skerry, {"../kernels/k.so", kernel[1]}}, want: ErrDamaged},
		"damaged": {files: [][2]string{{"skerry", strings.Repeat("x", len(skerry[1]))}, kernel}, want: ErrDamaged},
		"cut":     {files: [][2]string{skerry, kernel}, cut: 2000, want: ErrDamaged},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "x"+ArchiveSuffix)
			data := packed(t, append([][2]string{{manifest.File, "{}"}, {manifest.SignatureFile, "s"}}, c.files...)...)
			write(t, path, data[:len(data)-c.cut])
			d, u := newReal(t, newVersion(t, 1, "skerry"))
			src, err := NewSource(path, u.Cache())
			if err != nil {
				t.Fatal(err)
			}
			if text, signature, err := src.Manifest(t.Context()); string(text) != "{}" || string(signature) != "s" || err != nil {
				t.Errorf("%q, %q, %v", text, signature, err)
			}
			if _, err := u.Apply(t.Context(), v.manifest, src, nil); !errors.Is(err, c.want) {
				t.Fatalf("%v is not %v", err, c.want)
			}
			s, r := restart(t, d, u)
			if c.want == nil && s.Phase != OnTrial || c.want != nil && r.Slot != A {
				t.Errorf("%+v, %+v", s, r)
			}
			if _, err := os.Stat(filepath.Join(u.Cache(), "unpacked")); !os.IsNotExist(err) {
				t.Errorf("what was unpacked is left: %v", err)
			}
		})
	}
}

func FuzzArchive(f *testing.F) {
	f.Add(packed(f, [2]string{manifest.File, "{}"}, [2]string{manifest.SignatureFile, "s"}, [2]string{"skerry", "x"}))
	f.Add(packed(f, [2]string{"skerry", "x"}))
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, data []byte) {
		path := filepath.Join(dir, "x"+ArchiveSuffix)
		if err := os.WriteFile(path, data, 0o644); err != nil {
			t.Fatal(err)
		}
		text, signature, err := archiveSource{path, ""}.Manifest(t.Context())
		if err == nil && (text == nil || len(text) > manifest.MaxSize || len(signature) > manifest.MaxSignature) {
			t.Fatalf("%d and %d bytes", len(text), len(signature))
		}
	})
}

// fillingSource takes the space that the slot would need: what is fetched is as large as no
// disk is.
type fillingSource struct{ Source }

func (f fillingSource) Files(ctx context.Context, files []manifest.Entry, report func(string, int64, int64)) ([]string, error) {
	paths, err := f.Source.Files(ctx, files, report)
	files[0].Size = 1 << 43
	return paths, err
}

// Where what was fetched leaves no space for the slot, the slot keeps the previous version.
func TestSpaceAfterFetching(t *testing.T) {
	d, u := newReal(t, newVersion(t, 1, "skerry"))
	keptUpdate(t, d, u, 2)
	v := newVersion(t, 3, "skerry")
	if _, err := u.Apply(t.Context(), v.manifest, fillingSource{directorySource(v.dir)}, nil); !errors.Is(err, syscall.ENOSPC) {
		t.Fatal(err)
	}
	if s, _, err := u.Status(); err != nil || s.Phase != Idle || !s.Slots[A].Whole || !s.Last.Kept {
		t.Errorf("%+v, %v", s, err)
	}
	if _, again, err := u.Rollback(t.Context()); err != nil || !again {
		t.Errorf("to the previous version: %v, %v", again, err)
	}
}
