package main

import (
	"context"
	"errors"
	"log/slog"

	"skerry/appliance/bundle"
	"skerry/appliance/decode/slots"
	"skerry/appliance/status"
	"skerry/appliance/status/health"
)

// modelProblems are why there may be no model.
var modelProblems = []*health.Problem{health.ModelCorrupt, health.OutOfMemory, health.FetchFailed, health.ModelFailed}

// tellModel has the tracker say why there is no model: err of loading the bundle in
// dir, which is "" for the default one that is fetched. nil takes it back.
func tellModel(t *health.Tracker, err error, dir string) {
	is := modelProblem(err)
	for _, p := range modelProblems {
		if p != is {
			t.Clear(p)
		}
	}
	if is != nil {
		t.Set(is, "err", oneLine(err), "dir", orDefault(dir))
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
	case errors.Is(err, slots.ErrMemory):
		return health.OutOfMemory
	case errors.Is(err, errNoDefault):
		return health.FetchFailed
	}
	return health.ModelFailed
}

// tellProblems logs what is new among the problems, and what is over.
func tellProblems(log *slog.Logger) func([]status.Problem) {
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
