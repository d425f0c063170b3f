package infer

import (
	"errors"
	"strings"
	"testing"
)

func TestByName(t *testing.T) {
	models := []Model{{Name: "smollm2-135m"}, {Name: "qwen2.5:0.5b"}, {Name: "Phi:latest"}}
	for name, want := range map[string]string{
		"": "smollm2-135m", "smollm2-135m": "smollm2-135m", "SmolLM2-135M:latest": "smollm2-135m", "smollm2-135m:q4": "smollm2-135m",
		"qwen2.5:0.5b": "qwen2.5:0.5b", "QWEN2.5:0.5B": "qwen2.5:0.5b", "phi": "Phi:latest", "phi:latest": "Phi:latest",
	} {
		if m, err := ByName(models, name); err != nil || m.Name != want {
			t.Errorf("%q is %q, want %q: %v", name, m.Name, want, err)
		}
	}
	_, err := ByName(models, "qwen2.5:7b"+strings.Repeat("x", 1000))
	var e *Error
	if !errors.As(err, &e) || e.Code != NoModel || !strings.Contains(e.Message, "smollm2-135m, qwen2.5:0.5b") || len(e.Message) > 400 {
		t.Errorf("%v", err)
	}
	if _, err := ByName(nil, ""); err == nil || !strings.Contains(err.Error(), "none on this board") {
		t.Errorf("of none: %v", err)
	}
}
