package template

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math/big"
	"regexp"
	"strings"

	"skerry/appliance/chat/jinja"
	"skerry/appliance/chat/orderedjson"
	"skerry/appliance/chat/tools"
	"skerry/appliance/infer"
)

// role is a word: it is written as the template's own text.
var role = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_]{0,31}$`)

// messagesOf are the messages as templates know them. Tool results get the name of the
// call they answer. With lists, contents are lists of one part.
func messagesOf(m []infer.Message, style tools.Style, lists bool) (*jinja.List, error) {
	all := &jinja.List{}
	called, images := map[string]string{}, 0
	for i, x := range m {
		if !role.MatchString(x.Role) {
			return nil, infer.Errorf(infer.BadRequest, fmt.Sprintf("messages/%d/role", i), "the role %q is not a word", x.Role)
		}
		var content jinja.Value = contentOf(x, images)
		images += len(x.Images)
		if lists {
			content = &jinja.List{Items: []jinja.Value{jinja.NewDict("type", jinja.Own("text"), "text", content)}}
		}
		d := jinja.NewDict("role", jinja.Own(x.Role), "content", content)
		name := x.Name
		if name == "" && x.Role == "tool" {
			name = called[x.ToolCallID]
		}
		if name != "" {
			d.Set(jinja.Own("name"), toolText(name))
		}
		if x.ToolCallID != "" {
			d.Set(jinja.Own("tool_call_id"), toolText(shortID(x.ToolCallID, style)))
		}
		calls := &jinja.List{}
		for _, c := range x.ToolCalls {
			called[c.ID] = c.Name
			arguments, err := orderedjson.Decode(c.Arguments)
			if _, ok := arguments.(*orderedjson.Object); err != nil || !ok {
				arguments = string(c.Arguments)
			}
			calls.Items = append(calls.Items, jinja.NewDict("id", toolText(shortID(c.ID, style)), "type", jinja.Own("function"),
				"function", jinja.NewDict("name", toolText(c.Name), "arguments", valueOf(arguments))))
		}
		if len(calls.Items) > 0 {
			d.Set(jinja.Own("tool_calls"), calls)
		}
		all.Items = append(all.Items, d)
	}
	return all, nil
}

// shortID is an id as Mistral's templates demand it: nine letters and digits.
func shortID(id string, style tools.Style) string {
	if style != tools.Mistral || len(id) == 9 {
		return id
	}
	sum := sha256.Sum256([]byte(id))
	return hex.EncodeToString(sum[:])[:9]
}

// toolsOf are the tools in the form of OpenAI's API, which templates expect.
func toolsOf(offered []infer.Tool) (*jinja.List, error) {
	all := &jinja.List{}
	for i, t := range offered {
		f, err := tools.Function(t, i)
		if err != nil {
			return nil, err
		}
		all.Items = append(all.Items, jinja.NewDict("type", jinja.Own("function"), "function", valueOf(f)))
	}
	return all, nil
}

// toolText is a text of a tool or a call. One that might hold a control token is somebody's
// words; plain names and prose stay with the template's text around them, so that they
// are cut into tokens as the model has learnt them.
func toolText(s string) jinja.Text {
	if strings.IndexFunc(s, func(r rune) bool {
		return r < ' ' && r != '\n' || r > '~' || strings.ContainsRune("<>[]{}|", r)
	}) < 0 {
		return jinja.Own(s)
	}
	return jinja.Foreign(s)
}

// valueOf is JSON for templates.
func valueOf(v any) jinja.Value {
	switch v := v.(type) {
	case *orderedjson.Object:
		d := jinja.NewDict()
		for _, key := range v.Keys {
			d.Set(toolText(key), valueOf(v.Get(key)))
		}
		return d
	case []any:
		list := &jinja.List{Items: make([]jinja.Value, 0, len(v))}
		for _, x := range v {
			list.Items = append(list.Items, valueOf(x))
		}
		return list
	case string:
		return toolText(v)
	case json.Number:
		return numberOf(v)
	}
	return v // nil or a boolean
}

// numberOf is a whole number or, where it is written with a point or an exponent, a float.
func numberOf(n json.Number) jinja.Value {
	if i, err := n.Int64(); err == nil {
		return i
	}
	if i, ok := new(big.Int).SetString(n.String(), 10); ok {
		return i
	}
	f, _ := n.Float64()
	return f
}

// extraOf is a variable of the caller's.
func extraOf(v any) jinja.Value {
	switch v := v.(type) {
	case string:
		return jinja.Own(v)
	case int:
		return int64(v)
	}
	return v
}
