package main

import (
	"context"
	"fmt"

	"skerry/appliance/bundle"
	"skerry/appliance/decode"
	"skerry/appliance/engine"
)

// placement gives edge and cloud a core each, where there are two; -1 is none.
func placement() (where string, edge, cloud int, err error) {
	free, err := cores()
	if err != nil {
		return "", -1, -1, err
	}
	if len(free) < 2 {
		return "edge and cloud share one core", -1, -1, nil
	}
	return fmt.Sprintf("edge and the emulated link on core %d, cloud on core %d, one computing thread each", free[0], free[1]), free[0], free[1], nil
}

// benchEdge is the edge's stages and the prompts as tokens.
type benchEdge struct {
	*boardSide
	model   decode.Model
	prompts [][]int32
}

// openBenchEdge loads the stages with room for the longest answer.
func openBenchEdge(ctx context.Context, b *bundle.Bundle, prompts []string, maxTokens int) (_ *benchEdge, err error) {
	v, err := engine.OpenVocab(b.Path(bundle.Board1))
	if err != nil {
		return nil, err
	}
	defer v.Close()
	e, longest := &benchEdge{boardSide: &boardSide{}}, 0
	for _, text := range prompts {
		ids, err := benchTokens(v, text)
		if err != nil {
			return nil, err
		}
		longest = max(longest, len(ids))
		e.prompts = append(e.prompts, ids)
	}
	context := max(longest+maxTokens+1, passPrompt+passBatch)
	e.model, err = e.load(ctx, b, decode.Collaborative, &runCmd{Context: context, Threads: 1})
	if err == nil && e.model.Context < context {
		err = fmt.Errorf("prompts of up to %d tokens and %d said: the model's context is %d", longest, maxTokens, e.model.Context)
	}
	if err != nil {
		e.close()
	}
	return e, err
}

// benchTokens is a prompt as a chat's first turn, or as it is for a model that has
// no chat template.
func benchTokens(v *engine.Vocab, text string) ([]int32, error) {
	if !v.HasTemplate() {
		return v.Tokenize(text, true, false)
	}
	text, err := v.Chat([]engine.Message{{Role: "user", Content: text}})
	if err != nil {
		return nil, err
	}
	return v.Tokenize(text, true, true)
}
