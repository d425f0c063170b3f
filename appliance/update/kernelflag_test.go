package update

import (
	"errors"
	"io/fs"
	"path/filepath"
	"slices"
	"testing"

	"golang.org/x/sys/unix"
)

func TestKernelFlag(t *testing.T) {
	for what, c := range map[string]struct {
		own   bool  // the kernel has the mailbox
		first error // of the first load
		did   []string
		want  error
	}{
		"debian":          {did: []string{"load skerry_try.ko", "unload skerry_try"}},
		"raspberry pi":    {own: true},
		"left loaded":     {first: unix.EEXIST, did: []string{"load skerry_try.ko", "unload skerry_try", "load skerry_try.ko", "unload skerry_try"}},
		"without modules": {first: fs.ErrNotExist, did: []string{"load skerry_try.ko"}, want: fs.ErrNotExist},
		"no firmware":     {first: unix.ENODEV, did: []string{"load skerry_try.ko"}, want: unix.ENODEV},
	} {
		t.Run(what, func(t *testing.T) {
			var did []string
			k := kernelFlag{dir: "modules", mailbox: filepath.Join(t.TempDir(), "vcio")}
			if c.own {
				write(t, k.mailbox, nil)
			}
			k.load = func(path string) error {
				did = append(did, "load "+filepath.Base(path))
				if len(did) == 1 {
					return c.first
				}
				return nil
			}
			k.unload = func(name string) error { did = append(did, "unload "+name); return nil }
			if err := k.set(true); !errors.Is(err, c.want) {
				t.Errorf("%v, not %v", err, c.want)
			}
			if !slices.Equal(did, c.did) {
				t.Errorf("it did %q, not %q", did, c.did)
			}
		})
	}
}
