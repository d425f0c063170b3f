package config

import (
	"encoding"
	"fmt"
	"math"
	"net"
	"net/url"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"skerry/appliance/httpd/match"
	"skerry/appliance/infer"
)

// set gives the setting a value as TOML has it: string, int64, float64, bool or
// []any of them. The error says what to write instead.
func (f *field) set(c *Config, v any) error {
	to := reflect.New(f.typ).Elem()
	list, many := v.([]any)
	if f.typ.Kind() != reflect.Slice {
		if err := f.one(to, v); err != nil {
			return err
		}
		f.of(c).Set(to)
		return nil
	}
	if !many {
		return fmt.Errorf("%s is %s: it must be a list, as [%s]", f.key, show(v), show(v))
	}
	if n, err := strconv.Atoi(f.tag.Get("len")); err == nil && len(list) > n {
		return fmt.Errorf("%s has %d values: give at most %d", f.key, len(list), n)
	}
	for _, e := range list {
		to.Set(reflect.Append(to, reflect.Zero(f.typ.Elem())))
		if err := f.one(to.Index(to.Len()-1), e); err != nil {
			return err
		}
	}
	f.of(c).Set(to)
	return nil
}

// one converts and checks a value that is no list.
func (f *field) one(to reflect.Value, v any) error {
	if err := convert(to, v); err != nil {
		return fmt.Errorf("%s is %s: %w", f.key, show(v), err)
	}
	if err := f.check(to); err != nil {
		return fmt.Errorf("%s is %s: %w", f.key, show(v), err)
	}
	return nil
}

func convert(to reflect.Value, v any) error {
	if t, ok := to.Addr().Interface().(encoding.TextUnmarshaler); ok {
		s, _ := v.(string)
		if n, is := v.(int64); is { // as gpu_layers may be
			s = strconv.FormatInt(n, 10)
		}
		return t.UnmarshalText([]byte(s))
	}
	switch to.Kind() {
	case reflect.String:
		if s, ok := v.(string); ok {
			to.SetString(s)
			return nil
		}
		return fmt.Errorf("write a text in quotes")
	case reflect.Bool:
		if b, ok := v.(bool); ok {
			to.SetBool(b)
			return nil
		}
		return fmt.Errorf("write true or false")
	case reflect.Int:
		if n, ok := v.(int64); ok && int64(int(n)) == n {
			to.SetInt(n)
			return nil
		}
		return fmt.Errorf("write a whole number")
	case reflect.Float64:
		if n, ok := v.(int64); ok {
			v = float64(n)
		}
		if x, ok := v.(float64); ok && !math.IsNaN(x) {
			to.SetFloat(x)
			return nil
		}
		return fmt.Errorf("write a number")
	}
	panic("config: no setting may be a " + to.Kind().String())
}

// modes, as the enum of a setting, stands for the modes that the daemon can be configured
// for.
const modes = "modes"

// choices are the values that the setting may have, nil for any.
func (f *field) choices() []string {
	switch enum := f.tag.Get("enum"); enum {
	case "":
		return nil
	case modes:
		all := []string{string(infer.Auto)}
		for _, m := range infer.Modes() {
			if m.Served {
				all = append(all, string(m.Name))
			}
		}
		return all
	default:
		return strings.Split(enum, ",")
	}
}

// help of the setting, with that of each mode where it is one.
func (f *field) help() string {
	text := f.tag.Get("help")
	for _, m := range infer.Modes() {
		if f.tag.Get("enum") == modes && m.Served {
			text += fmt.Sprintf(" %s: %s.", m.Name, m.Help)
		}
	}
	return text
}

func (f *field) check(v reflect.Value) error {
	if all := f.choices(); len(all) > 0 {
		if !slices.Contains(all, v.String()) {
			return fmt.Errorf("choose %s", orList(all))
		}
		return nil
	}
	if v.Kind() == reflect.String {
		if bad(v.String()) {
			return fmt.Errorf("leave out control characters")
		}
		return checks[f.tag.Get("check")](v.String())
	}
	if least := f.bound("min"); least.IsValid() && number(v) < number(least) {
		return fmt.Errorf("choose %v or more", least)
	}
	if most := f.bound("max"); most.IsValid() && number(v) > number(most) {
		return fmt.Errorf("choose %v or less", most)
	}
	return nil
}

// bound is the value of a tag min or max, invalid without one.
func (f *field) bound(name string) reflect.Value {
	text, ok := f.tag.Lookup(name)
	if !ok {
		return reflect.Value{}
	}
	t := f.typ
	if t.Kind() == reflect.Slice {
		t = t.Elem()
	}
	v := reflect.New(t).Elem()
	if err := convert(v, parse(t, text)); err != nil {
		panic(fmt.Sprintf("config: %s of %s: %v", name, f.key, err))
	}
	return v
}

func number(v reflect.Value) float64 {
	if v.CanInt() {
		return float64(v.Int())
	}
	if v.CanFloat() {
		return v.Float()
	}
	return 0
}

// checks of texts by the name in the tag.
var checks = map[string]func(string) error{
	"text": func(string) error { return nil },
	"address": func(s string) error {
		_, err := match.Listen(s)
		return err
	},
	"hostport": func(s string) error {
		host, port, err := net.SplitHostPort(s)
		n, e := strconv.ParseUint(port, 10, 16)
		if s != "" && (err != nil || e != nil || n == 0 || host == "" || strings.Contains(host, "*")) {
			return fmt.Errorf("give HOST:PORT, as cloud.example:7537")
		}
		return nil
	},
	"origin": func(s string) error {
		_, err := match.ParseOrigin(s)
		return err
	},
	"url": func(s string) error {
		u, err := url.Parse(s)
		if s != "" && (err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http") {
			return fmt.Errorf("give https://HOST/DIRECTORY")
		}
		return nil
	},
	"pattern": func(s string) error {
		if _, err := filepath.Match(s, ""); err != nil || !filepath.IsAbs(s) {
			return fmt.Errorf("give the path of a directory, with * for any name, as /media/*")
		}
		return nil
	},
	"host": func(s string) error {
		_, err := match.ParseHost(s)
		return err
	},
}

// bad are the texts that no setting has: TOML cannot hold them as they are.
func bad(s string) bool {
	return !utf8.ValidString(s) || strings.ContainsFunc(s, unicode.IsControl)
}

// fromText makes a TOML value of what a variable or a flag says. What it cannot
// make stays text, and is refused with the rest.
func fromText(f *field, text string) any {
	if f.typ.Kind() != reflect.Slice {
		return parse(f.typ, text)
	}
	list := []any{}
	for part := range strings.SplitSeq(text, ",") {
		if part = strings.TrimSpace(part); part != "" {
			list = append(list, parse(f.typ.Elem(), part))
		}
	}
	return list
}

func parse(t reflect.Type, text string) any {
	if reflect.PointerTo(t).Implements(reflect.TypeFor[encoding.TextUnmarshaler]()) {
		return text
	}
	switch t.Kind() {
	case reflect.Bool:
		if b, err := strconv.ParseBool(text); err == nil {
			return b
		}
	case reflect.Int:
		if n, err := strconv.ParseInt(text, 10, 64); err == nil {
			return n
		}
	case reflect.Float64:
		if x, err := strconv.ParseFloat(text, 64); err == nil {
			return x
		}
	}
	return text
}

// show is a value as a message has it, short.
func show(v any) string {
	s := fmt.Sprint(v)
	if t, ok := v.(string); ok {
		s = strconv.Quote(t)
	}
	if len(s) > 60 {
		s = strings.ToValidUTF8(s[:57], "") + "..."
	}
	return s
}

func orList(s []string) string {
	return strings.Join(s[:len(s)-1], ", ") + " or " + s[len(s)-1]
}
