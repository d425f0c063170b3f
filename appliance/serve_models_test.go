package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"skerry/appliance/bundle/split"
	"skerry/appliance/bundle/synth"
)

// roomForTwo is memory into which two of the models that threeModels makes are planned, and
// three are not: each takes 1.4 MB beside the program's 67 MB, and a twentieth stays free.
const roomForTwo = "74MB"

// threeModels are alpha, beta and gamma, of random weights, in a cache of the test's own;
// alpha's directory is returned.
func threeModels(t *testing.T) string {
	t.Helper()
	computes(t)
	cache := t.TempDir()
	t.Setenv("SKERRY_CACHE", cache)
	for i, name := range []string{"alpha", "beta", "gamma"} {
		src := filepath.Join(t.TempDir(), name+".gguf")
		if err := synth.Write(t.Context(), "tiny", src, synth.Options{Seed: uint64(i + 1), Type: split.TypeQ4_0}); err != nil {
			t.Fatal(err)
		}
		if _, err := split.Model(t.Context(), src, filepath.Join(cache, "bundles", name), split.Options{Name: name, Exits: []int{2, 4}, Type: split.TypeKeep}); err != nil {
			t.Fatal(err)
		}
	}
	return filepath.Join(cache, "bundles", "alpha")
}

// limits are how either API is asked for a short answer that is the same each time.
var limits = map[string]string{
	"/v1/chat/completions": `"max_tokens":12,"temperature":0`,
	"/api/chat":            `"options":{"num_predict":12,"temperature":0}`,
}

// answerOf has a model asked over one of the APIs, by its path, and returns what it says.
func answerOf(c *http.Client, path, model string) (string, error) {
	r, err := c.Post("http://skerry"+path, "application/json", strings.NewReader(fmt.Sprintf(
		`{"model":%q,"stream":false,"messages":[{"role":"user","content":"Hello"}],%s}`, model, limits[path])))
	if err != nil {
		return "", err
	}
	defer r.Body.Close()
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return "", err
	}
	type message struct{ Content string }
	var got struct {
		Message message
		Choices []struct{ Message message }
	}
	if err := json.Unmarshal(body, &got); err != nil || r.StatusCode != http.StatusOK {
		return "", fmt.Errorf("%s of %q: %s: %s", path, model, r.Status, body)
	}
	if len(got.Choices) > 0 {
		return got.Choices[0].Message.Content, nil
	}
	return got.Message.Content, nil
}

// Clients of both APIs switch among three models, by all their names, while memory has room
// for two: one after the other and all at once each is answered by the one that it names.
func TestServeModels(t *testing.T) {
	s := startServing(t, threeModels(t), t.TempDir(), "--mode", "unsplit", "--set", "memory="+roomForTwo)
	awaitReady(t, s.socket)
	c := socketClient(s.socket)
	defer c.CloseIdleConnections()
	const openai, ollama = "/v1/chat/completions", "/api/chat"

	if r := s.do(t, http.MethodPost, "/api/copy", `{"source":"beta","destination":"Mine:small"}`); r.status != http.StatusOK {
		t.Fatalf("%+v", r)
	}
	var listed struct{ Models []struct{ Name string } }
	if err := json.Unmarshal([]byte(s.get(t, "/api/tags").body), &listed); err != nil || len(listed.Models) != 4 {
		t.Errorf("listed are %v: %v", listed, err)
	}
	says := map[string]string{}
	for i, ask := range []struct{ path, name, model string }{
		{ollama, "alpha", "alpha"}, {openai, "beta:latest", "beta"}, {ollama, "GAMMA", "gamma"}, {openai, "alpha", "alpha"},
		{ollama, "mine:small", "beta"}, {openai, "gamma.gguf", "gamma"}, {openai, "", "alpha"}, {openai, "Mine:small", "beta"},
	} {
		said, err := answerOf(c, ask.path, ask.name)
		if err != nil {
			t.Fatal(err)
		}
		if i < 3 {
			says[ask.model] = said
		}
		if said != says[ask.model] {
			t.Errorf("%s says %q over %s as %q, and said %q", ask.model, said, ask.path, ask.name, says[ask.model])
		}
		if err := json.Unmarshal([]byte(s.get(t, "/api/ps").body), &listed); err != nil || len(listed.Models) > 2 {
			t.Errorf("loaded are %v: %v", listed, err)
		}
	}
	if says["alpha"] == says["beta"] || says["beta"] == says["gamma"] {
		t.Errorf("they say %q", says)
	}

	var clients sync.WaitGroup
	for model, want := range says {
		for _, path := range []string{openai, ollama} {
			clients.Go(func() {
				for range 3 {
					if said, err := answerOf(c, path, model); err != nil || said != want {
						t.Errorf("%s says %q over %s beside others, want %q: %v", model, said, path, want, err)
					}
				}
			})
		}
	}
	clients.Wait()

	for _, path := range []string{openai, ollama} {
		if _, err := answerOf(c, path, "delta"); err == nil || !strings.Contains(err.Error(), "404") || !strings.Contains(err.Error(), "this board has") {
			t.Errorf("of a model that is not here: %v", err)
		}
	}
	s.await(t, &s.stderr, "unload", func(log string) bool { return strings.Contains(log, `why="room for `) })
}
