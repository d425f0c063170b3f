package main

import (
	"bytes"
	"debug/elf"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/klauspost/compress/zstd"
	"github.com/ulikunitz/xz"
)

// cpio writes an archive in the kernel's newc format, see its
// Documentation/driver-api/early-userspace/buffer-format.rst. Owners are root, times are 0.
type cpio struct {
	w    io.Writer
	n    int // bytes written
	ino  int
	dirs map[string]bool
	err  error
}

func (c *cpio) write(b []byte) {
	if c.err == nil {
		_, c.err = c.w.Write(b)
		c.n += len(b)
	}
}

func (c *cpio) pad() { c.write(make([]byte, (4-c.n%4)%4)) }

// add writes one entry; mode has its type.
func (c *cpio) add(name string, mode uint32, data []byte) {
	c.ino++
	c.write(fmt.Appendf(nil, "070701%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x",
		c.ino, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(name)+1, 0))
	c.write(append([]byte(name), 0))
	c.pad()
	c.write(data)
	c.pad()
}

// Kinds of entries.
const (
	cpioDir  = 0o040755
	cpioFile = 0o100644
	cpioProg = 0o100755
)

// dir writes a directory and those that it is in, once.
func (c *cpio) dir(name string) {
	if name == "." || c.dirs[name] {
		return
	}
	c.dir(path.Dir(name))
	c.dirs[name] = true
	c.add(name, cpioDir, nil)
}

func (c *cpio) file(name string, mode uint32, data []byte) {
	c.dir(path.Dir(name))
	c.add(name, mode, data)
}

func (c *cpio) close() error {
	c.add("TRAILER!!!", 0, nil)
	return c.err
}

// bootModules are what the initrd needs to find the card and to mount what is on it, by
// their directories or files below kernel/. What they depend on comes along.
var bootModules = []string{
	"drivers/block/virtio_blk.ko", "drivers/virtio/", "drivers/scsi/virtio_scsi.ko", "drivers/scsi/sd_mod.ko",
	"drivers/nvme/host/", "drivers/ata/", "drivers/mmc/", "drivers/usb/host/", "drivers/usb/storage/usb-storage.ko",
	"drivers/usb/storage/uas.ko", "drivers/usb/dwc2/", "drivers/usb/dwc3/", "drivers/pci/controller/", "drivers/phy/broadcom/",
	"drivers/clk/bcm/", "drivers/clk/clk-rp1.ko", "drivers/soc/bcm/", "drivers/pinctrl/bcm/", "drivers/pinctrl/pinctrl-rp1.ko", "drivers/misc/rp1", "drivers/mfd/rp1",
	"drivers/irqchip/irq-bcm2712-mip.ko", "drivers/reset/", "drivers/gpio/gpio-raspberrypi-exp.ko", "drivers/gpio/gpio-brcmstb.ko",
	"drivers/firmware/raspberrypi.ko", "drivers/regulator/fixed.ko", "drivers/regulator/gpio-regulator.ko",
	"fs/erofs/", "fs/ext4/", "fs/overlayfs/", "fs/fat/", "fs/nls/nls_ascii.ko", "fs/nls/nls_cp437.ko", "fs/nls/nls_utf8.ko", "fs/efivarfs/",
	"lib/libcrc32c.ko", "crypto/crc32c_generic.ko",
}

// modules are those of bootModules in a kernel's directory and what they depend on, by
// their paths in it.
func modules(dir string) ([]string, error) {
	deps, err := lines(filepath.Join(dir, "modules.dep"))
	if err != nil {
		return nil, err
	}
	needs := map[string][]string{}
	var todo []string
	for _, l := range deps {
		name, rest, _ := strings.Cut(l, ":")
		needs[name] = strings.Fields(rest)
		for _, want := range bootModules {
			if strings.HasPrefix(name, "kernel/"+want) {
				todo = append(todo, name)
			}
		}
	}
	taken := map[string]bool{}
	for len(todo) > 0 {
		name := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		if !taken[name] {
			taken[name] = true
			todo = append(todo, needs[name]...)
		}
	}
	var list []string
	for name := range taken {
		list = append(list, name)
	}
	slices.Sort(list)
	return list, nil
}

// writeInitrd writes the initrd, compressed: the program start as its /init, and the modules
// from a kernel's directory, unpacked, with the two lists that start reads.
func writeInitrd(out io.Writer, kernelDir, start string) error {
	z, err := zstd.NewWriter(out, zstd.WithEncoderLevel(zstd.SpeedBestCompression))
	if err != nil {
		return err
	}
	c := &cpio{w: z, dirs: map[string]bool{}}
	init, err := os.ReadFile(start)
	if err != nil {
		return err
	}
	if err := checkStatic(init); err != nil {
		return fmt.Errorf("%s: %w", start, err)
	}
	c.file("init", cpioProg, init)
	for _, d := range []string{"dev", "proc", "sys", "root"} {
		c.dir(d)
	}
	list, err := modules(kernelDir)
	if err != nil {
		return err
	}
	if len(list) < 5 {
		return fmt.Errorf("%s has %d of the modules that the initrd needs", kernelDir, len(list))
	}
	var dep strings.Builder
	names := map[string]bool{}
	all, err := lines(filepath.Join(kernelDir, "modules.dep"))
	if err != nil {
		return err
	}
	for _, l := range all {
		if name, _, _ := strings.Cut(l, ":"); slices.Contains(list, name) {
			fmt.Fprintln(&dep, strings.ReplaceAll(l, ".ko.xz", ".ko"))
			names[strings.ReplaceAll(strings.TrimSuffix(strings.TrimSuffix(path.Base(name), ".xz"), ".ko"), "-", "_")] = true
		}
	}
	var alias strings.Builder
	all, err = lines(filepath.Join(kernelDir, "modules.alias"))
	if err != nil {
		return err
	}
	for _, l := range all {
		if f := strings.Fields(l); len(f) == 3 && f[0] == "alias" && names[strings.ReplaceAll(f[2], "-", "_")] {
			fmt.Fprintln(&alias, f[1], f[2])
		}
	}
	c.file("modules/dep", cpioFile, []byte(dep.String()))
	c.file("modules/alias", cpioFile, []byte(alias.String()))
	for _, name := range list {
		data, err := readModule(filepath.Join(kernelDir, name))
		if err != nil {
			return err
		}
		c.file("modules/"+strings.TrimSuffix(name, ".xz"), cpioFile, data)
	}
	if err := c.close(); err != nil {
		return err
	}
	return z.Close()
}

// readModule reads a module and unpacks it, since the whole initrd is compressed.
func readModule(path string) ([]byte, error) {
	data, err := os.ReadFile(path)
	if err != nil || !strings.HasSuffix(path, ".xz") {
		return data, err
	}
	r, err := xz.NewReader(bytes.NewReader(data))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return io.ReadAll(r)
}

// checkStatic fails unless a program is for arm64 and needs no loader.
func checkStatic(program []byte) error {
	f, err := elf.NewFile(bytes.NewReader(program))
	if err != nil {
		return err
	}
	if f.Machine != elf.EM_AARCH64 {
		return fmt.Errorf("it is for %v", f.Machine)
	}
	for _, p := range f.Progs {
		if p.Type == elf.PT_INTERP {
			return fmt.Errorf("it is linked dynamically: build it with CGO_ENABLED=0")
		}
	}
	return nil
}
