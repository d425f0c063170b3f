package decode

import (
	"sync"

	"skerry/appliance/decode/speculate"
	"skerry/appliance/infer"
	"skerry/cloudlink/monitor"
)

// Learnt is what the sessions of a model have learnt of drafts and their checks, so that none
// has to find it out again: an answer begins with what is known by then, and hands on what it has
// learnt once it ends. The zero value has learnt nothing. It may be used concurrently.
type Learnt struct {
	mu        sync.Mutex // guards all following
	verifiers map[infer.Mode]*speculate.Verifier
	batch     monitor.BatchCost // of the draft model
	token     map[string]monitor.BatchCost
}

// recall takes over what is known.
func (s *Session) recall() {
	k := s.model.Learnt
	if k == nil {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	for mode, v := range k.verifiers {
		s.verifiers[mode] = v.Clone()
	}
	if s.draft != nil {
		if _, _, known := k.batch.Cost(1); known {
			s.draft.cost = k.batch
		}
	}
	if c, known := k.token[s.costlyName()]; known {
		s.draftToken = c
	}
}

// handOn has others know what was learnt in a mode.
func (s *Session) handOn(mode infer.Mode) {
	k := s.model.Learnt
	if k == nil {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.verifiers == nil {
		k.verifiers, k.token = map[infer.Mode]*speculate.Verifier{}, map[string]monitor.BatchCost{}
	}
	if v := s.verifiers[mode]; v != nil {
		k.verifiers[mode] = v.Clone()
	}
	if s.draft != nil {
		if _, _, known := s.draft.cost.Cost(1); known {
			k.batch = s.draft.cost
		}
	}
	if _, _, known := s.draftToken.Cost(1); known {
		k.token[s.costlyName()] = s.draftToken
	}
}

// costlyName is what drafts token by token.
func (s *Session) costlyName() string {
	if s.draft != nil {
		return string(infer.FromDraft)
	}
	return exitsDraft
}

// Accepted is the share of the tokens of the draft model, or of the exits, that were accepted of
// late in answers that have ended, and how many that rests on: of the mode that has seen the
// most.
func (k *Learnt) Accepted() (share, of float64) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, v := range k.verifiers {
		for _, drafter := range []string{string(infer.FromDraft), exitsDraft} {
			if s, n := v.Seen(drafter); n > of {
				share, of = s, n
			}
		}
	}
	return share, of
}
