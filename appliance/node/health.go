package node

import (
	"context"
	"errors"
	"log/slog"

	"skerry/appliance/bundle"
	"skerry/appliance/bundle/prepare"
	"skerry/appliance/decode/batch"
	"skerry/appliance/status"
	"skerry/appliance/status/health"
)

// modelProblems are why there may be no model.
var modelProblems = []*health.Problem{health.ModelCorrupt, health.OutOfMemory, health.FetchFailed, health.ModelFailed}

// setModelProblem has the tracker say why there is no model: err of loading the bundle in
// dir, which is "" for the default one that is fetched. nil takes it back.
func setModelProblem(t *health.Tracker, err error, dir string) {
	is := modelProblem(err)
	for _, p := range modelProblems {
		if p != is {
			t.Clear(p)
		}
	}
	if is != nil {
		t.Set(is, "err", status.OneLine(err), "dir", orDefault(dir))
	}
}

func orDefault(dir string) string {
	if dir == "" {
		return "DIR"
	}
	return dir
}

// modelProblem is what an error of loading amounts to, nil for none.
func modelProblem(err error) *health.Problem {
	switch {
	case err == nil, errors.Is(err, context.Canceled):
		return nil
	case errors.Is(err, bundle.ErrCorrupt), errors.Is(err, bundle.ErrForeign), errors.Is(err, bundle.ErrManifest), errors.Is(err, bundle.ErrMissing):
		return health.ModelCorrupt
	case errors.Is(err, batch.ErrMemory):
		return health.OutOfMemory
	case errors.Is(err, prepare.ErrNoDefault):
		return health.FetchFailed
	}
	return health.ModelFailed
}

// logProblems logs what is new among the problems, and what is over.
func logProblems(log *slog.Logger) func([]status.Problem) {
	known := map[string]bool{}
	return func(problems []status.Problem) {
		now := map[string]bool{}
		for _, p := range problems {
			if now[p.Code] = true; !known[p.Code] {
				log.Warn("problem: "+p.Title, "code", p.Code, "severity", p.Severity, "text", p.Text, "do", p.Do)
			}
		}
		for code := range known {
			if !now[code] {
				log.Info("problem is over", "code", code)
			}
		}
		known = now
	}
}
