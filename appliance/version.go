package main

import (
	"fmt"
	"runtime"

	"skerry/appliance/cli"
	"skerry/appliance/engine"
	"skerry/appliance/engine/gpu"
	"skerry/appliance/node"
)

// version is set by the linker.
var version = "development"

type versionCmd struct {
	JSON bool `help:"Print the result as JSON." name:"json"`
}

// Help is shown above the flags.
func (c *versionCmd) Help() string {
	return `Examples:
  skerry version
  skerry version --json | jq .kernels       whether the fast kernels are in use
`
}

// versionReport is what skerry version --json prints.
type versionReport struct {
	Version  string         `json:"version"`
	Go       string         `json:"go"`
	Platform string         `json:"platform"`
	Llama    string         `json:"llama"`
	Commit   string         `json:"llama_commit"`
	Kernels  engine.Kernels `json:"kernels"`
	GPU      engine.GPU     `json:"gpu"`
}

func newVersionReport() versionReport {
	return versionReport{version, runtime.Version(), runtime.GOOS + "/" + runtime.GOARCH, engine.LlamaSource(), engine.LlamaCommit(), engine.Init(""), engine.Device()}
}

func (c *versionCmd) Run(out *cli.Console) error {
	v := newVersionReport()
	if c.JSON {
		return out.JSON(v)
	}
	fmt.Fprintf(out.Stdout, "skerry %s %s %s\nllama.cpp %s from %s\nkernels %s\n", v.Version, v.Platform, v.Go, v.Commit, v.Llama, v.Kernels)
	for _, d := range v.Kernels.Devices {
		fmt.Fprintln(out.Stdout, "device "+d)
	}
	for _, note := range node.KernelNotes("", gpu.Auto) {
		out.Note("%s", note)
	}
	return nil
}
