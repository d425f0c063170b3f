package quality

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"unicode/utf8"
)

// review is an entry of IMDB, whose label is said in one of several ways.
func review(text, label string) (Entry, error) {
	e := Entry{Kind: Sentiment, Passage: strings.ReplaceAll(text, "<br />", "\n")}
	switch strings.ToLower(strings.TrimSpace(label)) {
	case "pos", "positive", "1":
		e.Answers = []string{"positive"}
	case "neg", "negative", "0":
		e.Answers = []string{"negative"}
	default:
		return e, fmt.Errorf("label %q is unknown: give positive or negative, pos or neg, 1 or 0", cut(label))
	}
	return e, nil
}

// readCSV reads reviews as comma-separated values, whose first line names the columns: text
// (or review) and label (or sentiment), in any order, among others.
func readCSV(data []byte, take func(Entry) error) error {
	r := csv.NewReader(bytes.NewReader(data))
	text, label := -1, -1
	for first := true; ; first = false {
		row, err := r.Read()
		if e := (*csv.ParseError)(nil); errors.As(err, &e) {
			return atLine(e.Line, "%w", e.Err)
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		if first {
			for i, name := range row {
				switch strings.ToLower(strings.TrimSpace(name)) {
				case "text", "review":
					text = i
				case "label", "sentiment":
					label = i
				}
			}
			if text < 0 || label < 0 {
				return atLine(1, "neither JSON nor comma-separated values with the columns text and label")
			}
			continue
		}
		line, _ := r.FieldPos(0)
		if len(row[text]) > mostEntry {
			return atLine(line, "a review of %d bytes, of at most %d", len(row[text]), mostEntry)
		}
		e, err := review(row[text], row[label])
		if err == nil {
			err = take(e)
		}
		if err == errEnough {
			return err
		}
		if err != nil {
			return &lineError{line, err}
		}
	}
}

// readReviews reads the directory form of IMDB: a file a review in each of neg and pos. They
// are taken by turns, so that the first few are of both.
func readReviews(dir string, limit int) (Task, error) {
	t := Task{Name: filepath.Base(filepath.Clean(dir))}
	var files [2][]string
	labels := [2]string{"neg", "pos"}
	for i, label := range labels {
		found, err := os.ReadDir(filepath.Join(dir, label))
		if errors.Is(err, os.ErrNotExist) {
			return t, fmt.Errorf("%s has no directory %s: give the one of IMDB's that has neg and pos, or a file", dir, label)
		}
		if err != nil {
			return t, err
		}
		for _, f := range found {
			if strings.HasSuffix(f.Name(), ".txt") {
				files[i] = append(files[i], filepath.Join(dir, label, f.Name()))
			}
		}
		slices.Sort(files[i])
	}
	for n := range max(len(files[0]), len(files[1])) {
		for i, label := range labels {
			if n >= len(files[i]) {
				continue
			}
			if t.Entries == mostEntries {
				return t, fmt.Errorf("%s: more than %d reviews: choose fewer with --limit", dir, mostEntries)
			}
			if err := t.addReview(files[i][n], label); err != nil {
				return t, err
			}
			if t.Entries == limit {
				return t, nil
			}
		}
	}
	if t.Entries == 0 {
		return t, fmt.Errorf("%s: there is no .txt file in neg and pos", dir)
	}
	return t, nil
}

func (t *Task) addReview(path, label string) error {
	data, err := readBounded(path, mostEntry)
	if err != nil {
		return err
	}
	if !utf8.Valid(data) {
		return fmt.Errorf("%s is not UTF-8: convert it first", path)
	}
	e, err := review(string(data), label)
	if err == nil {
		err = t.add(e)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}
