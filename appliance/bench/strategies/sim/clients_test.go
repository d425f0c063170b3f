package sim

import (
	"math"
	"testing"
)

// sure are answers of so many tokens of which every k-th needs the cloud.
func sure(k int) (all []Answer) {
	for i := range 4 {
		a := Answer{Prompt: 20 + i}
		for j := range 60 {
			t := Token{C1: 1, C2: 1, Equal1: true, Equal2: true, EqualUp: true}
			if (i+j)%k == 0 {
				t.C1, t.C2 = 0, 0
			}
			a.Tokens = append(a.Tokens, t)
		}
		all = append(all, a)
	}
	return all
}

func TestClientsOfWholeModel(t *testing.T) {
	s := Paper()
	whole := Strategy{Kind: CloudOnly, ValueBytes: 4}
	// One client alone has a token a pass; eight share passes of eight rows.
	if got := s.P95(whole, sure(2), 1); math.Abs(got-s.T) > 1e-9 {
		t.Errorf("alone: %g, want %g", got, s.T)
	}
	alone, eight := s.P95(whole, sure(2), 1), s.P95(whole, sure(2), 8)
	if eight < alone || eight > s.T*2.01 {
		t.Errorf("eight: %g, a pass takes %g", eight, s.T)
	}
	for n, before := 1, 0.0; n <= 64; n *= 2 {
		p := s.P95(whole, sure(2), n)
		if p < before-1e-9 {
			t.Errorf("%d clients: %g, half as many: %g", n, p, before)
		}
		before = p
	}
	if n := s.Clients(whole, sure(2), eight); n < 8 {
		t.Errorf("%d clients have what eight have", n)
	}
	if n := s.Clients(whole, sure(2), alone/2); n != 0 {
		t.Errorf("%d clients have a token in half a pass", n)
	}
}

func TestClientsOfSplit(t *testing.T) {
	s := Paper()
	whole := Strategy{Kind: CloudOnly, ValueBytes: 4}
	split := Strategy{Kind: Split, T1: 0.5, T2: 0.5, ValueBytes: 2}
	within := s.P95(whole, sure(2), 64)
	for _, k := range []int{1, 2, 4} {
		n := s.Clients(split, sure(k), within)
		t.Logf("one token in %d asked for: %d clients within %.0f ms a token, which 64 of the whole model have", k, n, 1e3*within)
		if n <= 64 { // it computes three quarters of each row
			t.Errorf("one token in %d asked for: %d clients, 64 of the whole model", k, n)
		}
	}
	// A strategy that never asks has no bound, and one that cannot be shared no answer.
	never := sure(1000)
	for i := range never {
		for j := range never[i].Tokens {
			never[i].Tokens[j].C1 = 1
		}
	}
	if n := s.Clients(split, never, within); n != MostClients {
		t.Errorf("%d clients that never ask", n)
	}
	if p := s.P95(Strategy{Kind: Naive}, never, 1); !math.IsNaN(p) {
		t.Errorf("naive: %g", p)
	}
	if n := s.Clients(split, nil, within); n != 0 {
		t.Errorf("%d clients without answers", n)
	}
}

// Drafts that are right leave a cloud fewer passes, whoever drafts: on the board they cost it nothing,
// in the cloud they take its time from all.
func TestClientsThatDraft(t *testing.T) {
	s := Paper()
	answers := sure(1)
	for i := range answers {
		for j := range answers[i].Tokens {
			answers[i].Tokens[j].EqualDraft = true
		}
	}
	within := s.P95(Strategy{Kind: CloudOnly}, answers, 64)
	board := s.Clients(Strategy{Kind: Verified, Drafts: true, IDs: true}, answers, within)
	cloud := s.Clients(Strategy{Kind: CloudDraft}, answers, within)
	s.Draft = .05
	cheap := s.Clients(Strategy{Kind: CloudDraft}, answers, within)
	if board <= 64 || cloud >= 64 || cheap <= cloud {
		t.Errorf("as fast as 64: %d clients draft, a cloud drafts for %d, cheaply for %d", board, cloud, cheap)
	}
}
