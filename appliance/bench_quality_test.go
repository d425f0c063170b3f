package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"skerry/appliance/bench/quality"
	"skerry/appliance/cli"
	"skerry/appliance/infer"
)

// qualityReport runs bench quality.
func qualityReport(t *testing.T, args ...string) quality.Report {
	t.Helper()
	stdout, _ := expect(t, 0, append([]string{"bench", "quality", "--json"}, args...)...)
	var r quality.Report
	if err := json.Unmarshal([]byte(stdout), &r); err != nil {
		t.Fatalf("%v in %s", err, stdout)
	}
	return r
}

// The default model answers a small task in every mode, and what is certain of the answers is
// in the report: a cloud that says every token says what the unsplit model does.
func TestBenchQuality(t *testing.T) {
	task := filepath.Join(t.TempDir(), "capitals.jsonl")
	text := `{"kind":"instruction","prompt":"What is the capital of France? Answer with one word.","answers":["Paris","The capital of France is Paris."]}
{"kind":"instruction","prompt":"What is the capital of Italy? Answer with one word.","answers":["Rome","The capital of Italy is Rome."]}
`
	if err := os.WriteFile(task, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	r := qualityReport(t, "--model", bundleDir(t), "--task", task, "--modes", "collaborative-unreached,standalone", "--max-tokens", "10")
	if len(r.Tasks) != 1 || len(r.Tasks[0].Rows) != 3 || r.Run.Blocks != 30 || strings.Join(r.Run.Modes, " ") != "unsplit collaborative-unreached standalone" || r.Run.Code != "" {
		t.Fatalf("%+v", r)
	}
	for _, row := range r.Tasks[0].Rows {
		scores := row.Scores[quality.RougeL]
		switch row.Mode {
		case "unsplit":
			if scores.Mean < 0.3 || scores.Difference != nil || row.Sources[infer.FromUnsplit] != row.Tokens || row.Asks != 0 {
				t.Errorf("%+v", row)
			}
		case "collaborative-unreached":
			if row.Same != 1 || scores.Difference == nil || *scores.Difference != (quality.Difference{}) || row.Sources[infer.FromCloud] != row.Tokens || row.Asks != 1 {
				t.Errorf("%+v", row)
			}
		default:
			if row.Same == 1 || row.Sources[infer.Exit1]+row.Sources[infer.Exit2] != row.Tokens || row.Asks != 0 {
				t.Errorf("%+v", row)
			}
		}
	}
}

// The programs of a model of random weights pass no test; that each was run, or why none
// was, is in the report.
func TestBenchQualityCode(t *testing.T) {
	r := qualityReport(t, "--model", tinyBundle(t), "--task", "code", "--limit", "2", "--max-tokens", "8", "--modes", "unsplit")
	task := r.Tasks[0]
	if task.Skipped != "" {
		t.Skip(task.Skipped)
	}
	if task.Answers != 2 || len(task.Rows) != 1 || task.Rows[0].Scores[quality.PassAt1].Mean != 0 || task.Rows[0].Tokens == 0 || r.Run.Code != quality.Confined {
		t.Errorf("%+v", r)
	}
}

func TestBenchQualityUsage(t *testing.T) {
	bad := filepath.Join(t.TempDir(), "bad.jsonl")
	if err := os.WriteFile(bad, []byte("{\"document\":\"d\",\"summary\":\"s\"}\n{\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	for want, args := range map[string][]string{
		"mode \"fastest\" is unknown":      {"--task", "yesno", "--modes", "fastest"},
		"no task of ours: choose code":     {"--task", "poems"},
		"bad.jsonl: line 2: it is no JSON": {"--task", bad},
		"choose 0 to 4096 tokens":          {"--task", "yesno", "--max-tokens", "5000"},
		"--task=NAME|FILE":                 {},
	} {
		if _, stderr := expect(t, cli.ExitUsage, append([]string{"bench", "quality"}, args...)...); !strings.Contains(stderr, want) || strings.Count(stderr, "\n") != 1 {
			t.Errorf("%v: %q", args, stderr)
		}
	}
}
