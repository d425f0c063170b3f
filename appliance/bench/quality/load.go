package quality

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"unicode/utf8"

	"skerry/appliance/status"
)

// The most that a file, a line or an entry of it, and a task may have.
const (
	mostFile    = 128 << 20 // bytes
	mostEntry   = 1 << 20   // bytes
	mostEntries = 100_000
)

//go:embed tasks/*.jsonl
var own embed.FS

// All stands for every task of our own.
const All = "all"

// Own names the tasks that are part of the program.
func Own() (names []string) {
	files, err := own.ReadDir("tasks")
	if err != nil {
		panic(err) // they are embedded
	}
	for _, f := range files {
		names = append(names, strings.TrimSuffix(f.Name(), ".jsonl"))
	}
	return names
}

// Load returns the tasks of a name: All, one of Own, or the path of a file or of IMDB's
// directory. Limit is the most entries of each, 0 for all. The errors are one line, and name
// the line of the file.
func Load(name string, limit int) ([]Task, error) {
	names := []string{name}
	if name == All {
		names = Own()
	}
	var tasks []Task
	for _, n := range names {
		data, err := own.ReadFile("tasks/" + n + ".jsonl")
		if err != nil {
			t, err := LoadFile(name, limit)
			return []Task{t}, err
		}
		t, err := Read(n, data, limit)
		if err != nil {
			return nil, err
		}
		tasks = append(tasks, t)
	}
	return tasks, nil
}

// LoadFile reads a task from a file of one of the forms, or from a directory with IMDB's
// directories neg and pos.
func LoadFile(path string, limit int) (Task, error) {
	stat, err := os.Stat(path)
	if errors.Is(err, os.ErrNotExist) {
		return Task{}, fmt.Errorf("%s is no file, and no task of ours: choose %s, %s or a file", path, strings.Join(Own(), ", "), All)
	}
	if err != nil {
		return Task{}, err
	}
	if stat.IsDir() {
		return readReviews(path, limit)
	}
	data, err := readBounded(path, mostFile)
	if err != nil {
		return Task{}, err
	}
	return Read(path, data, limit)
}

// readBounded reads a file of at most so many bytes.
func readBounded(path string, most int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	stat, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !stat.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is no regular file", path)
	}
	if stat.Size() > most {
		return nil, fmt.Errorf("%s has %s, of at most %s: take a part of it", path, status.Bytes(stat.Size()), status.Bytes(most))
	}
	var b bytes.Buffer
	_, err = b.ReadFrom(f)
	return b.Bytes(), err
}

// lineError is what is wrong, and in which line of the file.
type lineError struct {
	line int
	err  error
}

func (e *lineError) Error() string { return fmt.Sprintf("line %d: %v", e.line, e.err) }
func (e *lineError) Unwrap() error { return e.err }

func atLine(line int, format string, args ...any) error {
	return &lineError{line, fmt.Errorf(format, args...)}
}

// lineAt is the line of an offset, from 1.
func lineAt(data []byte, offset int) int {
	return 1 + bytes.Count(data[:max(0, min(offset, len(data)))], []byte("\n"))
}

// errEnough ends the reading of a file of which enough is known.
var errEnough = errors.New("enough")

// Read reads a task of the given name from the contents of a file, whose form it recognises:
// an array of JSON objects or an object a line (ours, Alpaca, XSum, BoolQ, IMDB), QuAC's
// nested object, or IMDB as comma-separated values.
func Read(name string, data []byte, limit int) (Task, error) {
	t := Task{Name: strings.TrimSuffix(filepath.Base(name), filepath.Ext(name))}
	err := t.read(bytes.TrimPrefix(data, []byte("\ufeff")), limit)
	if err == nil && t.Entries == 0 {
		err = errors.New("there is no entry in it")
	}
	if err != nil && err != errEnough {
		return Task{}, fmt.Errorf("%s: %w", name, err)
	}
	return t, nil
}

func (t *Task) read(data []byte, limit int) error {
	if !utf8.Valid(data) {
		at := 0
		for r, n := utf8.DecodeRune(data); r != utf8.RuneError || n > 1; r, n = utf8.DecodeRune(data[at:]) {
			at += n
		}
		return atLine(lineAt(data, at), "it is not UTF-8: convert it first")
	}
	take := func(e Entry) error {
		if t.Entries == mostEntries {
			return fmt.Errorf("more than %d entries: choose fewer with --limit", mostEntries)
		}
		err := t.add(e)
		if err == nil && t.Entries == limit {
			err = errEnough
		}
		return err
	}
	switch start := bytes.TrimLeft(data, " \t\r\n"); {
	case len(start) == 0:
		return nil
	case start[0] == '[':
		return readArray(data, "", recordReader(take, &t.Empty))
	case start[0] != '{':
		return readCSV(data, take)
	case isQuAC(start):
		return readArray(data, "data", quacReader(take))
	}
	return readLines(data, recordReader(take, &t.Empty))
}
