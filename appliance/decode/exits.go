package decode

import (
	"time"

	"skerry/appliance/engine"
)

// speech is an exit's word on a position.
type speech struct {
	pos    int // 1 and up; 0: none
	ids    []int32
	logits []float32
	stats  engine.Stats
}

// best is the likeliest token.
func best(ids []int32, logits []float32) int32 {
	at := engine.Best(logits)
	if ids != nil {
		return ids[at]
	}
	return int32(at)
}

// exits asks the exits in turn and returns the first confident one's token. With
// last, the deepest exit speaks in any case; its Why then stays empty.
func (l *loop) exits(last bool) (t Token, sure bool, err error) {
	for i, source := range exitSources[:len(l.model.Exits)] {
		final := last && i == len(l.model.Exits)-1
		threshold := l.opt.threshold(i, l.model.Exits[i].Threshold)
		if !final && threshold > 1 { // never believed: not computed
			continue
		}
		if i > 0 && !last {
			l.askEarly()
		}
		s, err := l.hear(i)
		if err != nil {
			return t, false, err
		}
		sure = s.stats.Confidence >= threshold && l.allows(s)
		if !sure && !final {
			continue
		}
		t, err = l.speak(i, s, source)
		if sure {
			t.Why = Confident
			l.dropEarly()
		}
		return t, sure, err
	}
	return t, false, nil
}

var exitSources = [...]Source{Exit1, Exit2}

// deepestExit is the source of the deepest exit's tokens.
func (l *loop) deepestExit() Source { return exitSources[len(l.model.Exits)-1] }

// hear computes the word of exit i, counted from 0, on the last position. That
// of the deepest is kept: it may be wanted again, when the cloud does not answer.
func (l *loop) hear(i int) (s speech, err error) {
	pos, deepest := len(l.tokens), i == len(l.model.Exits)-1
	if deepest && l.deepest.pos == pos {
		return l.deepest, nil
	}
	hidden, err := l.hiddenAt(i)
	if err != nil {
		return s, err
	}
	start, head := time.Now(), l.model.Exits[i].Head
	logits, err := head.Logits(hidden)
	if err != nil {
		return s, err
	}
	s = speech{pos, head.Tokens(), logits, engine.Describe(logits)}
	l.headCost.Observe(1, time.Since(start))
	if deepest {
		l.deepest = s
	}
	return s, nil
}

// hiddenAt is the hidden state [n_embd] of the last position at exit i, counted
// from 0.
func (l *loop) hiddenAt(i int) ([]float32, error) {
	if i == 0 {
		return l.hidden, nil
	}
	return l.mid.at(l.late.ctx, len(l.tokens)-1)
}
