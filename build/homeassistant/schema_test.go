package homeassistant

import (
	"fmt"
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// A kind says what is wrong with a value, "" for nothing.
type kind func(v any) string

func matching(pattern string) kind {
	re := regexp.MustCompile("^(?:" + pattern + ")$")
	return func(v any) string {
		if s, ok := v.(string); !ok || !re.MatchString(s) {
			return fmt.Sprintf("%v is not of the form %s", v, pattern)
		}
		return ""
	}
}

func boolean(v any) string {
	if _, ok := v.(bool); !ok {
		return fmt.Sprintf("%v is not true or false", v)
	}
	return ""
}

func between(least, most int) kind {
	return func(v any) string {
		if n, ok := v.(int); !ok || n < least || n > most {
			return fmt.Sprintf("%v is no whole number from %d to %d", v, least, most)
		}
		return ""
	}
}

func each(of kind) kind {
	return func(v any) string {
		list, ok := v.([]any)
		if !ok || len(list) == 0 {
			return fmt.Sprintf("%v is no list of something", v)
		}
		for _, e := range list {
			if wrong := of(e); wrong != "" {
				return wrong
			}
		}
		return ""
	}
}

func table(key, value kind) kind {
	return func(v any) string {
		m, ok := v.(map[string]any)
		if !ok {
			return fmt.Sprintf("%v is no dictionary", v)
		}
		for _, k := range slices.Sorted(maps.Keys(m)) {
			if wrong := key(k); wrong != "" {
				return wrong
			}
			if wrong := value(m[k]); wrong != "" {
				return k + ": " + wrong
			}
		}
		return ""
	}
}

// fields is a dictionary whose keys are known, those of required among them.
func fields(required string, known map[string]kind) kind {
	return func(v any) string {
		m, ok := v.(map[string]any)
		if !ok {
			return fmt.Sprintf("%v is no dictionary", v)
		}
		for _, k := range strings.Fields(required) {
			if m[k] == nil {
				return "there is no " + k
			}
		}
		for _, k := range slices.Sorted(maps.Keys(m)) {
			if known[k] == nil {
				return k + " is no key"
			}
			if wrong := known[k](m[k]); wrong != "" {
				return k + ": " + wrong
			}
		}
		return ""
	}
}

func mayBeNull(of kind) kind {
	return func(v any) string {
		if v == nil {
			return ""
		}
		return of(v)
	}
}

func webAddress(v any) string {
	s, _ := v.(string)
	if u, err := url.Parse(s); err != nil || u.Host == "" {
		return fmt.Sprintf("%v is no URL", v)
	}
	return ""
}

var (
	anyText = matching(`(?s).+`)
	name    = matching(`[a-z0-9_]+`)
	port    = matching(`\d+/(tcp|udp)`)
	// The types that the documentation has of options, with their bounds.
	optionType = matching(`(bool|email|url|port|password|device(\(subsystem=[a-z]+\))?|(str|int|float)(\([\d.-]*,[\d.-]*\))?|match\(.+\)|list\([^|]+(\|[^|]+)*\))\??`)
)

// configuration is what the documentation of add-ons ("App configuration") says of
// config.yaml: the keys that there are, and what each may be. Keys of it that give more
// rights than any add-on of ours needs are left out, so that none is asked for in passing.
var configuration = fields("name version slug description arch", map[string]kind{
	"name": anyText, "version": matching(`[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}`), "slug": matching(`[-_.A-Za-z0-9]+`), "description": anyText,
	"arch": each(matching(`aarch64|amd64`)), "url": webAddress,
	"startup": matching(`initialize|system|services|application|once`), "boot": matching(`auto|manual|manual_only`), "init": boolean,
	"webui": matching(`(https?|\[PROTO:\w+\])://\[HOST\]:\[PORT:\d+\].*`), "watchdog": matching(`(https?|tcp|\[PROTO:\w+\])://\[HOST\]:(\[PORT:\d+\]|\d+).*`),
	"ports": table(port, mayBeNull(between(1, 65535))), "ports_description": table(port, anyText),
	"ingress": boolean, "ingress_port": between(0, 65535), "ingress_entry": anyText, "ingress_stream": boolean,
	"panel_icon": matching(`mdi:[a-z-]+`), "panel_title": anyText, "panel_admin": boolean,
	"map": each(fields("type", map[string]kind{
		"type": matching(`homeassistant_config|app_config|all_app_configs|local_apps|ssl|backup|share|media|data`), "read_only": boolean, "path": matching(`/.+`),
	})),
	"environment": table(matching(`\w+`), anyText), "tmpfs": boolean, "timeout": between(10, 300),
	"backup": matching(`hot|cold`), "backup_exclude": each(anyText), "stage": matching(`stable|experimental|deprecated`),
	"image": matching(`[a-z0-9./{}_-]+`), "homeassistant": anyText, "breaking_versions": each(anyText),
	"options": table(name, func(any) string { return "" }), "schema": table(name, optionType),
})

// translations are those of the page of options.
var translations = fields("configuration network", map[string]kind{
	"configuration": table(name, fields("name description", map[string]kind{"name": anyText, "description": anyText})),
	"network":       table(port, anyText),
})

var repository = fields("name", map[string]kind{"name": anyText, "url": webAddress, "maintainer": anyText})

// coherent says what is wrong between the keys of config.yaml and of its translation.
func coherent(config, translated map[string]any) (wrong []string) {
	options, _ := config["options"].(map[string]any)
	schema, _ := config["schema"].(map[string]any)
	ports, _ := config["ports"].(map[string]any)
	for name := range options {
		if t, ok := schema[name].(string); !ok || strings.HasSuffix(t, "?") {
			wrong = append(wrong, fmt.Sprintf("%s has a default, and is of the type %q", name, t))
		}
	}
	for name, t := range schema {
		if _, ok := options[name]; !ok && !strings.HasSuffix(fmt.Sprint(t), "?") {
			wrong = append(wrong, name+" has no default, and is not optional")
		}
	}
	for _, key := range []string{"webui", "watchdog"} {
		url, _ := config[key].(string)
		if m := regexp.MustCompile(`\[PORT:(\d+)\]`).FindStringSubmatch(url); m != nil {
			if _, ok := ports[m[1]+"/tcp"]; !ok {
				wrong = append(wrong, key+" is at a port that is not opened")
			}
		}
	}
	for part, of := range map[string]map[string]any{"configuration": schema, "network": ports} {
		words, _ := translated[part].(map[string]any)
		if a, b := slices.Sorted(maps.Keys(words)), slices.Sorted(maps.Keys(of)); !slices.Equal(a, b) {
			wrong = append(wrong, fmt.Sprintf("the translation has %s %q, not %q", part, a, b))
		}
	}
	return wrong
}

func parsed(t *testing.T, text []byte) (m map[string]any) {
	t.Helper()
	if err := yaml.Unmarshal(text, &m); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	return m
}

// TestRefused: the checks above find what they are for.
func TestRefused(t *testing.T) {
	const good = "name: A\nversion: 1.0.0\nslug: a\ndescription: b\narch: [amd64]\n"
	if wrong := configuration(parsed(t, []byte(good))); wrong != "" {
		t.Error(wrong)
	}
	for _, bad := range []string{
		"name: A\nversion: 1.0.0\nslug: a\ndescription: b\n", good + "archs: [amd64]\n", strings.Replace(good, "amd64", "arm64", 1), strings.Replace(good, "1.0.0", "1.0.0+abc", 1),
		strings.Replace(good, "slug: a", "slug: a b", 1), good + "startup: later\n", good + "ports: {7537: 7537}\n", good + "ports: {7537/tcp: 70000}\n",
		good + "webui: http://HOST:7537/\n", good + "watchdog: http://[HOST]/\n", good + "map: [share]\n", good + "map: [{type: everything}]\n", good + "timeout: 5\n",
		good + "schema: {a: text}\n", good + "schema: {a: list()}\n", good + "ingress: 1\n", good + "backup: warm\n", good + "full_access: true\n",
	} {
		if configuration(parsed(t, []byte(bad))) == "" {
			t.Errorf("it is taken:\n%s", bad)
		}
	}
	for _, c := range []string{
		"options: {a: b}\nschema: {a: \"str?\"}", "options: {a: b}", "schema: {a: str}", "webui: http://[HOST]:[PORT:1]/", "watchdog: http://[HOST]:[PORT:1]/", "ports: {1/tcp: 1}",
	} {
		if len(coherent(parsed(t, []byte(c)), map[string]any{})) == 0 {
			t.Errorf("it is taken:\n%s", c)
		}
	}
}
