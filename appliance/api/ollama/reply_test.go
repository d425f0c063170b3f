package ollama

import (
	"skerry/appliance/api/exchange"
	"testing"
)

// A call whose arguments were cut off is not told as one without arguments.
func TestCutCallIsNotTold(t *testing.T) {
	o := &ollamaReplies{chat: true}
	whole := exchange.Calls{{Name: "f", Arguments: `{"a":1}`}, {Name: "g"}, {Name: "h", Arguments: `{"a"`}}
	got := o.piece("", "", nil, whole).Message.Calls
	if len(got) != 2 || got[0].Function.Name != "f" || got[1].Function.Name != "g" {
		t.Errorf("%+v", got)
	}
}
