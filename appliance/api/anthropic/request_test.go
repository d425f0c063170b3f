package anthropic

import (
	"strings"
	"testing"

	"skerry/appliance/api/exchange"
)

// Results of tools within results of tools are refused, and what that takes does not grow
// with how deep they are.
func TestNestedResults(t *testing.T) {
	const open, shut = `[{"type": "tool_result", "tool_use_id": "a", "content": `, `}]`
	read := func(depth int) float64 {
		body := []byte(`{"messages": [{"role": "user", "content": ` + strings.Repeat(open, depth) + `"x"` + strings.Repeat(shut, depth) + `}]}`)
		return testing.AllocsPerRun(1, func() {
			var m messagesRequest
			err := exchange.Parse(body, &m)
			if err == nil {
				_, err = m.request()
			}
			if p := exchange.ProblemOf(err); p.Said.Param != "messages[0].content[0].content[0].type" {
				t.Errorf("%d deep: %v", depth, err)
			}
		})
	}
	if few, many := read(2), read(1000); many > few+100 {
		t.Errorf("%v allocations, %v where they are deep", few, many)
	}
}

func TestResultOfATool(t *testing.T) {
	for content, want := range map[string]string{
		`, "content": "rain"`: "rain", `, "content": [{"type": "text", "text": "rain"}]`: "rain", ``: "", `, "content": null`: "",
		`, "content": 5`: "!", `, "content": [{"type": "image"}]`: "!",
	} {
		var m messagesRequest
		err := exchange.Parse([]byte(`{"messages": [{"role": "user", "content": [{"type": "tool_result", "tool_use_id": "a"`+content+`}]}]}`), &m)
		if err != nil {
			t.Fatal(content, err)
		}
		q, err := m.request()
		if want == "!" {
			if p := exchange.ProblemOf(err); err == nil || !strings.HasPrefix(p.Said.Param, "messages[0].content[0].content") {
				t.Errorf("%s: %v", content, err)
			}
			continue
		}
		if err != nil || len(q.Messages) != 1 || q.Messages[0].Content != want {
			t.Errorf("%s: %+v, %v", content, q.Messages, err)
		}
	}
}
