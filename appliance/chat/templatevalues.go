package chat

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"reflect"
	"regexp"

	"github.com/nikolalohinski/gonja/v2/exec"

	"skerry/appliance/answer"
)

// role is a word: it is written as the template's own text.
var role = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_]{0,31}$`)

// toolName is what the APIs allow as the name of a function.
var toolName = regexp.MustCompile(`^[A-Za-z0-9_.-]{1,64}$`)

// messagesOf are the messages as templates know them. Tool results get the name of the
// call they answer.
func messagesOf(m []answer.Message, k *marks, style Style) ([]any, error) {
	all := make([]any, 0, len(m))
	called := map[string]string{}
	for i, x := range m {
		if !role.MatchString(x.Role) {
			return nil, answer.Errorf(answer.BadRequest, fmt.Sprintf("messages/%d/role", i), "the role %q is not a word", x.Role)
		}
		d := dictOf("role", x.Role, "content", k.wrap(x.Content))
		name := x.Name
		if name == "" && x.Role == "tool" {
			name = called[x.ToolCallID]
		}
		if name != "" {
			put(d, "name", k.risky(name))
		}
		if x.ToolCallID != "" {
			put(d, "tool_call_id", k.risky(shortID(x.ToolCallID, style)))
		}
		var calls []any
		for _, c := range x.ToolCalls {
			called[c.ID] = c.Name
			arguments, err := decodeJSON(c.Arguments)
			if _, ok := arguments.(*object); err != nil || !ok {
				arguments = string(c.Arguments)
			}
			calls = append(calls, dictOf("id", k.risky(shortID(c.ID, style)), "type", "function",
				"function", dictOf("name", k.risky(c.Name), "arguments", valueOf(arguments, k))))
		}
		if calls != nil {
			put(d, "tool_calls", calls)
		}
		all = append(all, d)
	}
	return all, nil
}

// shortID is an id as Mistral's templates demand it: nine letters and digits.
func shortID(id string, style Style) string {
	if style != Mistral || len(id) == 9 {
		return id
	}
	sum := sha256.Sum256([]byte(id))
	return hex.EncodeToString(sum[:])[:9]
}

// toolsOf are the tools in the form of OpenAI's API, which templates expect.
func toolsOf(tools []answer.Tool, k *marks) ([]any, error) {
	var all []any
	for i, t := range tools {
		f, err := functionOf(t, i)
		if err != nil {
			return nil, err
		}
		all = append(all, dictOf("type", "function", "function", valueOf(f, k)))
	}
	return all, nil
}

func functionOf(t answer.Tool, i int) (*object, error) {
	if !toolName.MatchString(t.Name) {
		return nil, answer.Errorf(answer.BadRequest, fmt.Sprintf("tools/%d/name", i), "the name %q is not of letters, digits, _, . and -", t.Name)
	}
	f := newObject("name", t.Name, "description", t.Description)
	if len(t.Parameters) == 0 {
		f.set("parameters", newObject("type", "object", "properties", newObject()))
		return f, nil
	}
	p, err := decodeJSON(t.Parameters)
	if err != nil {
		return nil, answer.Errorf(answer.BadRequest, fmt.Sprintf("tools/%d/parameters", i), "the parameters are not JSON: %v", err)
	}
	f.set("parameters", p)
	return f, nil
}

func dictOf(pairs ...any) *exec.Dict {
	d := exec.NewDict()
	for i := 0; i < len(pairs); i += 2 {
		put(d, pairs[i].(string), pairs[i+1])
	}
	return d
}

func put(d *exec.Dict, key string, v any) {
	d.Pairs = append(d.Pairs, &exec.Pair{Key: exec.AsValue(key), Value: exec.AsValue(v)})
}

// valueOf is JSON for templates; texts that might hold control tokens are marked.
func valueOf(v any, k *marks) any {
	switch v := v.(type) {
	case *object:
		d := exec.NewDict()
		for _, key := range v.keys {
			put(d, k.risky(key), valueOf(v.vals[key], k))
		}
		return d
	case []any:
		list := make([]any, 0, len(v))
		for _, x := range v {
			list = append(list, valueOf(x, k))
		}
		return list
	case string:
		return k.risky(v)
	case json.Number:
		if n, err := v.Int64(); err == nil {
			return int(n)
		}
		f, _ := v.Float64()
		return f
	}
	return v
}

// jsonOf is the way back, for tojson.
func jsonOf(v *exec.Value) any {
	if v == nil || v.IsNil() {
		return nil
	}
	if d, ok := v.Interface().(*exec.Dict); ok {
		o := newObject()
		for _, p := range d.Pairs {
			o.set(p.Key.String(), jsonOf(p.Value))
		}
		return o
	}
	switch r := v.Val; r.Kind() {
	case reflect.Slice, reflect.Array:
		list := make([]any, 0, r.Len())
		for i := range r.Len() {
			list = append(list, jsonOf(exec.ToValue(r.Index(i))))
		}
		return list
	case reflect.Map:
		o := newObject()
		for _, key := range v.Keys() {
			x, _ := v.GetItem(key.String())
			o.set(key.String(), jsonOf(x))
		}
		return o
	case reflect.Bool:
		return v.Bool()
	case reflect.String:
		return v.String()
	case reflect.Float32, reflect.Float64:
		return v.Float()
	}
	if v.IsInteger() {
		return v.Integer()
	}
	return v.String()
}
