package cloudlink_test

import (
	"context"
	"errors"
	"math"
	"runtime"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"skerry/cloudlink"
	"skerry/cloudlink/wire"
)

// ledBy are n tokens of a Lead, from so many behind its beginning on: each is its position.
func ledBy(m *wire.Lead, behind, n int) *wire.Led {
	out := &wire.Led{Ref: m.Ref, Serial: m.Serial, Checks: 1, Drafted: uint32(n), Accepted: uint32(n)}
	out.Position += uint64(behind)
	for i := range n {
		out.IDs = append(out.IDs, int32(out.Position)+1+int32(i))
		out.Confidence, out.Margin, out.Logprob = append(out.Confidence, 0.5), append(out.Margin, 1), append(out.Logprob, -0.5)
	}
	return out
}

// follow collects what is led for so many tokens, and whether it is what ledBy says.
func follow(ctx context.Context, s *cloudlink.Session, most int) (ids []int32, err error) {
	err = s.Lead(ctx, cloudlink.LeadOptions{Max: most, Begin: 2}, func(tokens []cloudlink.LedToken, _ cloudlink.LedChecks) bool {
		for _, t := range tokens {
			ids = append(ids, t.ID)
		}
		return true
	})
	return ids, err
}

// openToLead opens a session that is connected.
func openToLead(t *testing.T, w *linkWorld) (*cloudlink.Link, *cloudlink.Session) {
	t.Helper()
	l, s := w.open(t, true)
	for l.Client() == nil {
		time.Sleep(time.Millisecond)
	}
	return l, s
}

// isText checks that tokens are those of positions from 2 on.
func isText(t *testing.T, ids []int32) {
	t.Helper()
	for i, id := range ids {
		if id != int32(2+i) {
			t.Errorf("token %d is %d of %v", i, id, ids)
			return
		}
	}
}

// TestHostileLead: tokens that no honest cloud says by itself end the session with a typed error,
// after those that were right; nothing of them is in the text.
func TestHostileLead(t *testing.T) {
	with := func(change func(*wire.Led)) func(m *wire.Lead) []wire.Message {
		return func(m *wire.Lead) []wire.Message {
			wrong := ledBy(m, 3, 3)
			change(wrong)
			return []wire.Message{ledBy(m, 0, 3), wrong}
		}
	}
	for name, lead := range map[string]func(m *wire.Lead) []wire.Message{
		"a position left out":  with(func(l *wire.Led) { l.Position++ }),
		"a position before":    with(func(l *wire.Led) { l.Position = 0 }),
		"a position far ahead": with(func(l *wire.Led) { l.Position = 1 << 40 }),
		"the same once more":   func(m *wire.Lead) []wire.Message { return []wire.Message{ledBy(m, 0, 3), ledBy(m, 0, 3)} },
		"the later ones first": func(m *wire.Lead) []wire.Message {
			return []wire.Message{ledBy(m, 0, 3), ledBy(m, 6, 3), ledBy(m, 3, 3)}
		},
		"a token of no vocabulary":       with(func(l *wire.Led) { l.IDs[1] = scriptedVocab }),
		"a token below all":              with(func(l *wire.Led) { l.IDs[2] = -1 }),
		"fewer confidences":              with(func(l *wire.Led) { l.Confidence = l.Confidence[:1] }),
		"more margins":                   with(func(l *wire.Led) { l.Margin = append(l.Margin, 1) }),
		"no probabilities":               with(func(l *wire.Led) { l.Logprob = nil }),
		"a confidence above 1":           with(func(l *wire.Led) { l.Confidence[0] = 1.5 }),
		"a margin that is no number":     with(func(l *wire.Led) { l.Margin[0] = float32(math.NaN()) }),
		"a probability above 1":          with(func(l *wire.Led) { l.Logprob[0] = 1 }),
		"no tokens and no end":           with(func(l *wire.Led) { l.IDs, l.Confidence, l.Margin, l.Logprob = nil, nil, nil, nil }),
		"more than were wanted":          func(m *wire.Lead) []wire.Message { return []wire.Message{ledBy(m, 0, 3), ledBy(m, 3, int(m.Max)-2)} },
		"more than may be under way":     func(m *wire.Lead) []wire.Message { return []wire.Message{ledBy(m, 0, 3), ledBy(m, 3, int(m.Window))} },
		"more drafts accepted than made": with(func(l *wire.Led) { l.Accepted = l.Drafted + 1 }),
		"an unknown end":                 with(func(l *wire.Led) { l.Stop = 9 }),
		"a token of a generation": func(m *wire.Lead) []wire.Message {
			return []wire.Message{ledBy(m, 0, 3), &wire.Token{Ref: ledBy(m, 3, 1).Ref, Serial: m.Serial}}
		},
		"logits": func(m *wire.Lead) []wire.Message {
			return []wire.Message{ledBy(m, 0, 3), wire.NewAnswer(wire.NewAsk(ledBy(m, 3, 1).Ref, m.Serial, 1, nil), []int32{1}, []float32{0})}
		},
		"another epoch": with(func(l *wire.Led) { l.Epoch += 5 }),
	} {
		t.Run(name, func(t *testing.T) {
			cloud := &scripted{vocab: scriptedVocab, lead: lead}
			inScriptedWorld(t, cloud, func(t *testing.T, w *linkWorld) {
				l, s := openToLead(t, w)
				defer l.Close()
				most := 200
				if name == "more than were wanted" {
					most = 20
				}
				ids, err := follow(t.Context(), s, most)
				if !errors.Is(err, cloudlink.ErrProtocol) || !errors.Is(err, cloudlink.ErrLost) {
					t.Errorf("%v after %v", err, ids)
				}
				if isText(t, ids); len(ids) > 3 {
					t.Errorf("%d tokens were taken", len(ids))
				}
				if st := l.Status(); st.Breaches != 1 {
					t.Errorf("%+v", st)
				}
			})
		})
	}
}

// TestLeadOfAnother: tokens of another request or branch, and those that come after the board has
// gone on, are no breach and no part of the text.
func TestLeadOfAnother(t *testing.T) {
	cloud := &scripted{vocab: scriptedVocab, lead: func(m *wire.Lead) []wire.Message {
		other, branch, end := ledBy(m, 0, 5), ledBy(m, 0, 5), ledBy(m, 3, 3)
		other.Serial += 100
		branch.Branch += 7
		end.Stop = wire.StopMax
		return []wire.Message{other, branch, ledBy(m, 0, 3), other, end, ledBy(m, 6, 3), ledBy(m, 0, 3)}
	}}
	inScriptedWorld(t, cloud, func(t *testing.T, w *linkWorld) {
		l, s := openToLead(t, w)
		defer l.Close()
		ids, err := follow(t.Context(), s, 6)
		if isText(t, ids); err != nil || len(ids) != 6 {
			t.Errorf("%v, %v", ids, err)
		}
		time.Sleep(time.Second)
		if st := l.Status(); st.Breaches != 0 || !st.Connected {
			t.Errorf("%+v", st)
		}
	})
}

// TestLeadDies: a cloud whose stream ends in the midst of what it says is asked to go on from
// where it was heard last, and the text has no hole and nothing twice.
func TestLeadDies(t *testing.T) {
	cloud := &scripted{vocab: scriptedVocab, lead: func(m *wire.Lead) []wire.Message {
		if m.Max <= 3 {
			last := ledBy(m, 0, int(m.Max))
			last.Stop = wire.StopMax
			return one(last)
		}
		return []wire.Message{ledBy(m, 0, 3), death{}}
	}}
	inScriptedWorld(t, cloud, func(t *testing.T, w *linkWorld) {
		l, s := openToLead(t, w)
		defer l.Close()
		var ids []int32
		for tries := 0; len(ids) < 20 && tries < 40; tries++ {
			more, err := follow(t.Context(), s, 20-len(ids))
			if ids = append(ids, more...); err != nil && !errors.Is(err, cloudlink.ErrLost) {
				t.Fatalf("%v, %v", ids, err)
			}
			time.Sleep(time.Minute)
		}
		if isText(t, ids); len(ids) != 20 {
			t.Errorf("%v", ids)
		}
	})
}

// TestLeadFloods: whatever a cloud says in place of an answer, as much as it likes, the board keeps
// no more of it than it has asked for.
func TestLeadFloods(t *testing.T) {
	var sent atomic.Int64
	cloud := &scripted{vocab: scriptedVocab, lead: func(m *wire.Lead) []wire.Message {
		other := ledBy(m, 0, wire.MaxWindow)
		for i := range other.IDs {
			other.IDs[i] = int32(i % scriptedVocab)
		}
		other.Serial += 100 // of nobody
		last := ledBy(m, 0, 1)
		last.Stop = wire.StopMax
		sent.Add(2000)
		return append(slices.Repeat(one(other), 2000), last)
	}}
	inScriptedWorld(t, cloud, func(t *testing.T, w *linkWorld) {
		l, s := openToLead(t, w)
		defer l.Close()
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		ids, err := follow(t.Context(), s, 1)
		runtime.GC()
		runtime.ReadMemStats(&after)
		if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); err != nil || len(ids) != 1 || sent.Load() != 2000 || grown > 16<<20 {
			t.Errorf("%v, %v, and %d bytes more are held after %d messages of nobody", ids, err, grown, sent.Load())
		}
	})
}
