package main

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
)

// The object that run --json prints, as scripts read it. Fields may be added,
// never taken away.
func TestRunJSON(t *testing.T) {
	stdout, stderr := expect(t, 0, "run", "--json", "--bundle", bundleDir(t), "--threshold", "0.9,0.7", "--max-tokens", "16", "--ignore-end",
		"--link", "rtt=1ms", "--on-loss", "wait", "Count from one to twenty.")
	if stderr != "" || strings.Count(stdout, "\n") != 1 {
		t.Errorf("stdout %q, stderr %q", stdout, stderr)
	}
	r := decodeObject(t, stdout)
	wantFields(t, r, map[string]string{"text": "string", "tokens": "[]interface {}", "mode": "string", "finish": "string", "model": "string",
		"usage": object, "timings": object, "link": object, "memory": object, "kernels": object})
	wantFields(t, r["usage"], map[string]string{"prompt_tokens": number, "completion_tokens": number, "by_source": object})
	wantFields(t, r["timings"], map[string]string{"first_token_s": number, "total_s": number, "tokens_per_s": number})
	wantFields(t, r["link"], map[string]string{"bytes_up": number, "bytes_down": number, "asks": number, "smoothed_rtt_ms": number, "emulated": "string", "state": "string", "figures": "string"})
	wantFields(t, r["memory"], map[string]string{"board_rss": number, "cloud_rss": number})
	wantFields(t, r["kernels"], map[string]string{"variant": "string", "features": "[]interface {}", "devices": "[]interface {}"})
	for _, tok := range r["tokens"].([]any) {
		wantFields(t, tok, map[string]string{"id": number, "text": "string", "source": "string", "verified": "bool",
			"confidence": number, "margin": number, "wait_ms": number})
		if s := tok.(map[string]any)["source"]; !slices.Contains([]any{"exit1", "exit2", "cloud"}, s) {
			t.Errorf("source %v", s)
		}
	}
	for _, path := range [][2]string{{"usage", "prompt_tokens"}, {"timings", "first_token_s"}, {"timings", "total_s"},
		{"timings", "tokens_per_s"}, {"link", "bytes_up"}, {"link", "bytes_down"}, {"memory", "board_rss"}, {"memory", "cloud_rss"}} {
		if v := r[path[0]].(map[string]any)[path[1]].(float64); v <= 0 {
			t.Errorf("%v is %v", path, v)
		}
	}
	if r["mode"] != "collaborative" || r["finish"] != "length" {
		t.Errorf("mode %v, finish %v", r["mode"], r["finish"])
	}
}

// An answer of a mode without a link has none, and one that ends by itself says so.
func TestRunJSONAlone(t *testing.T) {
	for _, mode := range []string{"standalone", "unsplit"} {
		stdout, _ := expect(t, 0, "run", "--json", "--bundle", bundleDir(t), "--mode", mode, "--max-tokens", "3", "Hello")
		r := decodeObject(t, stdout)
		if _, linked := r["link"]; linked || r["mode"] != mode {
			t.Errorf("%s: %s", mode, stdout)
		}
	}
	stdout, _ := expect(t, 0, "run", "--json", "--bundle", bundleDir(t), "--mode", "unsplit", "What is 1+1? Answer with one word.")
	if r := decodeObject(t, stdout); r["finish"] != "stop" {
		t.Errorf("finish %v of %q", r["finish"], r["text"])
	}
}

const number, object = "float64", "map[string]interface {}"

func decodeObject(t *testing.T, s string) (r map[string]any) {
	t.Helper()
	if err := json.Unmarshal([]byte(s), &r); err != nil {
		t.Fatalf("%v in %q", err, s)
	}
	return r
}

func wantFields(t *testing.T, v any, fields map[string]string) {
	t.Helper()
	m, _ := v.(map[string]any)
	for name, kind := range fields {
		if got := fmt.Sprintf("%T", m[name]); got != kind {
			t.Errorf("%s is a %s, want a %s, in %v", name, got, kind, v)
		}
	}
}
