package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
	"time"
)

//go:embed python npm
var files embed.FS

// Bounds of an installation and of a client's tasks, on a machine that may be slow: guards,
// and no measure.
const (
	installWithin = 30 * time.Minute
	tasksWithin   = 60 * time.Minute
)

// harness has the clients do their tasks.
type harness struct{ url, model, work, cache string }

// row of the table: of each task "ok", "FAILED" or "none".
type row struct {
	client  client
	skipped string // why nothing was done
	results map[string]string
	lines   []string // as the script printed them
}

func (r row) failed() (n int) {
	for _, s := range r.results {
		if s == "FAILED" {
			n++
		}
	}
	return n
}

// all has clients do their tasks one after the other, and prints the table; it returns how many
// tasks have failed.
func (h *harness) all(ctx context.Context, chosen []client, out string) (failed int, err error) {
	var rows []row
	var text string
	for i, c := range chosen {
		fmt.Fprintf(os.Stderr, "%s (%d of %d)\n", c.name, i+1, len(chosen))
		r := h.client(ctx, c)
		if ctx.Err() != nil { // what is cut off has not failed
			err = fmt.Errorf("ended in the midst of %s: %w", c.name, ctx.Err())
			break
		}
		rows = append(rows, r)
		for _, line := range r.lines {
			fmt.Fprintf(os.Stderr, "  %s\n", line)
		}
		failed += r.failed()
		text = table(h.model, rows)
		if out == "" {
			continue
		}
		if err := os.WriteFile(out, []byte(text), 0o644); err != nil { // each time: a run is long
			return failed, err
		}
	}
	fmt.Print(text)
	return failed, err
}

// client installs a client and has it do its tasks.
func (h *harness) client(ctx context.Context, c client) row {
	r := row{client: c, results: map[string]string{}}
	program, dir, err := h.install(ctx, c)
	if err != nil {
		r.skipped = err.Error()
		r.lines = []string{"skipped: " + r.skipped}
		return r
	}
	ctx, cancel := context.WithTimeout(ctx, tasksWithin)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, append([]string{c.script, h.url, h.model}, tasks...)...)
	cmd.Dir, cmd.WaitDelay = dir, time.Minute
	cmd.Env = append(os.Environ(), "NO_PROXY=127.0.0.1,localhost", "OPENAI_API_KEY=none", "LITELLM_LOCAL_MODEL_COST_MAP=True", "SKERRY_CLIENTS_WORK="+h.work)
	var out, problem bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &problem
	ended := cmd.Run()
	for line := range strings.Lines(out.String()) {
		result, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		name := strings.TrimSuffix(strings.SplitN(rest, " ", 2)[0], ":")
		if result == "ok" || result == "FAILED" || result == "none" {
			r.results[name] = result
			r.lines = append(r.lines, strings.TrimSpace(line))
		}
	}
	for _, name := range tasks {
		if r.results[name] == "" {
			r.results[name] = "FAILED"
			r.lines = append(r.lines, fmt.Sprintf("FAILED %s: the script ended before (%v): %s", name, ended, tail(&problem)))
		}
	}
	return r
}

// install returns what runs a client's script, and the directory that it is to run in.
func (h *harness) install(ctx context.Context, c client) (program, dir string, err error) {
	ctx, cancel := context.WithTimeout(ctx, installWithin)
	defer cancel()
	dir = filepath.Join(h.work, c.name)
	if err := unpack(c.kind, dir); err != nil {
		return "", "", err
	}
	if c.kind == npm {
		program = "node"
		err = h.npm(ctx, c, dir)
	} else {
		program, err = h.python(ctx, c)
	}
	return program, dir, err
}

// unpack writes the scripts of a kind of client.
func unpack(kind, dir string) error {
	list, err := fs.ReadDir(files, kind)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	for _, f := range list {
		text, err := files.ReadFile(path.Join(kind, f.Name()))
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(dir, f.Name()), text, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// python returns the interpreter of a client's virtual environment, which stays in the cache
// as long as its packages and the python below it are the same.
func (h *harness) python(ctx context.Context, c client) (string, error) {
	version, err := exec.CommandContext(ctx, "python3", "--version").Output()
	if err != nil {
		return "", errors.New("there is no python3 (on Debian: apt install python3 python3-venv)")
	}
	if len(c.packages) == 0 {
		return "python3", nil
	}
	pins, err := files.ReadFile(python + "/" + c.name + ".txt")
	whole := err == nil
	if !whole {
		pins = []byte(strings.Join(c.packages, "\n") + "\n")
	}
	dir := h.place(c, string(version)+string(pins))
	program := filepath.Join(dir, "bin", "python3")
	if _, err := os.Stat(filepath.Join(dir, complete)); err == nil {
		return program, nil
	}
	if err := os.RemoveAll(dir); err != nil { // half made
		return "", err
	}
	if err := command(ctx, "", "python3", "-m", "venv", dir); err != nil {
		return "", err
	}
	list := filepath.Join(dir, "requirements.txt")
	if err := os.WriteFile(list, pins, 0o644); err != nil {
		return "", err
	}
	args := []string{"-m", "pip", "install", "--quiet", "--no-input", "--disable-pip-version-check", "--no-compile", "--only-binary=:all:", "--requirement", list}
	if whole {
		args = append(args, "--no-deps")
	}
	if err := command(ctx, "", program, args...); err != nil {
		return "", err
	}
	return program, os.WriteFile(filepath.Join(dir, complete), nil, 0o644)
}

// npm links the packages of a client, which stay in the cache, to where its script runs.
func (h *harness) npm(ctx context.Context, c client, work string) error {
	version, err := exec.CommandContext(ctx, "node", "--version").Output()
	if err != nil {
		return errors.New("there is no node (on Debian: apt install nodejs npm)")
	}
	dir := h.place(c, string(version))
	if _, err := os.Stat(filepath.Join(dir, complete)); err != nil {
		if err := errors.Join(os.RemoveAll(dir), os.MkdirAll(dir, 0o755)); err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(dir, "package.json"), []byte(`{"private": true, "type": "module"}`), 0o644); err != nil {
			return err
		}
		args := append([]string{"install", "--save-exact", "--no-audit", "--no-fund", "--engine-strict", "--before", npmBefore}, c.packages...)
		if err := command(ctx, dir, "npm", args...); err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(dir, complete), nil, 0o644); err != nil {
			return err
		}
	}
	return os.Symlink(filepath.Join(dir, "node_modules"), filepath.Join(work, "node_modules"))
}

// complete marks a directory whose packages are all there.
const complete = ".complete"

// place is the directory of a client's packages, of these versions.
func (h *harness) place(c client, runtime string) string {
	sum := sha256.Sum256([]byte(runtime + strings.Join(c.packages, "\n")))
	return filepath.Join(h.cache, fmt.Sprintf("%s-%x", c.name, sum[:6]))
}

// command runs one, whose error is why it says that it failed.
func command(ctx context.Context, dir, name string, args ...string) error {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir, cmd.WaitDelay = dir, time.Minute
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s %s: %w: %s", name, strings.Join(args[:min(2, len(args))], " "), err, cause(string(out)))
	}
	return nil
}

// cause is the part of what pip or npm printed that says what went wrong: pip ends with it, and
// npm goes on with its surroundings.
func cause(out string) string {
	for _, mark := range []string{"npm error", "\nERROR:"} {
		if _, after, found := strings.Cut("\n"+out, mark); found {
			line := strings.Join(strings.Fields(strings.ReplaceAll(after, mark, "")), " ")
			if len(line) > 300 {
				line = strings.ToValidUTF8(line[:300], "") + "…"
			}
			return line
		}
	}
	return tail(strings.NewReader(out))
}
