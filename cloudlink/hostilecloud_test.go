package cloudlink_test

import (
	"context"
	"errors"
	"math"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"skerry/cloudlink"
	"skerry/cloudlink/transport"
	"skerry/cloudlink/wire"
)

// scripted is a cloud that says what a test has it say. A nil function stands for
// what an honest cloud does.
type scripted struct {
	vocab int
	// hello is said in place of Welcome, opened in place of Opened, and answer in
	// place of an answer to an ask, or of the tokens of a generation.
	hello  func() []wire.Message
	opened func(*wire.Opened) []wire.Message
	answer func(a *wire.Ask, honest *wire.Answer) []wire.Message
	tokens func(g *wire.Generate) []wire.Message
	lead   func(m *wire.Lead) []wire.Message

	conns atomic.Int64
}

func (c *scripted) serve(ctx context.Context, ln transport.Listener) {
	var wg sync.WaitGroup
	defer wg.Wait()
	for {
		conn, err := ln.Accept(ctx)
		if err != nil {
			return
		}
		c.conns.Add(1)
		wg.Go(func() {
			defer conn.Close(transport.CodeShutdown, "")
			c.connection(ctx, conn)
		})
	}
}

func (c *scripted) connection(ctx context.Context, conn transport.Conn) {
	var wg sync.WaitGroup
	defer wg.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	context.AfterFunc(conn.Context(), cancel)
	wg.Go(func() {
		for {
			up, err := conn.AcceptUniStream(ctx)
			if err != nil {
				return
			}
			wg.Go(func() {
				for r := wire.NewReader(up, 0); ; {
					if _, err := r.Next(); err != nil {
						return
					}
				}
			})
		}
	})
	for {
		s, err := conn.AcceptStream(ctx, transport.UrgencyAsk)
		if err != nil {
			return
		}
		wg.Go(func() { c.stream(s) })
	}
}

func (c *scripted) stream(s transport.Stream) {
	say := func(msgs ...wire.Message) {
		for _, m := range msgs {
			if p, ok := m.(pause); ok {
				time.Sleep(p.d)
				continue
			}
			if _, dies := m.(death); dies {
				s.Close()
				return
			}
			b, err := wire.Append(nil, m)
			if raw, ok := m.(rawFrame); ok {
				b, err = raw.bytes, nil
			}
			if err != nil {
				panic(err)
			}
			s.Write(b)
		}
	}
	for r := wire.NewReader(s, 0); ; {
		m, err := r.Next()
		if err != nil {
			return
		}
		switch m := m.(type) {
		case *wire.Hello:
			if c.hello != nil {
				say(c.hello()...)
				continue
			}
			say(&wire.Welcome{Protocol: wire.Protocol})
		case *wire.Ping:
			say(&wire.Pong{Number: m.Number})
		case *wire.Open:
			honest := &wire.Opened{Ref: m.Ref, Context: 400, Protocol: wire.Protocol}
			honest.Position = 0
			if c.opened != nil {
				say(c.opened(honest)...)
				continue
			}
			say(honest)
		case *wire.Ask:
			honest := c.honest(m)
			if c.answer != nil {
				say(c.answer(m, honest)...)
				continue
			}
			say(honest)
		case *wire.Generate:
			if c.tokens != nil {
				say(c.tokens(m)...)
			}
		case *wire.Lead:
			if c.lead != nil {
				say(c.lead(m)...)
			}
		}
	}
}

// honest is a whole row of falling logits, or the best of it.
func (c *scripted) honest(a *wire.Ask) *wire.Answer {
	n := c.vocab
	if a.TopK > 0 {
		n = min(n, int(a.TopK))
	}
	var ids []int32
	logits := make([]float32, n)
	for i := range logits {
		logits[i] = float32(-i)
		if a.TopK > 0 {
			ids = append(ids, int32(i))
		}
	}
	m := wire.NewAnswer(a, ids, logits)
	m.LogSumExp, m.Rows, m.Compute = 0.5, 1, 1000
	return m
}

// rawFrame is bytes where a message is wanted.
type rawFrame struct {
	wire.Message
	bytes []byte
}

// pause is a time between two messages.
type pause struct {
	wire.Message
	d time.Duration
}

// death is the end of a stream in place of what should follow.
type death struct{ wire.Message }

func raw(b ...byte) wire.Message { return rawFrame{&wire.Pong{}, b} }

// inScriptedWorld runs f in virtual time with a link to a scripted cloud.
func inScriptedWorld(t *testing.T, cloud *scripted, f func(t *testing.T, w *linkWorld)) {
	t.Helper()
	serverTLS, clientTLS, err := cloudlink.DevTLS(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		w, ln := newLinkWorld(t, 5*time.Millisecond, serverTLS, clientTLS)
		var wg sync.WaitGroup
		ctx, cancel := context.WithCancel(t.Context())
		wg.Go(func() { cloud.serve(ctx, ln) })
		defer wg.Wait()
		defer ln.Close()
		defer cancel()
		f(t, w)
	})
}

const scriptedVocab = 100

// open opens a session of three rows on a new link.
func (w *linkWorld) open(t *testing.T, tokens bool) (*cloudlink.Link, *cloudlink.Session) {
	t.Helper()
	l := cloudlink.NewLink(w.conf)
	s, err := l.OpenSession(t.Context(), cloudlink.SessionOptions{
		Bundle: w.bundle, Width: 8, Context: 400, Vocabulary: scriptedVocab, Tokens: tokens,
	})
	if err == nil && tokens {
		err = s.AppendTokens(0, []int32{1, 2})
	} else if err == nil {
		err = s.Append(0, make([]float32, 8*3))
	}
	if err != nil {
		t.Fatal(err)
	}
	return l, s
}

// asks asks until the link is up and something comes of it.
func asks(t *testing.T, s *cloudlink.Session, topK int) (cloudlink.Answer, error) {
	t.Helper()
	for start := time.Now(); ; time.Sleep(20 * time.Millisecond) {
		a, err := s.Ask(t.Context(), 2, topK)
		if err == nil || errors.Is(err, cloudlink.ErrProtocol) || !errors.Is(err, cloudlink.ErrLost) || time.Since(start) > 10*time.Second {
			return a, err
		}
	}
}

func one(m wire.Message) []wire.Message { return []wire.Message{m} }

// TestHostileAnswers: an answer that no honest cloud gives ends the session with a
// typed error, is counted, and counts as a lost cloud; the connection stays, and a
// cloud that has come to its senses is asked again.
func TestHostileAnswers(t *testing.T) {
	nan, inf := float32(math.NaN()), float32(math.Inf(1))
	again := func(a *wire.Ask, honest *wire.Answer, ids []int32, logits []float32) *wire.Answer {
		m := wire.NewAnswer(a, ids, logits)
		m.LogSumExp, m.Rows = honest.LogSumExp, honest.Rows
		return m
	}
	with := func(change func(*wire.Answer)) func(a *wire.Ask, m *wire.Answer) []wire.Message {
		return func(a *wire.Ask, m *wire.Answer) []wire.Message {
			change(m)
			return one(m)
		}
	}
	made := func(ids []int32, logits ...float32) func(a *wire.Ask, m *wire.Answer) []wire.Message {
		return func(a *wire.Ask, m *wire.Answer) []wire.Message { return one(again(a, m, ids, logits)) }
	}
	for _, c := range []struct {
		name   string
		topK   int
		answer func(a *wire.Ask, honest *wire.Answer) []wire.Message
	}{
		{"an id far beyond the vocabulary", 2, made([]int32{1 << 30, 1}, 0, -1)},
		{"an id one beyond the vocabulary", 2, made([]int32{scriptedVocab, 1}, 0, -1)},
		{"a negative id", 2, made([]int32{-5, 1}, 0, -1)},
		{"an id twice", 2, made([]int32{5, 5}, 0, -1)},
		{"an id twice, equal logits", 2, made([]int32{5, 5}, 0, 0)},
		{"rising logits", 2, made([]int32{5, 6}, -1, 0)},
		{"ties by falling id", 2, made([]int32{6, 5}, 0, 0)},
		{"nothing", 2, made(nil)},
		{"fewer than asked", 2, made([]int32{5}, 0)},
		{"more than asked", 2, made([]int32{5, 6, 7}, 0, -1, -2)},
		{"many more than asked", 2, func(a *wire.Ask, m *wire.Answer) []wire.Message {
			ids, logits := make([]int32, 60000), make([]float32, 60000)
			for i := range ids {
				ids[i], logits[i] = int32(i), -float32(i)
			}
			return one(again(a, m, ids, logits))
		}},
		{"a row for candidates", 2, func(a *wire.Ask, m *wire.Answer) []wire.Message {
			return one(again(a, m, nil, make([]float32, scriptedVocab)))
		}},
		{"candidates for a row", 0, made([]int32{5, 6}, 0, -1)},
		{"an empty row", 0, made(nil)},
		{"a short row", 0, made(nil, 1, 2, 3)},
		{"a long row", 0, func(a *wire.Ask, m *wire.Answer) []wire.Message {
			return one(again(a, m, nil, make([]float32, 20*scriptedVocab)))
		}},
		{"a row one too long", 0, func(a *wire.Ask, m *wire.Answer) []wire.Message {
			return one(again(a, m, nil, make([]float32, scriptedVocab+1)))
		}},
		{"logits that are no numbers", 2, made([]int32{5, 6}, nan, nan)},
		{"an infinite logit", 2, made([]int32{5, 6}, inf, 0)},
		{"infinitely small logits", 0, func(a *wire.Ask, m *wire.Answer) []wire.Message {
			row := make([]float32, scriptedVocab)
			for i := range row {
				row[i] = -inf
			}
			return one(again(a, m, nil, row))
		}},
		{"a sum that is no number", 2, with(func(m *wire.Answer) { m.LogSumExp = math.NaN() })},
		{"a sum below the largest logit", 2, with(func(m *wire.Answer) { m.LogSumExp = -3 })},
		{"a sum above what the vocabulary allows", 2, with(func(m *wire.Answer) { m.LogSumExp = 10 })},
		{"an age of queueing", 2, with(func(m *wire.Answer) { m.Queue = 1 << 63 })},
		{"an age of computing", 2, with(func(m *wire.Answer) { m.Compute = math.MaxUint64 })},
		{"more rows than there are", 2, with(func(m *wire.Answer) { m.Rows = 1 << 20 })},
		{"another position", 2, with(func(m *wire.Answer) { m.Position = 1 })},
		{"a position beyond all", 2, with(func(m *wire.Answer) { m.Position = math.MaxUint64 })},
		{"another epoch", 2, with(func(m *wire.Answer) { m.Epoch += 7 })},
		{"another session", 2, with(func(m *wire.Answer) { m.Session[0]++ })},
		{"a token", 2, func(a *wire.Ask, m *wire.Answer) []wire.Message {
			return one(&wire.Token{Ref: a.Ref, Serial: a.Serial, ID: 1})
		}},
		{"terms again", 2, func(a *wire.Ask, m *wire.Answer) []wire.Message {
			return one(&wire.Opened{Ref: a.Ref, Context: 400})
		}},
		{"a message of the other side", 2, func(a *wire.Ask, m *wire.Answer) []wire.Message { return one(a) }},
		{"a control message", 2, func(a *wire.Ask, m *wire.Answer) []wire.Message { return one(&wire.Drain{}) }},
		{"no frame at all", 2, func(a *wire.Ask, m *wire.Answer) []wire.Message { return one(raw(0x7f, 0xff, 0xff, 0xff)) }},
		{"a frame over every limit", 2, func(a *wire.Ask, m *wire.Answer) []wire.Message {
			return one(raw(byte(wire.TypeAnswer), 0xbf, 0xff, 0xff, 0xff, 0x00))
		}},
		{"an error without a code", 2, func(a *wire.Ask, m *wire.Answer) []wire.Message {
			return one(&wire.Error{Ref: a.Ref, Serial: a.Serial})
		}},
		{"a retry in an age", 2, func(a *wire.Ask, m *wire.Answer) []wire.Message {
			return one(&wire.Error{Ref: a.Ref, Serial: a.Serial, Code: wire.CodeBusy, RetryAfter: math.MaxUint64})
		}},
		{"an epoch that leaves none", 2, func(a *wire.Ask, m *wire.Answer) []wire.Message {
			return one(&wire.Error{Ref: a.Ref, Code: wire.CodeStale, Fatal: true, Highest: math.MaxUint64})
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var evil atomic.Bool
			evil.Store(true)
			cloud := &scripted{vocab: scriptedVocab, answer: func(a *wire.Ask, m *wire.Answer) []wire.Message {
				if evil.Load() {
					return c.answer(a, m)
				}
				return one(m)
			}}
			inScriptedWorld(t, cloud, func(t *testing.T, w *linkWorld) {
				l, s := w.open(t, false)
				defer l.Close()
				a, err := asks(t, s, c.topK)
				if !errors.Is(err, cloudlink.ErrProtocol) || !errors.Is(err, cloudlink.ErrLost) || !errors.As(err, new(*cloudlink.ProtocolError)) {
					t.Fatalf("answered %+v, %v", a, err)
				}
				t.Log(err)
				time.Sleep(time.Second)
				if st := l.Status(); st.Breaches != 1 || st.LastBreach == "" || !st.Connected {
					t.Errorf("%+v", st)
				}
				if _, err := s.Ask(t.Context(), 2, c.topK); !errors.Is(err, cloudlink.ErrLost) {
					t.Errorf("asked at once again: %v", err)
				}
				evil.Store(false)
				time.Sleep(time.Minute)
				if _, err := s.Ask(t.Context(), 2, c.topK); err != nil {
					t.Errorf("asked once it is honest: %v", err)
				}
				if n := cloud.conns.Load(); n != 1 {
					t.Errorf("%d connections", n)
				}
			})
		})
	}
}

// TestHonestAnswers are at the edge of what is taken.
func TestHonestAnswers(t *testing.T) {
	for name, change := range map[string]func(*wire.Answer){
		"as it is":            func(*wire.Answer) {},
		"a sum in float32":    func(m *wire.Answer) { m.LogSumExp = -1e-4 },
		"equal logits":        func(m *wire.Answer) { m.Logits[1] = m.Logits[0] },
		"all alike":           func(m *wire.Answer) { m.LogSumExp = math.Log(scriptedVocab) },
		"half an hour in all": func(m *wire.Answer) { m.Queue, m.Compute = 9e8, 9e8 },
	} {
		t.Run(name, func(t *testing.T) {
			cloud := &scripted{vocab: scriptedVocab, answer: func(a *wire.Ask, m *wire.Answer) []wire.Message {
				change(m)
				return one(m)
			}}
			inScriptedWorld(t, cloud, func(t *testing.T, w *linkWorld) {
				l, s := w.open(t, false)
				defer l.Close()
				for _, topK := range []int{1, 2, 40, 1000, 0} {
					if topK == 1 && name == "equal logits" {
						continue
					}
					a, err := asks(t, s, topK)
					if err != nil || len(a.Candidates) != min(topK, scriptedVocab) || topK == 0 && len(a.Row) != scriptedVocab {
						t.Errorf("top %d: %d candidates, a row of %d, %v", topK, len(a.Candidates), len(a.Row), err)
					}
				}
				if st := l.Status(); st.Breaches != 0 {
					t.Errorf("%+v", st)
				}
			})
		})
	}
}

// TestHostileTerms: terms that were not offered end the session.
func TestHostileTerms(t *testing.T) {
	for name, change := range map[string]func(*wire.Opened){
		"an encoding not offered": func(m *wire.Opened) { m.Encoding = wire.Q8_0 },
		"an encoding of integers": func(m *wire.Opened) { m.Encoding = wire.I32 },
		"an unknown encoding":     func(m *wire.Opened) { m.Encoding = 4711 },
		"a protocol to come":      func(m *wire.Opened) { m.Protocol = 77 },
		"no context":              func(m *wire.Opened) { m.Context = 0 },
		"a context beyond all":    func(m *wire.Opened) { m.Context = 1 << 40 },
		"a position beyond all":   func(m *wire.Opened) { m.Position = 1 << 40 },
		"another session":         func(m *wire.Opened) { m.Session[3]++ },
	} {
		t.Run(name, func(t *testing.T) {
			cloud := &scripted{vocab: scriptedVocab, opened: func(m *wire.Opened) []wire.Message {
				change(m)
				return one(m)
			}}
			inScriptedWorld(t, cloud, func(t *testing.T, w *linkWorld) {
				l, s := w.open(t, false)
				defer l.Close()
				if a, err := asks(t, s, 2); !errors.Is(err, cloudlink.ErrProtocol) {
					t.Errorf("answered %+v, %v", a, err)
				}
				time.Sleep(time.Second)
				if st := l.Status(); st.Breaches == 0 || !st.Connected {
					t.Errorf("%+v", st)
				}
			})
		})
	}
}

// TestHostileTokens: a generation's tokens are checked as answers are.
func TestHostileTokens(t *testing.T) {
	for name, make := range map[string]func(g *wire.Generate) wire.Message{
		"a token beyond the vocabulary": func(g *wire.Generate) wire.Message {
			return &wire.Token{Ref: g.Ref, Serial: g.Serial, ID: scriptedVocab}
		},
		"a negative token": func(g *wire.Generate) wire.Message {
			return &wire.Token{Ref: g.Ref, Serial: g.Serial, ID: -1}
		},
		"a confidence above 1": func(g *wire.Generate) wire.Message {
			return &wire.Token{Ref: g.Ref, Serial: g.Serial, Confidence: 1.5}
		},
		"a confidence that is no number": func(g *wire.Generate) wire.Message {
			return &wire.Token{Ref: g.Ref, Serial: g.Serial, Confidence: math.NaN()}
		},
		"a negative margin": func(g *wire.Generate) wire.Message {
			return &wire.Token{Ref: g.Ref, Serial: g.Serial, Margin: -1}
		},
		"an unknown end": func(g *wire.Generate) wire.Message {
			return &wire.Token{Ref: g.Ref, Serial: g.Serial, Stop: 9}
		},
		"another position": func(g *wire.Generate) wire.Message {
			ref := g.Ref
			ref.Position += 5
			return &wire.Token{Ref: ref, Serial: g.Serial}
		},
		"logits": func(g *wire.Generate) wire.Message {
			a := wire.NewAsk(g.Ref, g.Serial, 1, nil)
			return wire.NewAnswer(a, []int32{1}, []float32{0})
		},
	} {
		t.Run(name, func(t *testing.T) {
			cloud := &scripted{vocab: scriptedVocab, tokens: func(g *wire.Generate) []wire.Message { return one(make(g)) }}
			inScriptedWorld(t, cloud, func(t *testing.T, w *linkWorld) {
				l, s := w.open(t, true)
				defer l.Close()
				for l.Client() == nil {
					time.Sleep(time.Millisecond)
				}
				err := s.Generate(t.Context(), []int32{3}, 10, true, func(int32, float64, float64) bool { return true })
				if !errors.Is(err, cloudlink.ErrProtocol) || !errors.Is(err, cloudlink.ErrLost) {
					t.Errorf("%v", err)
				}
				if st := l.Status(); st.Breaches != 1 {
					t.Errorf("%+v", st)
				}
			})
		})
	}
}

// TestHostileControl: what breaks the protocol on the control stream ends the
// connection, which is not dialled again at once.
func TestHostileControl(t *testing.T) {
	welcome := &wire.Welcome{Protocol: wire.Protocol}
	for name, msgs := range map[string][]wire.Message{
		"a protocol to come":         {&wire.Welcome{Protocol: 77}},
		"no protocol":                {&wire.Welcome{}},
		"a second hello":             {welcome, welcome},
		"an answer to no probe":      {welcome, &wire.Pong{Number: 1 << 40}},
		"an age of grace":            {welcome, &wire.Drain{Grace: math.MaxUint64}},
		"a receipt of another epoch": {welcome, &wire.Receipt{Ref: wire.Ref{Epoch: 1 << 40}}},
		"a message of the board":     {welcome, &wire.Status{}},
		"an answer":                  {welcome, &wire.Answer{}},
		"no frame at all":            {welcome, raw(0x7f, 0xff)},
		"a time beyond all":          {welcome, &wire.Receipt{Ref: wire.Ref{Epoch: 1}, Time: math.MaxUint64}},
	} {
		t.Run(name, func(t *testing.T) {
			cloud := &scripted{vocab: scriptedVocab, hello: func() []wire.Message { return msgs }}
			inScriptedWorld(t, cloud, func(t *testing.T, w *linkWorld) {
				l, s := w.open(t, false)
				defer l.Close()
				time.Sleep(time.Minute)
				st := l.Status()
				if st.Connected || st.Breaches != 1 || !st.Refused || !strings.Contains(st.LastError, "breaks the protocol") {
					t.Errorf("%+v", st)
				}
				if _, err := s.Ask(t.Context(), 2, 1); !errors.Is(err, cloudlink.ErrLost) {
					t.Error(err)
				}
				if err := l.Fetch(t.Context(), cloudlink.Fetch{File: "board-1.gguf"}); !errors.Is(err, cloudlink.ErrProtocol) || errors.Is(err, cloudlink.ErrUnauthorized) {
					t.Errorf("a fetch: %v", err)
				}
			})
		})
	}
}

// TestSentOnForEver: a cloud that sends a board elsewhere again and again, also where it is to take
// it, is dialled no more often than one that does not let it in.
func TestSentOnForEver(t *testing.T) {
	for _, owner := range []string{"", "192.0.2.2:2", "192.0.2.2:3"} {
		cloud := &scripted{hello: func() []wire.Message {
			return one(&wire.Error{Code: wire.CodeNotOwner, Owner: owner, Text: "another has it"})
		}}
		inScriptedWorld(t, cloud, func(t *testing.T, w *linkWorld) {
			l := cloudlink.NewLink(w.conf)
			defer l.Close()
			time.Sleep(time.Minute)
			if n := cloud.conns.Load(); n < 2 || n > 25 {
				t.Errorf("sent to %q, it was dialled %d times in a minute", owner, n)
			}
			if st := l.Status(); st.Connected || st.LastError == "" {
				t.Errorf("%+v", st)
			}
		})
	}
}

// TestHostileReceipts: a receipt of what was never sent ends the session.
func TestHostileReceipts(t *testing.T) {
	for name, change := range map[string]func(*wire.Receipt){
		"more positions than there are": func(r *wire.Receipt) { r.Position = 4 },
		"a branch that was never made":  func(r *wire.Receipt) { r.Branch = 1 << 20 },
		"more bytes than were sent":     func(r *wire.Receipt) { r.Bytes = 1 << 40 },
	} {
		t.Run(name, func(t *testing.T) {
			var id atomic.Pointer[wire.SessionID]
			cloud := &scripted{vocab: scriptedVocab}
			cloud.hello = func() []wire.Message {
				time.Sleep(time.Second) // until the session is known
				r := &wire.Receipt{Ref: wire.Ref{Epoch: 1, Session: *id.Load()}}
				change(r)
				// The session is attached once there is a welcome.
				return []wire.Message{&wire.Welcome{Protocol: wire.Protocol}, pause{d: time.Second}, r}
			}
			inScriptedWorld(t, cloud, func(t *testing.T, w *linkWorld) {
				l, s := w.open(t, false)
				defer l.Close()
				known := s.ID()
				id.Store(&known)
				time.Sleep(5 * time.Second)
				w.answer(t, s, 2) // which the session is attached again for
				if st := l.Status(); st.Breaches != 1 || !st.Connected || s.Stats().Resumed == 0 {
					t.Errorf("%+v, %d times attached again", st, s.Stats().Resumed)
				}
			})
		})
	}
}
