package session

import (
	"testing"

	"skerry/cloudlink/monitor"
)

// A session that belongs to no link is not judged.
func TestSessionWithoutLink(t *testing.T) {
	s, err := New(Options{Width: 2, Durable: true}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if state, _ := s.State(); state != monitor.Good || !s.DownSince().IsZero() {
		t.Errorf("%v, down since %v", state, s.DownSince())
	}
	if _, _, known := s.Predict(0); known {
		t.Error("a prediction without a judge")
	}
}
