package board

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"

	"github.com/prometheus/procfs"
)

// Family of boards with like sensors.
type Family string

// The families.
const (
	Pi      Family = "raspberry pi"
	Jetson  Family = "jetson"
	Generic Family = "generic"
)

// Kind is what is known of a board before any sensor is read.
type Kind struct {
	Name   string `json:"name"` // "Raspberry Pi 5"
	Family Family `json:"family"`
	// Model is the board's own word: /proc/device-tree/model, or the processor's
	// name where there is no device tree.
	Model string `json:"model"`
	// Unified says that the GPU's memory is the board's RAM.
	Unified bool `json:"unified_memory"`
}

// known boards by an entry of /proc/device-tree/compatible, which names the most
// specific first. Jetson modules have their part number in it (p3767-0005), the
// carrier board before it.
var known = []struct {
	compatible string // the entry, or its end
	name       string
	family     Family
}{
	{"raspberrypi,4-model-b", "Raspberry Pi 4", Pi},
	{"raspberrypi,5-model-b", "Raspberry Pi 5", Pi},
	{"raspberrypi,4-compute-module", "Raspberry Pi CM4", Pi},
	{"raspberrypi,5-compute-module", "Raspberry Pi CM5", Pi},
	{"raspberrypi,model-zero-2-w", "Raspberry Pi Zero 2 W", Pi},
	{"p3450-0000", "Jetson Nano", Jetson},
	{"jetson-nano", "Jetson Nano", Jetson},
	{"p3668-0000", "Jetson Xavier NX", Jetson},
	{"p3668-0001", "Jetson Xavier NX", Jetson},
	{"p2972-0000", "Jetson AGX Xavier", Jetson},
	{"p3767-0003-super", "Jetson Orin Nano Super", Jetson},
	{"p3767-0004-super", "Jetson Orin Nano Super", Jetson},
	{"p3767-0005-super", "Jetson Orin Nano Super", Jetson},
	{"p3767-0003", "Jetson Orin Nano", Jetson},
	{"p3767-0004", "Jetson Orin Nano", Jetson},
	{"p3767-0005", "Jetson Orin Nano", Jetson},
	{"p3767-0000", "Jetson Orin NX", Jetson},
	{"p3767-0001", "Jetson Orin NX", Jetson},
	{"p3701-0000", "Jetson AGX Orin", Jetson},
	{"p3701-0004", "Jetson AGX Orin", Jetson},
	{"p3701-0005", "Jetson AGX Orin", Jetson},
}

// Detect tells which board it is from the device tree below root ("/" on a board).
// One it does not know is Generic, with the name it gives itself.
func Detect(root string) Kind {
	tree := filepath.Join(root, "proc", "device-tree")
	model := firmwareString(filepath.Join(tree, "model"))
	compatible, _ := os.ReadFile(filepath.Join(tree, "compatible"))
	for entry := range bytes.SplitSeq(compatible, []byte{0}) {
		for _, k := range known {
			if strings.HasSuffix(string(entry), k.compatible) {
				return Kind{Name: k.name, Family: k.family, Model: model, Unified: k.family == Jetson}
			}
		}
	}
	k := Kind{Family: Generic, Model: model}
	switch {
	case bytes.Contains(compatible, []byte("nvidia,tegra")):
		k.Family, k.Unified = Jetson, true
	case bytes.Contains(compatible, []byte("raspberrypi,")):
		k.Family = Pi
	}
	if k.Model == "" {
		k.Model = processor(root)
	}
	k.Name = k.Model
	return k
}

// firmwareString is a string of the device tree, which ends in a NUL.
func firmwareString(path string) string {
	b, _ := os.ReadFile(path)
	return strings.Trim(string(b), "\x00 \n")
}

func processor(root string) string {
	fs, err := procfs.NewFS(filepath.Join(root, "proc"))
	if err == nil {
		if cpus, err := fs.CPUInfo(); err == nil && len(cpus) > 0 && cpus[0].ModelName != "" {
			return strings.Join(strings.Fields(cpus[0].ModelName), " ")
		}
	}
	return "unknown board"
}
