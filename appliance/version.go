package main

import (
	"encoding/json"
	"fmt"
	"runtime"

	"skerry/appliance/engine"
)

// version is set by the linker.
var version = "development"

type versionCmd struct {
	JSON bool `help:"As JSON." name:"json"`
}

// versionReport is what skerry version --json prints.
type versionReport struct {
	Version  string         `json:"version"`
	Go       string         `json:"go"`
	Platform string         `json:"platform"`
	Llama    string         `json:"llama"`
	Commit   string         `json:"llama_commit"`
	Kernels  engine.Kernels `json:"kernels"`
}

func newVersionReport() versionReport {
	return versionReport{version, runtime.Version(), runtime.GOOS + "/" + runtime.GOARCH, engine.LlamaSource(), engine.LlamaCommit(), engine.Init("")}
}

func (c *versionCmd) Run(io *console) error {
	v := newVersionReport()
	k := v.Kernels
	if c.JSON {
		return json.NewEncoder(io.stdout).Encode(v)
	}
	fmt.Fprintf(io.stdout, "skerry %s %s %s\nllama.cpp %s from %s\nkernels %s\n", v.Version, v.Platform, v.Go, v.Commit, v.Llama, k)
	for _, d := range k.Devices {
		fmt.Fprintln(io.stdout, "device "+d)
	}
	if k.Refused != "" {
		io.note("kernels: %s", k.Refused)
	}
	if k.Baseline() {
		io.note("%s", baselineWarning)
	}
	return nil
}

const baselineWarning = "kernels: portable baseline, several times slower than those built for this processor: run make kernels, or set SKERRY_KERNELS to their directory"
