package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"
)

// options are those of the add-on's page.
type options struct {
	settings  []string // SKERRY_NAME=value, as the daemon reads them
	code, may string   // by which the cloud is joined
}

// mostOptions is more than any page of options has, in bytes.
const mostOptions = 1 << 20

func readOptions(path string) (options, error) {
	f, err := os.Open(path)
	if err != nil {
		return options{}, fmt.Errorf("the add-on's options cannot be read: %w", err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, mostOptions+1))
	if err == nil && len(data) > mostOptions {
		err = errors.New("they are larger than 1 MB")
	}
	if err != nil {
		return options{}, fmt.Errorf("the add-on's options cannot be read: %w", err)
	}
	return parseOptions(data)
}

var optionName = regexp.MustCompile(`^[a-z][a-z0-9_]*$`)

// parseOptions reads the file that Home Assistant writes: one object, whose values are
// texts, numbers, true and false, or lists of them. What is null or empty is not set. The
// error has a line for each option that cannot be.
func parseOptions(data []byte) (o options, err error) {
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return o, errors.New("the add-on's options are no JSON object: save them anew on its page")
	}
	var wrong []error
	seen := map[string]bool{}
	for d.More() {
		var value any
		t, err := d.Token()
		if err == nil {
			err = d.Decode(&value)
		}
		if err != nil {
			return o, fmt.Errorf("the add-on's options are damaged: %w: save them anew on its page", err)
		}
		name := fmt.Sprint(t)
		if err := o.take(name, value); err != nil {
			wrong = append(wrong, fmt.Errorf("option %.60q: %w", name, err))
		} else if seen[name] {
			wrong = append(wrong, fmt.Errorf("option %s: it is given twice", name))
		}
		seen[name] = true
	}
	if _, err := d.Token(); err != nil {
		return o, fmt.Errorf("the add-on's options are damaged: %w: save them anew on its page", err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return o, errors.New("something follows the add-on's options: save them anew on its page")
	}
	return o, errors.Join(wrong...)
}

// take adds one option.
func (o *options) take(name string, value any) error {
	if !optionName.MatchString(name) {
		return errors.New("no option has such a name")
	}
	text, err := textOf(value)
	if err != nil || text == "" {
		return err
	}
	switch name {
	case "cloud_code":
		o.code = text
	case "cloud_may":
		o.may = text
	default:
		o.settings = append(o.settings, variableOf(name)+"="+text)
	}
	return nil
}

// textOf is a value as a variable has it, lists with commas between.
func textOf(value any) (string, error) {
	switch v := value.(type) {
	case nil:
		return "", nil
	case string:
		if !utf8.ValidString(v) || strings.ContainsFunc(v, unicode.IsControl) {
			return "", errors.New("leave out control characters")
		}
		return strings.TrimSpace(v), nil
	case bool, json.Number:
		return fmt.Sprint(v), nil
	case []any:
		var parts []string
		for _, e := range v {
			part, err := textOf(e)
			if _, nested := e.([]any); nested || strings.Contains(part, ",") {
				err = errors.New("give each value of the list by itself, without commas")
			}
			if err != nil {
				return "", err
			}
			if part != "" {
				parts = append(parts, part)
			}
		}
		return strings.Join(parts, ","), nil
	}
	return "", errors.New("give a text, a number, true or false, or a list of them")
}

func variableOf(name string) string { return "SKERRY_" + strings.ToUpper(name) }
func nameOf(variable string) string { return strings.ToLower(strings.TrimPrefix(variable, "SKERRY_")) }

// check asks the program what is wrong with the options. The error has a line for each.
func (a *addOn) check(ctx context.Context, o options) error {
	out, err := a.run(ctx, "config", "check")
	if err != nil && strings.TrimSpace(out) == "" {
		return err
	}
	var wrong []error
	if err != nil {
		for line := range strings.Lines(out) {
			line = strings.TrimSpace(line)
			for _, s := range o.settings {
				variable, _, _ := strings.Cut(s, "=")
				if text, of := strings.CutPrefix(line, variable+": "); of {
					line = "option " + nameOf(variable) + ": " + text
				}
			}
			wrong = append(wrong, errors.New(line))
		}
		return errors.Join(wrong...)
	}
	// What is not like any setting belongs to somebody else, as far as the program knows.
	if out, err = a.run(ctx, "config", "show", "--json"); err != nil {
		return err
	}
	var shown map[string]struct{ From string }
	if err := json.Unmarshal([]byte(out), &shown); err != nil {
		return fmt.Errorf("skerry config show: %w", err)
	}
	taken := map[string]bool{}
	for _, s := range shown {
		taken[s.From] = true
	}
	for _, s := range o.settings {
		if variable, _, _ := strings.Cut(s, "="); !taken[variable] {
			wrong = append(wrong, fmt.Errorf("option %s: there is no such setting", nameOf(variable)))
		}
	}
	return errors.Join(wrong...)
}
