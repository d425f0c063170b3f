package config

import (
	"reflect"
	"strings"

	"skerry/cloudlink/wire"
)

// field is one setting of Config.
type field struct {
	key   string // dotted: "cloud.address"
	index []int  // within Config
	tag   reflect.StructTag
	typ   reflect.Type
}

func (f *field) of(c *Config) reflect.Value { return reflect.ValueOf(c).Elem().FieldByIndex(f.index) }
func (f *field) live() bool                 { return f.tag.Get("live") == "true" }

// variable of the environment: SKERRY_CLOUD_ADDRESS.
func (f *field) variable() string {
	return "SKERRY_" + strings.ToUpper(strings.ReplaceAll(f.key, ".", "_"))
}

// fields are all settings in the order of Config; tables are the help of its
// tables by name.
var fields, tables = describe()

func describe() (all []field, tables map[string]string) {
	tables = map[string]string{}
	t := reflect.TypeFor[Config]()
	for i := range t.NumField() {
		f := t.Field(i)
		name := f.Tag.Get("toml")
		if f.Type.Kind() != reflect.Struct {
			all = append(all, field{name, f.Index, named(f.Tag), f.Type})
			continue
		}
		tables[name] = f.Tag.Get("help")
		for j := range f.Type.NumField() {
			g := f.Type.Field(j)
			all = append(all, field{name + "." + g.Tag.Get("toml"), []int{i, j}, named(g.Tag), g.Type})
		}
	}
	return all, tables
}

// names are what tags call what other packages list.
var names = strings.NewReplacer("${encodings}", strings.Join(wire.EncodingNames(), ","), "${encodingsHelp}", wire.EncodingHelp())

// named is a tag with the lists themselves in place of their names.
func named(tag reflect.StructTag) reflect.StructTag {
	return reflect.StructTag(names.Replace(string(tag)))
}

func find(key string) *field {
	for i := range fields {
		if fields[i].key == key {
			return &fields[i]
		}
	}
	return nil
}
