package remote

import (
	"context"
	"fmt"
	"skerry/appliance/bundle"
	"skerry/appliance/decode"
	"skerry/appliance/engine"
	"skerry/appliance/infer"
	"skerry/appliance/node"
	"slices"
	"strings"
)

// Edge is the stages of the edge, and the prompts as tokens.
type Edge struct {
	Model   decode.Model
	Prompts [][]int32
	closers []func()
}

// OpenEdge loads the board's stages of a bundle, with a thread each and room for the
// longest prompt and maxTokens said after it. Each prompt is the first turn of a chat.
func OpenEdge(ctx context.Context, b *bundle.Bundle, prompts []string, maxTokens int) (*Edge, error) {
	ids, err := firstTurns(b, prompts)
	if err != nil {
		return nil, err
	}
	longest := 0
	for _, p := range ids {
		longest = max(longest, len(p))
	}
	want := max(longest+maxTokens+1, passPrompt+slices.Max(passRows))
	e, err := OpenStages(ctx, b, want)
	if err != nil {
		return nil, err
	}
	if e.Model.Context < want {
		e.Close()
		return nil, fmt.Errorf("prompts of up to %d tokens and %d said: the model's context is %d", longest, maxTokens, e.Model.Context)
	}
	e.Prompts = ids
	return e, nil
}

// firstTurns are texts as the first turns of chats, in the model's tokens.
func firstTurns(b *bundle.Bundle, prompts []string) ([][]int32, error) {
	chats := make([][]infer.Message, len(prompts))
	for i, text := range prompts {
		chats[i] = []infer.Message{{Role: "user", Content: text}}
	}
	return PromptTokens(b, chats)
}

// OpenStages loads the board's stages of a bundle, with a thread each and room for so many
// positions, or for as many as the model was trained with where that is less.
func OpenStages(ctx context.Context, b *bundle.Bundle, positions int) (*Edge, error) {
	e := &Edge{}
	if err := e.load(ctx, b, positions); err != nil {
		e.Close()
		return nil, err
	}
	return e, nil
}

// OpenWhole loads the whole model beside the stages, for decode.Unsplit.
func (e *Edge) OpenWhole(b *bundle.Bundle) error {
	s, err := engine.OpenStage(b.Path(bundle.Unsplit), engine.Options{Context: e.Model.Context, Threads: 1})
	if err != nil {
		return err
	}
	e.closers, e.Model.Whole = append(e.closers, s.Close), s
	return nil
}

// load opens the stages with their exit heads, and the draft model where there is one: a
// benchmark compares modes that use the one with modes that use the other.
func (e *Edge) load(ctx context.Context, b *bundle.Bundle, positions int) error {
	roles := []bundle.Role{bundle.Board1, bundle.Board2}[:len(b.Manifest.Exits)]
	if b.Manifest.Draft != nil {
		roles = append(roles, bundle.DraftModel)
	}
	st, err := node.OpenStages(ctx, b, roles, node.StageOptions{Options: engine.Options{Context: positions, Threads: 1}})
	if err != nil {
		return err
	}
	e.closers = append(e.closers, st.Close)
	e.Model = decode.Model{Vocab: st.Vocab, Exits: st.Exits, Draft: st.Draft, Context: positions}
	if n := st.All[0].TrainedContext(); n > 0 {
		e.Model.Context = min(positions, n)
	}
	return nil
}

// Close frees the stages.
func (e *Edge) Close() {
	for _, f := range slices.Backward(e.closers) {
		f()
	}
}

// PromptTokens are conversations as the bundle's model reads them, ready for the assistant's
// next turn. For a model that has no chat template the messages are plain text, with an empty
// line between them.
func PromptTokens(b *bundle.Bundle, chats [][]infer.Message) (prompts [][]int32, err error) {
	v, err := engine.OpenVocab(b.Path(bundle.Board1))
	if err != nil {
		return nil, err
	}
	defer v.Close()
	for _, messages := range chats {
		ids, err := promptTokens(v, messages)
		if err != nil {
			return nil, err
		}
		prompts = append(prompts, ids)
	}
	return prompts, nil
}

func promptTokens(v *engine.Vocab, messages []infer.Message) ([]int32, error) {
	if v.HasTemplate() {
		text, err := v.Chat(messages)
		if err != nil {
			return nil, err
		}
		return v.Tokenize(text, true, true)
	}
	var texts []string
	for _, m := range messages {
		texts = append(texts, m.Content)
	}
	return v.Tokenize(strings.Join(texts, "\n\n"), true, false)
}
