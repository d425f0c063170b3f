package main

import (
	"encoding/json"
	"fmt"
	"runtime"
	"runtime/debug"

	"skerry/appliance/engine"
)

// version is set by the linker.
var version = "development"

type versionCmd struct {
	JSON bool `help:"As JSON." name:"json"`
}

func (c *versionCmd) Run(io *console) error {
	k := engine.Init("")
	v := struct {
		Version  string         `json:"version"`
		Go       string         `json:"go"`
		Platform string         `json:"platform"`
		Llama    string         `json:"llama"`
		Kernels  engine.Kernels `json:"kernels"`
	}{version, runtime.Version(), runtime.GOOS + "/" + runtime.GOARCH, llamaSource(), k}
	if c.JSON {
		return json.NewEncoder(io.stdout).Encode(v)
	}
	fmt.Fprintf(io.stdout, "skerry %s %s %s\nllama.cpp from %s\nkernels %s\n", v.Version, v.Platform, v.Go, v.Llama, k)
	for _, d := range k.Devices {
		fmt.Fprintln(io.stdout, "device "+d)
	}
	if k.Baseline() {
		io.note("%s", baselineWarning)
	}
	return nil
}

const baselineWarning = "kernels: portable baseline, several times slower than those built for this processor: run make kernels, or set SKERRY_KERNELS to their directory"

// llamaSource is the module llama.cpp was compiled from.
func llamaSource() string {
	if b, ok := debug.ReadBuildInfo(); ok {
		for _, d := range b.Deps {
			if d.Path == "github.com/ollama/ollama" {
				return d.Path + "@" + d.Version
			}
		}
	}
	return "unknown"
}
