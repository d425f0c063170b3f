package config

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// DefaultFile is read where no other is named.
const DefaultFile = "/etc/skerry/skerry.toml"

// maxFile is the most that is read of one file.
const maxFile = 1 << 20

// Sources of settings, each overruling those before it: File, the *.toml of conf.d
// beside it in the order of their names, Environ, Flags.
type Sources struct {
	// File is an error where it is missing, unless it is empty: then DefaultFile is
	// read if there is one.
	File string
	// Environ as os.Environ has it. Variables that are set to nothing do not count.
	Environ []string
	// Flags by key: "cloud.address". Lists have commas.
	Flags map[string]string
}

// Origin is where a setting has its value from.
type Origin struct {
	Key  string `json:"key"`
	From string `json:"from"` // "default", FILE:LINE, SKERRY_NAME or "flag"
}

// Problem is one thing that is wrong.
type Problem struct {
	Source string // file, variable or flag
	Line   int    // from 1; 0: Source is no file
	Column int
	Text   string
}

func (p Problem) String() string {
	// A flag is the setting that its text begins with: once is enough.
	if key, is := strings.CutPrefix(p.Source, "--"); is {
		if rest, of := strings.CutPrefix(p.Text, key+" "); of {
			return p.Source + " " + rest
		}
	}
	if p.Line == 0 {
		return p.Source + ": " + p.Text
	}
	return fmt.Sprintf("%s:%d:%d: %s", p.Source, p.Line, p.Column, p.Text)
}

// Problems is the error of Load.
type Problems []Problem

func (p Problems) Error() string {
	if len(p) > 1 {
		return fmt.Sprintf("%s (and %d more: skerry config check lists them)", p[0], len(p)-1)
	}
	return p[0].String()
}

// loader gathers what Load returns.
type loader struct {
	config   Config
	from     map[string]string
	problems Problems
}

// Load reads all sources. Its error is of type Problems and has everything that is
// wrong; the Config then has what was right.
func Load(s Sources) (Config, []Origin, error) {
	l := &loader{config: Default(), from: map[string]string{}}
	l.files(s.File)
	l.environment(s.Environ)
	l.flags(s.Flags)
	l.together()
	origins := make([]Origin, len(fields))
	for i, f := range fields {
		origins[i] = Origin{f.key, "default"}
		if from := l.from[f.key]; from != "" {
			origins[i].From = from
		}
	}
	if len(l.problems) > 0 {
		return l.config, origins, l.problems
	}
	return l.config, origins, nil
}

func (l *loader) problem(source, format string, args ...any) {
	l.problems = append(l.problems, Problem{Source: source, Text: fmt.Sprintf(format, args...)})
}

func (l *loader) files(name string) {
	file := name
	if file == "" {
		file = DefaultFile
	}
	l.file(file, name == "")
	more, _ := filepath.Glob(filepath.Join(escapeGlob(filepath.Dir(file)), "conf.d", "*.toml"))
	for _, m := range more {
		if !strings.HasPrefix(filepath.Base(m), ".") {
			l.file(m, false)
		}
	}
}

func escapeGlob(dir string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(dir)
}

func (l *loader) file(name string, optional bool) {
	data, err := read(name)
	switch {
	case optional && errors.Is(err, fs.ErrNotExist):
	case err != nil:
		l.problem(name, "%s", reason(err))
	default:
		l.toml(name, data)
	}
}

func read(name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err == nil && len(data) > maxFile {
		err = errors.New("is larger than 1 MB: that cannot be a configuration file")
	}
	return data, err
}

// reason is an error without the path, which stands before it.
func reason(err error) string {
	if e := (*fs.PathError)(nil); errors.As(err, &e) {
		if errors.Is(err, fs.ErrNotExist) {
			return "there is no such file (skerry config default prints one)"
		}
		err = e.Err
	}
	return err.Error()
}

// others are variables of ours that are no settings.
var others = []string{"SKERRY_CACHE", "SKERRY_KERNELS", "SKERRY_HUB", "SKERRY_CONFIG"}

// environment takes the settings among the variables. What is nearly the name of
// one is an error; others belong to somebody else.
func (l *loader) environment(environ []string) {
	names := slices.Clone(others)
	for _, f := range fields {
		names = append(names, f.variable())
	}
	for _, v := range environ {
		name, value, _ := strings.Cut(v, "=")
		if !strings.HasPrefix(name, "SKERRY_") || value == "" || slices.Contains(others, name) {
			continue
		}
		i := slices.IndexFunc(fields, func(f field) bool { return f.variable() == name })
		if i >= 0 {
			l.text(&fields[i], value, name, name)
		} else if near := suggest(name, names, 2); near != "" && near != name {
			l.problem(name, "no setting has this variable: did you mean %s?", near)
		}
	}
}

func (l *loader) flags(flags map[string]string) {
	keys := make([]string, 0, len(flags))
	for k := range flags {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	for _, k := range keys {
		if f := find(k); f != nil {
			l.text(f, flags[k], "--"+k, "flag")
		} else {
			l.problem("--set "+k, "unknown key%s", didYouMean(k))
		}
	}
}

// text sets a field from a variable or a flag.
func (l *loader) text(f *field, value, source, from string) {
	if err := f.set(&l.config, fromText(f, value)); err != nil {
		l.problem(source, "%s", err)
		return
	}
	l.from[f.key] = from
}

// together checks what no setting shows by itself.
func (l *loader) together() {
	if t := l.config.TLS; (t.Cert == "") != (t.Key == "") {
		has, wants := "tls.cert", "tls.key"
		if t.Cert == "" {
			has, wants = wants, has
		}
		l.problem(l.from[has], "%s is set and %s is not: a certificate needs both", has, wants)
	}
}
