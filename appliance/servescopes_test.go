package main

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
)

// Keys of each kind over the network, asking the daemon itself.
func TestKeysOverTheNetwork(t *testing.T) {
	if testing.Short() {
		t.Skip("skipped: -short")
	}
	if !onLAN(t) {
		return
	}
	state := t.TempDir()
	secrets := map[string]string{}
	for name, scope := range map[string]string{"laptop": "ask", "phone": "ask", "grafana": "read", "owner": "admin"} {
		out, _ := expect(t, 0, "key", "new", name, "--scope", scope, "--state", state)
		secrets[name] = strings.TrimSpace(out)
	}
	url := startOnLAN(t, state)
	do := func(key, method, path, body string) (int, string) {
		t.Helper()
		r, err := http.NewRequest(method, url+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer "+secrets[key])
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		text, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return resp.StatusCode, string(text)
	}
	for code := 0; code != http.StatusOK; {
		code, _ = do("owner", "GET", "/readyz", "")
	}
	asked := func(session string) string {
		return fmt.Sprintf(`{"messages":[{"role":"user","content":"hi"}],"max_tokens":4,"skerry":{"session":%q}}`, session)
	}
	for _, c := range []struct {
		key, method, path, body string
		want                    int
		says, not               string
	}{
		{"laptop", "POST", "/v1/chat/completions", asked("laptops"), 200, `"choices"`, ""},
		{"phone", "POST", "/v1/chat/completions", asked("phones"), 200, `"choices"`, ""},
		{"grafana", "POST", "/v1/chat/completions", asked("grafanas"), 403, "insufficient_scope", ""},
		{"phone", "POST", "/v1/chat/completions", asked("laptops"), 403, "another key's", ""},
		{"owner", "POST", "/v1/chat/completions", asked("laptops"), 200, `"choices"`, ""},
		{"laptop", "POST", "/v1/chat/completions", asked("laptops"), 200, `"choices"`, ""},
		{"laptop", "GET", "/api/v1/sessions", "", 200, `"laptops"`, "phones"},
		{"grafana", "GET", "/api/v1/sessions", "", 200, `"phones"`, ""},
		{"phone", "GET", "/api/v1/sessions/laptops", "", 403, "another key's", "hi"},
		{"phone", "GET", "/api/v1/sessions/laptops/export", "", 403, "another key's", ""},
		{"phone", "GET", "/api/v1/sessions/laptops/answer", "", 403, "another key's", ""},
		{"grafana", "GET", "/api/v1/sessions/laptops/answer", "", 200, "event: end", ""},
		{"grafana", "POST", "/api/v1/sessions/laptops/answer", "", 403, "wants a key of scope", ""},
		{"laptop", "POST", "/api/v1/sessions/laptops/answer", "", 200, "event: end", ""},
		{"phone", "DELETE", "/api/v1/sessions/laptops", "", 403, "another key's", ""},
		{"grafana", "DELETE", "/api/v1/sessions/laptops", "", 403, "wants a key of scope", ""},
		{"laptop", "GET", "/api/v1/status", "", 200, `"laptops"`, "phones"},
		{"grafana", "GET", "/api/v1/status", "", 200, `"memory_total"`, ""},
		{"laptop", "GET", "/api/v1/logs", "", 403, "skerry key scope laptop ask,read", ""},
		{"grafana", "GET", "/api/v1/logs", "", 200, "", ""},
		{"laptop", "GET", "/metrics", "", 403, "wants a key of scope", ""},
		{"grafana", "GET", "/metrics", "", 200, "skerry_", ""},
		{"laptop", "GET", "/api/v1/config", "", 403, "wants a key of scope", ""},
		{"laptop", "POST", "/api/v1/reload", "", 403, "wants a key of scope", ""},
		{"grafana", "POST", "/api/v1/reload", "", 403, "wants a key of scope", ""},
		{"owner", "POST", "/api/v1/reload", "", 200, "changed", ""},
		{"laptop", "POST", "/api/pull", `{"model":"x"}`, 403, "wants a key of scope", ""},
		{"laptop", "GET", "/v1/models", "", 200, "tiny", ""},
		{"grafana", "GET", "/api/tags", "", 200, "tiny", ""},
		{"laptop", "POST", "/api/generate", `{"model":"tiny","keep_alive":0}`, 403, "scope admin", ""},
		{"laptop", "POST", "/api/generate", `{"model":"tiny"}`, 200, "load", ""},
		{"laptop", "POST", "/api/generate", `{"model":"tiny","prompt":"hi","stream":false,"keep_alive":0,"options":{"num_predict":3}}`, 200, `"response"`, ""},
		{"laptop", "POST", "/api/v1/restart", "", 403, "wants a key of scope", ""},
		{"owner", "POST", "/api/v1/restart", "", 403, "X-Skerry-Confirm", ""},
		{"laptop", "DELETE", "/api/v1/sessions/laptops", "", 200, "", ""},
		{"owner", "DELETE", "/api/v1/sessions/phones", "", 200, "", ""},
	} {
		code, text := do(c.key, c.method, c.path, c.body)
		if code != c.want || !strings.Contains(text, c.says) || c.not != "" && strings.Contains(text, c.not) {
			t.Errorf("%s: %s %s: %d %.300s", c.key, c.method, c.path, code, text)
		}
	}
	expect(t, 0, "key", "scope", "laptop", "ask,read", "--state", state)
	if code, text := do("laptop", "GET", "/api/v1/logs", ""); code != 200 {
		t.Errorf("once it may: %d %s", code, text)
	}
}
