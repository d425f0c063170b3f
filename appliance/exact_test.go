package main

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"skerry/appliance/conversation"
	"skerry/appliance/infer"
)

var samplings = map[string][]string{
	"greedy":  {"--temperature", "0"},
	"sampled": {"--temperature", "0.8", "--seed", "7"},
}

// With a threshold nobody reaches every token is the cloud's, and the text that
// of the unsplit model.
func TestUnreachedThresholdIsExact(t *testing.T) {
	prompts := []string{
		"What is a lighthouse for?",
		"Write a short poem about fog.",
		"List three uses of salt.\nBe brief.",
		"Erkläre auf Deutsch, was ein Leuchtturm ist. 🗼",
	}
	if testing.Short() {
		prompts = prompts[:1]
	}
	for i, prompt := range prompts {
		t.Run(fmt.Sprint("greedy", i), func(t *testing.T) { exact(t, prompt, samplings["greedy"]) })
	}
	t.Run("sampled", func(t *testing.T) { exact(t, prompts[len(prompts)-1], samplings["sampled"]) })
}

func TestExactOverBadLink(t *testing.T) {
	if testing.Short() {
		t.Skip("the link is slow")
	}
	for name, sampling := range samplings {
		t.Run(name, func(t *testing.T) {
			got := exact(t, "What is a lighthouse for?", sampling, "--link", "rtt=20ms,rate=5mbit,loss=1%")
			if got.Link.RTTms < 20 || got.Link.Emulated == "" {
				t.Errorf("link %+v", got.Link)
			}
		})
	}
}

func exact(t *testing.T, prompt string, sampling []string, link ...string) conversation.Report {
	t.Helper()
	args := append([]string{"--max-tokens", "32", prompt}, sampling...)
	want := answer(t, 0, append(args, "--mode", "unsplit")...)
	if n := want.Usage.BySource[infer.FromUnsplit] + want.Usage.BySource[infer.FromLookup]; n != len(want.Tokens) || n == 0 {
		t.Errorf("%v of %d tokens", want.Usage.BySource, len(want.Tokens))
	}
	if want.Link != nil {
		t.Errorf("unsplit has a link: %+v", want.Link)
	}
	got := answer(t, 0, slices.Concat(args, []string{"--threshold", "1.1"}, waiting, link)...)
	allFrom(t, got, infer.FromCloud)
	sameText(t, got, want)
	// Every position goes up once at least, as float32; over a link that was lost in
	// between some asks are made again.
	width, kept := 4*576, got.Link.Lost == ""
	if n := got.Usage.Prompt + len(got.Tokens) - 1; got.Link.Asks < len(got.Tokens) || kept && (got.Link.Asks > len(got.Tokens) || got.Link.BytesUp < int64(n*width)) {
		t.Errorf("%d tokens after %d: link %+v", len(got.Tokens), got.Usage.Prompt, got.Link)
	}
	for i, tok := range got.Tokens {
		if !tok.Verified || tok.WaitMS <= 0 || tok.Confidence <= 0 || tok.Confidence > 1 {
			t.Errorf("token %d: %+v", i, tok)
		}
	}
	return got
}

// A sampled text depends on the seed, and the same seed gives it again.
func TestSeed(t *testing.T) {
	if testing.Short() {
		t.Skip("five runs")
	}
	say := func(seed, temperature string) string {
		return answer(t, 0, "--mode", "unsplit", "--max-tokens", "24", "--temperature", temperature, "--seed", seed, "Tell me a story.").Text
	}
	seven := say("7", "0.8")
	if again := say("7", "0.8"); again != seven {
		t.Errorf("seed 7 says %q, then %q", seven, again)
	}
	if other := say("8", "0.8"); other == seven {
		t.Errorf("seeds 7 and 8 say %q", other)
	}
	if greedy := say("7", "0"); greedy != say("8", "0") {
		t.Error("a greedy text depends on the seed")
	}
}

func TestMixedThresholds(t *testing.T) {
	r := answer(t, 0, append(waiting, "--threshold", "0.9,0.7", "--max-tokens", "64", "--ignore-end", "Count from one to twenty.")...)
	n := r.Usage.BySource
	if n[infer.Exit1]+n[infer.Exit2]+n[infer.FromCloud] != len(r.Tokens) || r.Usage.Completion != len(r.Tokens) || len(r.Tokens) != 64 {
		t.Errorf("%d tokens, usage %+v", len(r.Tokens), r.Usage)
	}
	if n[infer.Exit1]+n[infer.Exit2] == 0 || n[infer.FromCloud] == 0 {
		t.Errorf("not mixed: %v", n)
	}
	if r.Link.Asks < n[infer.FromCloud] || r.Link.Lost == "" && r.Link.Asks > n[infer.FromCloud] {
		t.Errorf("%d asks for %v", r.Link.Asks, n)
	}
	var text strings.Builder
	least := map[infer.Source]float64{infer.Exit1: 0.9, infer.Exit2: 0.7}
	for i, tok := range r.Tokens {
		text.WriteString(tok.Text)
		asked := tok.Source == infer.FromCloud
		if (tok.WaitMS > 0) != asked || tok.Verified != asked || (tok.Why == infer.Asked) != asked || tok.Confidence < least[tok.Source] {
			t.Errorf("token %d: %+v", i, tok)
		}
	}
	if text.String() != r.Text {
		t.Errorf("the tokens say %q, the text is %q", text.String(), r.Text)
	}
}

func TestStandalone(t *testing.T) {
	r := answer(t, 0, "--mode", "standalone", "--threshold", "0.5,0.99", "--max-tokens", "32", "--ignore-end", "Count from one to twenty.")
	n := r.Usage.BySource
	if len(n) != 2 || n[infer.Exit1] == 0 || n[infer.Exit2] == 0 || r.Link != nil || r.Memory.Cloud != 0 {
		t.Errorf("%v, link %v, cloud %d bytes", n, r.Link, r.Memory.Cloud)
	}
	allFrom(t, answer(t, 0, "--mode", "standalone", "--threshold", "0", "--max-tokens", "8", "Hello"), infer.Exit1)
}
