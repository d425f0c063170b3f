package main

import (
	"bytes"
	"debug/buildinfo"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"strings"
)

// inner are works within a module that come with a licence of their own.
var inner = map[string][]string{
	"github.com/ollama/ollama": {"llama/llama.cpp", "ml/backend/ggml/ggml"},
}

// writeLicences writes to path, compressed, the licences of Go and of every module that
// the program at program is linked from.
func writeLicences(path, program string) error {
	info, err := buildinfo.ReadFile(program)
	if err != nil {
		return err
	}
	goroot, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		return fmt.Errorf("go env GOROOT: %w", err)
	}
	var b bytes.Buffer
	if err := addLicence(&b, "Go "+info.GoVersion, strings.TrimSpace(string(goroot))); err != nil {
		return err
	}
	dirs, err := directories(info.Deps)
	if err != nil {
		return err
	}
	return writeModuleLicences(path, b.Bytes(), info.Deps, dirs)
}

// writeModuleLicences writes them to path behind the text before.
func writeModuleLicences(path string, before []byte, modules []*debug.Module, dirs []string) error {
	b := bytes.NewBuffer(before)
	for i, m := range modules {
		for _, sub := range append([]string{""}, inner[m.Path]...) {
			name := strings.TrimSuffix(m.Path+"@"+m.Version+"/"+sub, "/")
			if err := addLicence(b, name, filepath.Join(dirs[i], sub)); err != nil {
				return err
			}
		}
	}
	return writeCompressed(path, b.Bytes())
}

// directories of modules in the module cache.
func directories(modules []*debug.Module) ([]string, error) {
	args := []string{"list", "-m", "-f", "{{.Dir}}"}
	for _, m := range modules {
		args = append(args, m.Path)
	}
	out, err := exec.Command("go", args...).Output()
	dirs := strings.Split(strings.TrimSpace(string(out)), "\n")
	if err != nil || len(dirs) != len(modules) {
		return nil, fmt.Errorf("go list -m of %d modules names %d: %w", len(modules), len(dirs), err)
	}
	return dirs, nil
}

// addLicence appends the licence files of dir; one there must be.
func addLicence(b *bytes.Buffer, name, dir string) error {
	found := 0
	for _, pattern := range []string{"LICENSE*", "LICENCE*", "COPYING*", "UNLICENSE*", "NOTICE*"} {
		paths, _ := filepath.Glob(filepath.Join(dir, pattern))
		for _, path := range paths {
			text, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			fmt.Fprintf(b, "\n\n%s: %s\n\n%s", name, filepath.Base(path), text)
			found++
		}
	}
	if found == 0 {
		return fmt.Errorf("%s: no licence file in %s", name, dir)
	}
	return nil
}
