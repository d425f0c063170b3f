package main

import (
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"skerry/appliance/bundle"
	"skerry/appliance/node/nodetest"
	"skerry/appliance/status"
)

// measuredTiny is the tiny bundle as if its exits had been measured and found to be right for
// half of the tokens.
func measuredTiny(t *testing.T) string {
	t.Helper()
	dir := tinyBundle(t)
	man, err := bundle.ReadManifest(dir)
	if err != nil {
		t.Fatal(err)
	}
	for i := range man.Heads {
		man.Heads[i].Threshold = .8
		man.Heads[i].Measured = []bundle.HeadMeasured{{Confidence: 0, Agreement: .5, Tokens: 1000, Share: 1}, {Confidence: .8, Agreement: .99, Tokens: 200, Share: .2}}
	}
	if err := man.Write(dir); err != nil {
		t.Fatal(err)
	}
	return dir
}

// autoServing is a daemon that chooses its mode, and says what the whole model says to a
// question.
func autoServing(t *testing.T, board, whole, state, addr string) (s *serving, want func(*killQuestion) string) {
	t.Helper()
	s = startServing(t, board, state, "--mode", "auto", "--cloud", addr)
	awaitReady(t, s.socket)
	alone := startServing(t, whole, t.TempDir(), "--mode", "unsplit")
	awaitReady(t, alone.socket)
	s.awaitStatus(t, "connected", func(st status.Status) bool { return st.Link.Connected })
	return s, func(q *killQuestion) string {
		t.Helper()
		same := newQuestion("", q.most)
		same.seed, same.messages = q.seed, q.messages
		alone.ask(t, same, 0)
		return same.text
	}
}

// Once auto knows what board, link and cloud take it answers in the mode whose text is the
// whole model's, says why, and what the next best would take. Without a cloud and without
// the rest of the model the answer ends, and goes on in that mode.
func TestServeChoosesVerified(t *testing.T) {
	bundle, state, addr := measuredTiny(t), t.TempDir(), nodetest.FreePort(t)
	cloud := cloudAt(t, addr, bundle, state)
	s, want := autoServing(t, withoutRest(t, bundle), bundle, state, slowLink(t, addr))
	s.ask(t, newQuestion("", 40), 0) // of which it learns
	chosen := func(st status.Status) bool { return st.Outlook != nil && st.Outlook.Mode == "verified" }
	s.awaitStatus(t, "in mode verified", chosen)
	q := newQuestion("mid", 200)
	q.seed = 5
	s.ask(t, q, 20)
	st := s.status(t)
	if st.Mode != "verified" || st.Outlook.Why == "" || !slices.ContainsFunc(st.Outlook.Modes, func(m status.ModeOutlook) bool { return m.Mode == "verified" && m.TokenMS > 0 }) {
		t.Errorf("mode %s, %+v", st.Mode, st.Outlook)
	}
	if says := st.Outlook.Says(); !strings.Contains(says, "predicted: verified with") {
		t.Errorf("the status says of the prediction: %q", says)
	}
	cloud.signal(t, unix.SIGKILL)
	s.awaitStatus(t, "without a cloud", func(st status.Status) bool { return !st.Link.Connected })
	q.first = 0
	c := newKillClient(s.socket, 0)
	defer c.http.CloseIdleConnections()
	if err := c.answer(t.Context(), q); q.ended && q.text != want(q) || err != nil && !strings.Contains(err.Error(), "nothing on this board may speak in its place") {
		t.Errorf("lost in the middle, %d tokens: %v", q.index(), err)
	}
	cloudAt(t, addr, bundle, state)
	s.awaitStatus(t, "connected again", func(st status.Status) bool { return st.State == status.Ready && st.Link.Connected })
	for !q.ended {
		if err := c.answer(t.Context(), q); err != nil {
			t.Fatal(err)
		}
	}
	if q.text != want(q) || q.truth.Mode != "verified" {
		t.Errorf("mode %s: %q\nwant %q", q.truth.Mode, q.text, want(q))
	}
}

// With the whole model on the board too it is either of the two that answers, whichever is
// predicted to be the faster, and the board once the link is gone, in the middle of an answer
// too: the text is the same.
func TestServeChoosesTheBoard(t *testing.T) {
	bundle, state, addr := measuredTiny(t), t.TempDir(), nodetest.FreePort(t)
	cloud := cloudAt(t, addr, bundle, state)
	s, want := autoServing(t, bundle, bundle, state, slowLink(t, addr))
	s.ask(t, newQuestion("", 40), 0)
	exact := func(st status.Status) bool {
		return st.Outlook != nil && (st.Outlook.Mode == "verified" || st.Outlook.Mode == "unsplit")
	}
	s.awaitStatus(t, "in a mode that says the whole model's text", exact)
	q := newQuestion("mid", 200)
	q.seed = 5
	s.ask(t, q, 20)
	cloud.signal(t, unix.SIGKILL)
	q.first = 0
	s.ask(t, q, 0)
	if by := q.truth.Sources; q.text != want(q) || q.truth.Mode != "verified" || by["fallback"] > 0 || by["unsplit"] == 0 {
		t.Errorf("lost in the middle: %+v\n%q", q.truth, q.text)
	}
	s.awaitStatus(t, "with the board leading", func(st status.Status) bool {
		return st.Outlook != nil && st.Outlook.Mode == "unsplit" && st.Mode == "unsplit"
	})
	q = newQuestion("", 40)
	s.ask(t, q, 0)
	if by := q.truth.Sources; q.text != want(q) || by["unsplit"] != 40 {
		t.Errorf("without the link: %+v\n%q", q.truth, q.text)
	}
}
