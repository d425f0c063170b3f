package admin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"skerry/appliance/status"
)

// Probe asks a daemon whether it is well, as after an update.
type Probe struct {
	*Client
	// Is says whether a version is the one that should run; Want names that one.
	Is   func(version string) bool
	Want string
}

// Ready returns nil where the right version runs and would answer, else why not.
func (p *Probe) Ready(ctx context.Context) error {
	s, err := p.Status(ctx)
	switch {
	case err != nil:
		return err
	case !p.Is(s.Version):
		return fmt.Errorf("version %s runs, not %s", s.Version, p.Want)
	case s.State == status.Ready, s.State == status.Unloaded:
		return nil
	case s.Unable != "":
		return errors.New(s.Unable)
	}
	for _, problem := range s.Health {
		if problem.Severity == status.Trouble {
			return fmt.Errorf("%s: %s: %s", s.State, problem.Title, problem.Text)
		}
	}
	return fmt.Errorf("its state is %s", s.State)
}

// Answer has it answer a prompt, of which no session is kept. One that is busy, or loads its
// model, is asked again until ctx ends: it is as well as any board that has much to do.
func (p *Probe) Answer(ctx context.Context) error {
	for {
		err := p.answer(ctx)
		if e := (*Error)(nil); !errors.As(err, &e) || e.Status != http.StatusTooManyRequests && e.Status != http.StatusServiceUnavailable {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(longestPause):
		}
	}
}

func (p *Probe) answer(ctx context.Context) error {
	body, err := json.Marshal(map[string]any{
		"messages": []map[string]string{{"role": "user", "content": "Say hello."}}, "max_tokens": 8,
	})
	if err != nil {
		return err
	}
	var said struct {
		Choices []struct {
			Finish string `json:"finish_reason"`
		} `json:"choices"`
	}
	if _, err := p.send(ctx, http.MethodPost, "/v1/chat/completions", body, &said); err != nil {
		return err
	}
	if len(said.Choices) == 0 || said.Choices[0].Finish == "" {
		return errors.New("the answer has no end")
	}
	return nil
}

// BundleProbe asks a daemon whether a model bundle that an update has brought is well: whether
// it answers with it.
type BundleProbe struct {
	*Client
	ID string // of the bundle, in hex; "" for any
}

// Ready returns nil once the daemon has loaded its model, or could not.
func (p *BundleProbe) Ready(ctx context.Context) error {
	s, err := p.Status(ctx)
	switch {
	case err != nil:
		return err
	case s.State == status.Starting, s.State == status.Fetching, s.State == status.Loading, s.State == status.Stopping:
		return fmt.Errorf("its state is %s", s.State)
	}
	return nil
}

// Answer has the bundle answer a prompt.
func (p *BundleProbe) Answer(ctx context.Context) error {
	if err := (&Probe{Client: p.Client}).Answer(ctx); err != nil {
		return err
	}
	s, err := p.Status(ctx)
	if err != nil || p.ID == "" {
		return err
	}
	for _, m := range s.Models {
		if m.Default && m.Bundle == p.ID {
			return nil
		}
	}
	if s.Model == nil {
		return errors.New("no model is loaded after the answer")
	}
	return fmt.Errorf("the answer is of another model, %s: do the options or the settings of the service name one?", s.Model.Name)
}
