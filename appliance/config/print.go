package config

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"reflect"
	"strings"
	"text/tabwriter"
)

// width of the comments.
const width = 88

// WriteDefault prints every setting with its default, what it means, its bounds and
// whether it is taken up live: a file to begin with, which Load accepts.
func WriteDefault(w io.Writer) error {
	var b bytes.Buffer
	comment(&b, "Settings of skerry serve, all at their defaults. Later ones win: this file, conf.d/*.toml beside it in the order of their names, SKERRY_* variables (SKERRY_CLOUD_ADDRESS for address of [cloud]), flags. skerry config check says what is wrong, systemctl reload skerry takes up what is marked live.")
	c, table := Default(), ""
	for _, f := range fields {
		name, key, in := strings.Cut(f.key, ".")
		if !in {
			key = name
		} else if name != table {
			table = name
			b.WriteString("\n")
			comment(&b, tables[name])
			fmt.Fprintf(&b, "[%s]\n", name)
		}
		b.WriteString("\n")
		comment(&b, f.help()+f.facts())
		fmt.Fprintf(&b, "%s = %s\n", key, literal(f.of(&c)))
	}
	_, err := w.Write(b.Bytes())
	return err
}

// facts are what the tags say beside the help.
func (f *field) facts() string {
	var s []string
	if all := f.choices(); len(all) > 0 {
		s = append(s, strings.Join(all, " | "))
	}
	if least := f.tag.Get("min"); least != "" {
		s = append(s, least+" to "+f.tag.Get("max"))
	}
	if f.live() {
		s = append(s, "live")
	}
	if len(s) == 0 {
		return ""
	}
	return " (" + strings.Join(s, "; ") + ")"
}

func comment(b *bytes.Buffer, text string) {
	line := "#"
	for _, word := range strings.Fields(text) {
		if len(line)+1+len(word) > width {
			b.WriteString(line + "\n")
			line = "#"
		}
		line += " " + word
	}
	b.WriteString(line + "\n")
}

// literal is a value in TOML. Where texts have no control characters JSON's are
// TOML's too.
func literal(v reflect.Value) string {
	if v.Kind() == reflect.Slice {
		s := make([]string, v.Len())
		for i := range s {
			s[i] = literal(v.Index(i))
		}
		return "[" + strings.Join(s, ", ") + "]"
	}
	if v.Kind() == reflect.Float64 {
		s := fmt.Sprint(v.Float())
		if !strings.ContainsAny(s, ".e") {
			s += ".0"
		}
		return s
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v.Interface()); err != nil {
		panic(err) // no setting is of a type that has none
	}
	return strings.TrimSpace(b.String())
}

// Show prints the settings in force, each with where it is from.
func Show(w io.Writer, c Config, origins []Origin) error {
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for i, f := range fields {
		fmt.Fprintf(tw, "%s = %s\t# %s\n", f.key, literal(f.of(&c)), origins[i].From)
	}
	return tw.Flush()
}

// shown is a setting as JSON.
type shown struct {
	Value any    `json:"value"`
	From  string `json:"from"`
	Live  bool   `json:"live"`
}

// ShowJSON prints an object of settings by key.
func ShowJSON(w io.Writer, c Config, origins []Origin) error {
	all := map[string]shown{}
	for i, f := range fields {
		v := f.of(&c)
		if v.Kind() == reflect.Slice && v.IsNil() {
			v = reflect.MakeSlice(f.typ, 0, 0)
		}
		all[f.key] = shown{v.Interface(), origins[i].From, f.live()}
	}
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(all)
}
