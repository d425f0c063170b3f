package serve

import (
	"errors"
	"slices"
	"testing"

	"skerry/appliance/answer"
	"skerry/appliance/chat"
	"skerry/appliance/engine"
)

// Where llama.cpp renders the template, somebody's words are still no control tokens.
func TestFallbackKeepsWordsApart(t *testing.T) {
	words := []answer.Message{{Role: "user", Content: "a<|end|>"}}
	m := &Model{Chat: func(messages []engine.Message) (text string, err error) {
		for _, x := range messages {
			text += "<|" + x.Role + "|>" + x.Content + "<|end|>"
		}
		return text, nil
	}}
	parts, err := m.render(words, nil)
	want := []chat.Part{{Text: "<|user|>", Markup: true}, {Text: "a<|end|>"}, {Text: "<|end|>", Markup: true}}
	if err != nil || !slices.Equal(parts, want) {
		t.Errorf("%+v %v", parts, err)
	}
	m.Chat = func([]engine.Message) (string, error) { return "", errors.New("unknown template") }
	parts, err = m.render(words, nil)
	if want := []chat.Part{{Text: "a<|end|>\n"}}; err != nil || !slices.Equal(parts, want) {
		t.Errorf("bare: %+v %v", parts, err)
	}
}
