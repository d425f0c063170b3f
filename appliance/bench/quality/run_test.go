package quality

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"skerry/appliance/bench/strategies"
	"skerry/appliance/decode"
	"skerry/appliance/infer"
)

func TestParseModes(t *testing.T) {
	for want, names := range map[string][]string{
		"unsplit collaborative standalone":      nil,
		"unsplit":                               {"unsplit"},
		"unsplit cloud-only collaborative-t0.9": {"cloud-only", " unsplit", "collaborative-t0.9", "cloud-only"},
	} {
		modes, err := ParseModes(names)
		var got []string
		for _, v := range modes {
			got = append(got, v.Name)
		}
		if err != nil || strings.Join(got, " ") != want {
			t.Errorf("%v: %v, %v", names, got, err)
		}
	}
	for _, bad := range []string{"", "fast", "unsplit-t0.9"} {
		if _, err := ParseModes([]string{bad}); err == nil || !strings.Contains(err.Error(), "choose of unsplit, cloud-only") {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

// asked makes a task whose prompts are as long as told.
func asked(t *testing.T, file string, lengths ...int) Asked {
	t.Helper()
	task, err := Read("t.jsonl", []byte(file), 0)
	if err != nil {
		t.Fatal(err)
	}
	a := Asked{Task: task}
	for i, n := range lengths {
		p := make([]int32, n)
		p[0] = int32(i)
		a.Prompts = append(a.Prompts, p)
	}
	return a
}

// script answers the item whose number the prompt begins with.
type script map[string][]string

func (s script) answer(_ context.Context, v strategies.Variant, prompt []int32, maxTokens int) (decode.Result, error) {
	r := decode.Result{Text: s[v.Name][prompt[0]], Asks: 1, Finish: infer.Stop}
	source := infer.FromUnsplit
	if v.Mode != decode.Unsplit {
		source = infer.Exit2
	}
	r.Tokens = []infer.Token{{Source: source}, {Source: source}, {Source: infer.FromCloud}, {Source: infer.FromCloud}}
	if len(r.Text) > maxTokens {
		r.Finish = infer.Length
	}
	return r, nil
}

func bench2(t *testing.T, s script) *Bench {
	t.Helper()
	modes, err := ParseModes([]string{"standalone"})
	if err != nil {
		t.Fatal(err)
	}
	return &Bench{Modes: modes, Seed: 1, Context: 200, Answer: s.answer}
}

const yesnoFile = `{"kind":"yesno","passage":"p","question":"a?","answers":["yes"]}
{"kind":"yesno","passage":"p","question":"b?","answers":["no"]}
{"kind":"yesno","passage":"p","question":"c?","answers":["no"]}
{"kind":"yesno","passage":"p","question":"d?","answers":["yes"]}`

// Scores, agreement, tokens and asks are those of the answers that were given.
func TestRun(t *testing.T) {
	b := bench2(t, script{"unsplit": {" Yes.\n", "No", "No", "yes"}, "standalone": {"yes", "No", "Yes, it is so and not otherwise", "yes"}})
	reports, err := b.Run(t.Context(), []Asked{asked(t, yesnoFile, 5, 6, 7, 8)})
	if err != nil {
		t.Fatal(err)
	}
	r := reports[0]
	base, row := r.Rows[0], r.Rows[1]
	if r.Answers != 4 || r.Entries != 4 || r.MaxTokens != 16 || base.Scores[Accuracy] != (Score{Mean: 1}) || base.Same != 1 || base.Near != 1 || base.Cut != 0 {
		t.Errorf("%+v", r)
	}
	if d := row.Scores[Accuracy].Difference; row.Scores[Accuracy].Mean != 0.75 || row.Scores[ExactMatch].Mean != 0.75 || d == nil || d.Mean != -0.25 || d.Low != -0.75 || d.High != 0 {
		t.Errorf("%+v, %+v", row, d)
	}
	if row.Same != 0.5 || row.Near != 0.75 || row.Tokens != 16 || row.Sources[infer.Exit2] != 8 || row.Sources[infer.FromCloud] != 8 || row.Asks != 0.25 || row.Cut != 1 {
		t.Errorf("%+v", row)
	}
	// The same without a mode changes nothing but that.
	b.Modes = b.Modes[:1]
	if again, err := b.Run(t.Context(), []Asked{asked(t, yesnoFile, 5, 6, 7, 8)}); err != nil || fmt.Sprint(again[0].Rows[0]) != fmt.Sprint(base) {
		t.Errorf("%+v, %v", again, err)
	}
}

// Questions that the context has no room for are left out for every mode, and counted.
func TestTooLong(t *testing.T) {
	b := bench2(t, script{"unsplit": {"yes", "no", "no", "no"}, "standalone": {"no", "no", "no", "no"}})
	reports, err := b.Run(t.Context(), []Asked{asked(t, yesnoFile, 185, 184, 184, 500), asked(t, yesnoFile, 500, 500, 500, 500)})
	if err != nil {
		t.Fatal(err)
	}
	r := reports[0]
	if r.TooLong != 2 || r.Answers != 2 || r.Rows[1].Tokens != 8 || r.Rows[0].Scores[Accuracy].Mean != 1 {
		t.Errorf("%+v", r)
	}
	if r = reports[1]; r.TooLong != 4 || len(r.Rows) != 0 || !strings.Contains(r.Skipped, "longer than 200 tokens") {
		t.Errorf("%+v", r)
	}
}

const codeFile = `{"kind":"code","prompt":"a","tests":"assert a"}
{"kind":"code","prompt":"b","tests":"assert b"}`

// Programs are run with their own tests, and without a sandbox nothing is even asked.
func TestCode(t *testing.T) {
	b := bench2(t, script{"unsplit": {"```python\nright\n```", "right"}, "standalone": {"wrong", "right"}})
	b.NoRunner = "python3 is not installed"
	reports, err := b.Run(t.Context(), []Asked{asked(t, codeFile, 5, 5)})
	if err != nil || reports[0].Skipped != b.NoRunner || len(reports[0].Rows) != 0 {
		t.Fatalf("%+v, %v", reports, err)
	}
	runner := &recorder{}
	b.Runner, b.MaxTokens = runner, 99
	if reports, err = b.Run(t.Context(), []Asked{asked(t, codeFile, 5, 5)}); err != nil {
		t.Fatal(err)
	}
	r := reports[0]
	if r.Rows[0].Scores[PassAt1].Mean != 1 || r.Rows[1].Scores[PassAt1].Mean != 0.5 || r.Rows[1].Same != 0.5 || r.MaxTokens != 99 {
		t.Errorf("%+v", r)
	}
	if want := [][]string{{"right\n", "assert a"}, {"right", "assert b"}, {"wrong", "assert a"}, {"right", "assert b"}}; !slices.EqualFunc(runner.ran, want, slices.Equal) {
		t.Errorf("%q", runner.ran)
	}
}

func TestRunFails(t *testing.T) {
	b := bench2(t, nil)
	lost := errors.New("the cloud was lost")
	b.Answer = func(context.Context, strategies.Variant, []int32, int) (decode.Result, error) {
		return decode.Result{}, lost
	}
	if _, err := b.Run(t.Context(), []Asked{asked(t, yesnoFile, 5, 5, 5, 5)}); !errors.Is(err, lost) || err.Error() != "t: unsplit: the cloud was lost" {
		t.Errorf("%v", err)
	}
}

// The table says what the JSON does.
func TestReport(t *testing.T) {
	b := bench2(t, script{"unsplit": {"Yes.", "No", "No", "yes"}, "standalone": {"yes", "No", "Yes", "yes"}})
	tasks, err := b.Run(t.Context(), []Asked{asked(t, yesnoFile, 5, 6, 7, 500), asked(t, codeFile, 1, 1)})
	if err != nil {
		t.Fatal(err)
	}
	tasks[1].Skipped = "no namespaces"
	r := &Report{Tasks: tasks, Run: Run{Model: "m", Exits: []int{1}, Blocks: 3, Kernels: "k", Resamples: resamples, Seed: 1, Code: Unconfined}}
	var text bytes.Buffer
	if err := r.WriteText(&text); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"t (yesno, 3 answers, at most 16 tokens each, 1 question too long for the context left out)", "accuracy to unsplit, 95 %", "66.7 %", "-33.3 (-100.0 to +0.0)",
		"exit 2", "asks/token", "t: skipped: no namespaces", "2000 bootstrap resamples", "UNCONFINED"} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("%q is not in\n%s", want, text.String())
		}
	}
	for _, wrong := range []string{"NaN", "ROUGE-L is", "pass@1", "fallback"} {
		if strings.Contains(text.String(), wrong) {
			t.Errorf("%q is in\n%s", wrong, text.String())
		}
	}
	data, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	var got struct {
		Tasks []struct {
			Skipped string
			Rows    []struct {
				Scores map[string]struct {
					Mean       float64
					Difference *struct{ Mean, Low, High float64 }
				}
				Sources map[string]int `json:"tokens_by_source"`
			}
		}
	}
	if err := json.Unmarshal(data, &got); err != nil {
		t.Fatal(err)
	}
	row := got.Tasks[0].Rows[1]
	if s := row.Scores["accuracy"]; math.Abs(s.Mean-2.0/3) > 1e-12 || s.Difference.Low != -1 || row.Sources["exit2"] != 6 || got.Tasks[0].Rows[0].Scores["accuracy"].Difference != nil || got.Tasks[1].Skipped == "" {
		t.Errorf("%s", data)
	}
}
