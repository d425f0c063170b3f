package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"skerry/appliance/bench/peer"
	"skerry/appliance/bundle"
	"skerry/appliance/bundle/fetch"
	"skerry/appliance/engine"
)

var (
	pairDir     = flag.String("pair", "", "a bundle with a draft model, for BenchmarkSpeculation; by default that of make pair")
	speculateOn = flag.Int("speculate-threads", 2, "threads of BenchmarkSpeculation")
)

// What BenchmarkSpeculation asks, in the words of Qwen's chat template, so that both
// programs read the same tokens.
var speculated = map[string]string{
	"code":    "Write a Python function that counts the vowels in a string.",
	"general": "Why do ships have keels?",
	"repeat": "Repeat this text word by word, twice: The keeper of the lighthouse climbs one hundred and twelve stairs each evening, " +
		"lights the lamp, winds the clock, writes the weather into the book, and looks for ships until the fog comes in.",
}

const (
	chatForm        = "<|im_start|>user\n%s<|im_end|>\n<|im_start|>assistant\n"
	speculatedWords = 64
)

// BenchmarkSpeculation compares what a token takes after the first, of the whole model of a
// bundle with a draft model, on one machine: without drafts, and with each way of drafting,
// of this program and of llama.cpp's own packages, in turns, with the same files. Run it
// alone on the machine:
//
//	go test ./appliance -run XXX -bench Speculation -benchtime 1x -timeout 0
func BenchmarkSpeculation(b *testing.B) {
	cache, err := fetch.CacheDir()
	if err != nil {
		b.Fatal(err)
	}
	dir := *pairDir
	if dir == "" {
		dir = filepath.Join(cache, "bundles", "qwen2.5-coder-1.5b-0.5b")
	}
	if _, err := bundle.Open(b.Context(), dir, bundle.Unsplit, bundle.DraftModel); err != nil {
		b.Skipf("no bundle with a draft model (make pair makes one): %v", err)
	}
	llama, err := peer.Install(b.Context(), cache, nil)
	if err != nil {
		b.Skip(err)
	}
	whole, draft := filepath.Join(dir, bundle.Unsplit.File()), filepath.Join(dir, bundle.DraftModel.File())
	theirs := map[string]peer.Drafts{"none": {}, "draft": {Kind: "draft-simple", Model: draft}, "draft, 0.75": {Kind: "draft-simple", Model: draft, PMin: 0.75},
		"ngram-simple": {Kind: "ngram-simple"}, "ngram-map-k": {Kind: "ngram-map-k"}}
	for _, kind := range []string{"code", "general", "repeat"} {
		b.Run(kind, func(b *testing.B) {
			ms := map[string]float64{}
			least := func(name string, took float64) {
				if was, ok := ms[name]; !ok || took < was {
					ms[name] = took
				}
			}
			for b.Loop() {
				for _, d := range []string{"off", "model", "lookup", "auto"} {
					least(d, speculatedHere(b, dir, d, fmt.Sprintf(chatForm, speculated[kind])))
				}
				for name, d := range theirs {
					d.Options = peer.Options{Threads: *speculateOn}
					least("llama.cpp "+name, speculatedThere(b, llama, whole, d, fmt.Sprintf(chatForm, speculated[kind])))
				}
			}
			for name, t := range ms {
				over := ms["off"]
				if strings.HasPrefix(name, "llama.cpp") {
					over = ms["llama.cpp none"]
				}
				b.Logf("%-24s %6.1f ms a token, %.2f of the speed without drafts, %.2f of llama.cpp's fastest", name, t, over/t, fastestOf(ms, "llama.cpp")/t)
			}
			b.ReportMetric(fastestOf(ms, "llama.cpp")/ms["auto"], "auto/llama.cpp")
			b.ReportMetric(ms["off"]/ms["auto"], "auto/off")
			b.ReportMetric(ms["off"]/ms["model"], "model/off")
			b.ReportMetric(ms["off"]/ms["lookup"], "lookup/off")
			b.ReportMetric(0, "ns/op")
		})
	}
}

func fastestOf(ms map[string]float64, prefix string) (fastest float64) {
	for name, t := range ms {
		if strings.HasPrefix(name, prefix) && (fastest == 0 || t < fastest) {
			fastest = t
		}
	}
	return fastest
}

// speculatedHere is what a token takes after the first, in ms.
func speculatedHere(b *testing.B, dir, drafts, prompt string) float64 {
	b.Helper()
	stdout, _ := expect(b, 0, "run", "--bundle", dir, "--mode", "unsplit", "--threads", strconv.Itoa(*speculateOn), "--draft", drafts, "--raw", "--json",
		"--max-tokens", strconv.Itoa(speculatedWords), prompt)
	var out struct {
		Usage struct {
			Completion int `json:"completion_tokens"`
		}
		Timings struct {
			First float64 `json:"first_token_s"`
			Total float64 `json:"total_s"`
		}
	}
	if err := json.Unmarshal([]byte(stdout), &out); err != nil || out.Usage.Completion < 2 {
		b.Fatalf("%v: %d tokens", err, out.Usage.Completion)
	}
	return 1e3 * (out.Timings.Total - out.Timings.First) / float64(out.Usage.Completion-1)
}

// speculatedThere is the same of llama.cpp.
func speculatedThere(b *testing.B, llama *peer.Peer, model string, d peer.Drafts, prompt string) float64 {
	b.Helper()
	v, err := engine.OpenVocab(model)
	if err != nil {
		b.Fatal(err)
	}
	defer v.Close()
	ids, err := v.Tokenize(prompt, true, true)
	if err != nil {
		b.Fatal(err)
	}
	s, err := llama.Speculate(b.Context(), model, d)
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	said, err := s.Say(b.Context(), ids, speculatedWords)
	if err != nil {
		b.Fatal(err)
	}
	fmt.Fprintf(os.Stderr, "llama.cpp %q: %d tokens, %d checks, %d of %d accepted\n", d.Kind, len(said.Tokens), said.Checks, said.Accepted, said.Drafted)
	return said.Took.Seconds() * 1e3 / float64(len(said.Tokens))
}
