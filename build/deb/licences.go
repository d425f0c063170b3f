package main

import (
	"bytes"
	"debug/buildinfo"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// inner are works within a module that come with a licence of their own.
var inner = map[string][]string{
	"github.com/ollama/ollama": {"llama/llama.cpp", "ml/backend/ggml/ggml"},
}

// writeLicences writes to path the notice file and the licences of Go and of every
// module that the program at program is linked from.
func writeLicences(path, notice, program string) error {
	var b bytes.Buffer
	text, err := os.ReadFile(notice)
	if err != nil {
		return err
	}
	b.Write(text)
	info, err := buildinfo.ReadFile(program)
	if err != nil {
		return err
	}
	goroot, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		return fmt.Errorf("go env GOROOT: %w", err)
	}
	if err := addLicence(&b, "Go "+info.GoVersion, strings.TrimSpace(string(goroot))); err != nil {
		return err
	}
	for _, m := range info.Deps {
		out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", m.Path).Output()
		if err != nil {
			return fmt.Errorf("go list -m %s: %w", m.Path, err)
		}
		dir := strings.TrimSpace(string(out))
		for _, sub := range append([]string{""}, inner[m.Path]...) {
			name := strings.TrimSuffix(m.Path+"@"+m.Version+"/"+sub, "/")
			if err := addLicence(&b, name, filepath.Join(dir, sub)); err != nil {
				return err
			}
		}
	}
	return os.WriteFile(path, b.Bytes(), 0o644)
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
