package config

import (
	"bytes"
	"reflect"
	"testing"
)

// FuzzLoad feeds hostile documents. Whatever is accepted lies within its bounds,
// prints as TOML and reads back the same; problems have a place in the file.
func FuzzLoad(f *testing.F) {
	var b bytes.Buffer
	WriteDefault(&b)
	f.Add(b.Bytes())
	for _, s := range []string{"", "lisen=1", "[cloud]\naddress='a:1'", "cloud={address='a:1'}", "[[cloud]]", "a.b.c.d=1", "threshold=[inf,nan]",
		"\"\"=1", "queue=0x7fffffffffffffff", "grace='9999999h'", "name='''\n'''", "cache='1e300TB'", "[cloud]\n[cloud.x]\ny=[[[[]]]]"} {
		f.Add([]byte(s))
	}
	const file = "skerry.toml"
	f.Fuzz(func(t *testing.T, data []byte) {
		l := &loader{config: Default(), from: map[string]string{}}
		l.toml(file, data)
		l.together()
		for _, p := range l.problems {
			if p.Line > bytes.Count(data, []byte("\n"))+1 || p.Text == "" || bytes.ContainsAny([]byte(p.String()), "\n\r") {
				t.Errorf("problem %q", p)
			}
		}
		var show bytes.Buffer
		for _, f := range fields {
			show.WriteString(f.key + " = " + literal(f.of(&l.config)) + "\n")
		}
		again := &loader{config: Default(), from: map[string]string{}}
		again.toml(file, show.Bytes())
		if len(again.problems) > 0 {
			t.Fatalf("%v, in\n%s", again.problems, show.String())
		}
		for _, f := range fields {
			x, y := f.of(&l.config), f.of(&again.config)
			if x.Kind() == reflect.Slice && x.Len() == 0 && y.Len() == 0 {
				continue
			}
			if !reflect.DeepEqual(x.Interface(), y.Interface()) {
				t.Errorf("%s is %v, read back %v", f.key, x, y)
			}
		}
	})
}

// FuzzText feeds variables and flags.
func FuzzText(f *testing.F) {
	f.Add("1", "SKERRY_X")
	f.Add(",,\x00,", "SKERRY_LISTEN")
	f.Fuzz(func(t *testing.T, value, name string) {
		for i := range fields {
			l := &loader{config: Default(), from: map[string]string{}}
			l.text(&fields[i], value, "x", "x")
		}
		l := &loader{from: map[string]string{}}
		l.environment([]string{name + "=" + value})
		l.flags(map[string]string{name: value})
	})
}
