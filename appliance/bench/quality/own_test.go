package quality

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"skerry/appliance/bench/quality/sandbox"
	"skerry/build/testshort"
)

// enterArg has the test binary be the child of a sandbox.
const enterArg = "-enter-sandbox"

func TestMain(m *testing.M) {
	if len(os.Args) == 2 && os.Args[1] == enterArg {
		fmt.Fprintln(os.Stderr, sandbox.Enter(os.Stdin))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// The tasks of our own are whole, and neither answer is right everywhere.
func TestOwnTasks(t *testing.T) {
	tasks, err := Load(All, 0)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, task := range tasks {
		got = append(got, fmt.Sprintf("%s %s %d", task.Name, task.Kind, task.Entries))
		asked, labels := map[string]bool{}, map[string]int{}
		for _, i := range task.Items {
			text := fmt.Sprint(i.Messages)
			if asked[text] {
				t.Errorf("%s: %s is asked twice", task.Name, text)
			}
			asked[text] = true
			if s, _ := spec(task.Kind); s.labels != nil {
				labels[i.References[0]]++
			}
		}
		for label, n := range labels {
			if len(labels) != 2 || 5*n < 2*len(task.Items) {
				t.Errorf("%s: %d of %d are %s", task.Name, n, len(task.Items), label)
			}
		}
	}
	if want := "code code 20, conversations conversation 15, instructions instruction 20, sentiment sentiment 20, summaries summary 20, yesno yesno 30"; strings.Join(got, ", ") != want {
		t.Errorf("%s", got)
	}
	if few, err := Load("yesno", 4); err != nil || few[0].Entries != 4 {
		t.Errorf("%+v, %v", few, err)
	}
}

// A right program passes the tests of every code task, and none passes them all without it.
func TestOwnCode(t *testing.T) {
	testshort.Skip(t, "it starts an interpreter for each task")
	limits := sandbox.Usual()
	limits.Time = 10 * time.Minute // a busy machine may need much to start an interpreter
	s, err := sandbox.Open(t.Context(), sandbox.Options{Limits: limits, Args: []string{enterArg}})
	if errors.Is(err, sandbox.ErrConfine) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	right, err := os.ReadFile("testdata/solutions.py")
	if err != nil {
		t.Fatal(err)
	}
	tasks, err := Load("code", 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, i := range tasks[0].Items {
		for said, want := range map[string]float64{string(right): 1, "I do not know.": 0, "```python\n```": 0} {
			if got, err := passes(t.Context(), s, i, said); err != nil || got != want {
				t.Errorf("%s with %.20q: %g, %v", i.Messages[0].Content, said, got, err)
			}
		}
	}
}

// recorder is a sandbox that runs nothing and passes what has a word in it.
type recorder struct{ ran [][]string }

func (r *recorder) Run(_ context.Context, parts ...string) (sandbox.Result, error) {
	r.ran = append(r.ran, slices.Clone(parts))
	if strings.Contains(parts[0], "right") {
		return sandbox.Result{Verdict: sandbox.Passed}, nil
	}
	return sandbox.Result{Verdict: sandbox.Failed}, nil
}
