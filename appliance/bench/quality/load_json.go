package quality

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"skerry/appliance/status"
)

// A reader of values takes one JSON value of a file.
type valueReader func(json.RawMessage) error

// readLines reads one JSON object a line; empty lines are passed over.
func readLines(data []byte, read valueReader) error {
	n := 0
	for line := range bytes.Lines(data) {
		n++
		if line = bytes.TrimSpace(line); len(line) == 0 {
			continue
		}
		if err := readValue(line, read); err != nil {
			return placed(err, n, line)
		}
	}
	return nil
}

// readArray reads the elements of the array that the file is, or that its object has under a
// key.
func readArray(data []byte, key string, read valueReader) error {
	d := json.NewDecoder(bytes.NewReader(data))
	if err := findArray(d, key); err != nil {
		return placed(err, lineAt(data, int(d.InputOffset())), nil)
	}
	for d.More() {
		at := int(d.InputOffset())
		at += len(data[at:]) - len(bytes.TrimLeft(data[at:], " \t\r\n,")) // where the element begins
		var v json.RawMessage
		err := d.Decode(&v)
		if err != nil {
			if syntax := (*json.SyntaxError)(nil); errors.As(err, &syntax) && syntax.Offset > int64(at) {
				at = int(syntax.Offset) - 1
			}
			return placed(err, lineAt(data, at), nil)
		}
		if err := readValue(v, read); err != nil {
			return placed(err, lineAt(data, at), v)
		}
	}
	_, err := d.Token()
	if err != nil {
		return placed(err, lineAt(data, len(data)), nil)
	}
	return nil
}

// findArray reads up to the first element of the array.
func findArray(d *json.Decoder, key string) error {
	open, err := d.Token()
	for err == nil && open != json.Delim('[') {
		var name json.Token
		if name, err = d.Token(); err == nil && name == json.Delim('}') {
			return fmt.Errorf("there is no array %q", key)
		}
		if err == nil && name == key {
			if open, err = d.Token(); err == nil && open != json.Delim('[') {
				return fmt.Errorf("%q is no array", key)
			}
			continue
		}
		var passed json.RawMessage
		if err == nil {
			err = d.Decode(&passed)
		}
	}
	return err
}

func readValue(v json.RawMessage, read valueReader) error {
	if len(v) > mostEntry {
		return fmt.Errorf("an entry of %s, of at most %s", status.Bytes(int64(len(v))), status.Bytes(mostEntry))
	}
	return read(v)
}

// placed is the error with its line: of the value that begins in the line, or further down
// in it where the error tells.
func placed(err error, line int, v []byte) error {
	if err == errEnough {
		return err
	}
	offset := int64(0)
	if e := (*json.SyntaxError)(nil); errors.As(err, &e) {
		offset = e.Offset
		err = fmt.Errorf("it is no JSON: %w", err)
	}
	if e := (*json.UnmarshalTypeError)(nil); errors.As(err, &e) {
		offset = e.Offset
		err = fmt.Errorf("%q is a JSON %s, and not what belongs there", strings.ToLower(e.Field), e.Value)
	}
	if v != nil {
		line += bytes.Count(v[:min(int(offset), len(v))], []byte("\n"))
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		err = errors.New("the JSON ends too early")
	}
	return &lineError{line, err}
}

// A form of records: those that have the keys.
type form struct {
	keys []string
	read func(json.RawMessage) (Entry, error)
	// empties is set where the public file has records without a text or an answer.
	empties bool
}

// forms are those of one JSON object an entry, the most particular first.
var forms = []form{
	{[]string{"kind"}, ownEntry, false},
	{[]string{"instruction", "output"}, alpacaEntry, true},
	{[]string{"document", "summary"}, xsumEntry, true},
	{[]string{"question", "passage", "answer"}, boolqEntry, false},
	{[]string{"text", "label"}, imdbEntry, false},
}

// recordReader reads records of the form that the first of them has, and counts those that
// are left out.
func recordReader(take func(Entry) error, empty *int) valueReader {
	var of *form
	return func(v json.RawMessage) error {
		var keys map[string]json.RawMessage
		if err := json.Unmarshal(v, &keys); err != nil {
			return notAnObject(err)
		}
		if of == nil {
			if of = formOf(keys); of == nil {
				return errors.New("the form is unknown: give ours (kind, …), Alpaca (instruction, output), XSum (document, summary), BoolQ (question, passage, answer), IMDB (text, label) or QuAC")
			}
		}
		for _, k := range of.keys {
			if _, ok := keys[k]; !ok {
				return fmt.Errorf("%q is missing, which the first entry has", k)
			}
		}
		e, err := of.read(v)
		if err != nil {
			return err
		}
		if of.empties && (blank(e.Prompt+e.Passage) || blank(e.Answers[0])) {
			*empty++
			return nil
		}
		return take(e)
	}
}

func blank(s string) bool { return strings.TrimSpace(s) == "" }

// notAnObject says of a value that is of another type that it is no object.
func notAnObject(err error) error {
	if e := (*json.UnmarshalTypeError)(nil); errors.As(err, &e) {
		return fmt.Errorf("a JSON %s, where an object belongs", e.Value)
	}
	return err
}

func formOf(keys map[string]json.RawMessage) *form {
	for i, f := range forms {
		all := true
		for _, k := range f.keys {
			_, ok := keys[k]
			all = all && ok
		}
		if all {
			return &forms[i]
		}
	}
	return nil
}

// ownFields are the keys of Entry.
var ownFields = []string{"kind", "prompt", "passage", "question", "answers", "turns", "tests"}

// ownEntry reads our own form, and refuses keys that it does not have.
func ownEntry(v json.RawMessage) (e Entry, err error) {
	var keys map[string]json.RawMessage
	if err := json.Unmarshal(v, &keys); err != nil {
		return e, err
	}
	for k := range keys {
		if !slices.Contains(ownFields, k) {
			return e, fmt.Errorf("field %q is unknown: choose of %s", cut(k), strings.Join(ownFields, ", "))
		}
	}
	err = json.Unmarshal(v, &e)
	return e, err
}

func alpacaEntry(v json.RawMessage) (Entry, error) {
	var r struct{ Instruction, Input, Output string }
	err := json.Unmarshal(v, &r)
	e := Entry{Kind: Instruction, Prompt: r.Instruction, Answers: []string{r.Output}}
	if r.Input != "" {
		e.Prompt += "\n\n" + r.Input
	}
	return e, err
}

func xsumEntry(v json.RawMessage) (Entry, error) {
	var r struct{ Document, Summary string }
	err := json.Unmarshal(v, &r)
	return Entry{Kind: Summary, Passage: r.Document, Answers: []string{r.Summary}}, err
}

// boolqEntry reads a question that has no question mark and an answer that is a truth value.
func boolqEntry(v json.RawMessage) (Entry, error) {
	var r struct {
		Question, Passage string
		Answer            bool
	}
	err := json.Unmarshal(v, &r)
	e := Entry{Kind: YesNo, Passage: r.Passage, Question: strings.TrimSuffix(r.Question, "?") + "?", Answers: []string{"no"}}
	if r.Answer {
		e.Answers[0] = "yes"
	}
	return e, err
}

// imdbEntry reads a label that is a word or a number.
func imdbEntry(v json.RawMessage) (Entry, error) {
	var r struct {
		Text  string
		Label any
	}
	if err := json.Unmarshal(v, &r); err != nil {
		return Entry{}, err
	}
	return review(r.Text, fmt.Sprint(r.Label))
}
