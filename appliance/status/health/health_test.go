package health

import (
	"flag"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode"

	"pgregory.net/rapid"

	"skerry/appliance/status"
	"skerry/appliance/status/statustest"
	_ "skerry/build/testseed" // of rapid
)

// fakeClock tells the time it is set to.
type fakeClock struct{ at time.Time }

func (c *fakeClock) now() time.Time { return c.at }

func newTracker() (*Tracker, *fakeClock) {
	c := &fakeClock{statustest.Now}
	return NewTracker(c.now), c
}

func codes(active []status.Problem) (codes []string) {
	for _, p := range active {
		codes = append(codes, p.Code)
	}
	return codes
}

// calm is a status with nothing wrong.
func calm() status.Status {
	s := statustest.Calm()
	s.Health = nil
	return s
}

// ills make a status have a problem, and no other that hides it.
var ills = map[*Problem]func(*status.Status){
	ClockWrong: func(s *status.Status) { s.Time = time.Date(1970, 1, 1, 0, 3, 0, 0, time.UTC) },
	UnderVoltage: func(s *status.Status) {
		s.Board.Throttled, s.Board.ThrottledBy = "under-voltage", []string{"under-voltage"}
	},
	SensorFailed: func(s *status.Status) {
		s.Board.SensorErrors = []status.SensorError{{Kind: "fan", Err: "read /sys/class/hwmon/hwmon0/fan1_input: input/output error"}}
	},
	TooHot:         func(s *status.Status) { s.Board.Sensors = []status.Sensor{{Name: "soc", Value: 84, Unit: "°C"}} },
	Throttled:      func(s *status.Status) { s.Board.Throttled = "power limit: the voltage is well" },
	Unable:         func(s *status.Status) { s.State, s.Unable = status.Unable, "the cloud cannot be asked" },
	ExitsAlone:     func(s *status.Status) { s.Mode = "standalone" },
	MemoryLow:      func(s *status.Status) { s.Board.MemoryFree = 100 << 20 },
	DiskFailing:    func(s *status.Status) { s.Storage.Err, s.Storage.ErrCode = "write skerry.db: broken", status.DiskFails },
	DiskFull:       func(s *status.Status) { s.Storage.FreeBytes = 1 << 20 },
	DiskNearlyFull: func(s *status.Status) { s.Storage.FreeBytes = 500 << 20 },
	DatabaseWrite: func(s *status.Status) {
		s.Storage.Err = "another process has it: no space left on device, input/output error"
	},
	DatabaseSetAside: func(s *status.Status) { s.Storage.SetAside = "/var/lib/skerry/skerry.db.damaged-1" },
	DatabaseUnerased: func(s *status.Status) { s.Storage.Unerased = "compact skerry.db: no room" },
	ModelMissing:     func(s *status.Status) { s.State, s.Model = status.NoModel, nil },
	TemplateFailed:   func(s *status.Status) { s.Model.TemplateError = "chat template: line 3: it cannot be rendered" },
	KernelsPortable:  func(s *status.Status) { s.Kernels.Portable = true },
	GPUNotUsed: func(s *status.Status) {
		s.Kernels.GPUNot = "libggml-cuda.so is not used: no driver of NVIDIA is installed"
	},
	NotCalibrated:       func(s *status.Status) { s.Model.Exits = []status.Exit{{Block: 10, Threshold: 0.8}} },
	NoNetwork:           func(s *status.Status) { s.Board.Addresses, s.Link.Connected = nil, false },
	CertificateExpired:  func(s *status.Status) { s.Link.Expires, s.Link.Connected = s.Time.Add(-time.Hour), false },
	CertificateExpiring: func(s *status.Status) { s.Link.Expires = s.Time.Add(5 * 24 * time.Hour) },
	CloudRefuses: func(s *status.Status) {
		s.Link.Connected, s.Link.Refusal, s.Link.LastError = false, "unauthorized", "cloud c:7537: cloud answers unauthorized: unknown device"
	},
	BoardRevoked: func(s *status.Status) {
		s.Link.Connected, s.Link.Refusal, s.Link.LastError = false, "revoked", "cloud answers revoked: device pi"
	},
	CloudBundle: func(s *status.Status) {
		s.Link.State, s.Link.Refusal, s.Link.RefusalText, s.Link.Pull = "refused", "unknown bundle", "it has smol", "skerry model pull cloud:smol"
	},
	CloudLacksLoaded: func(s *status.Status) {
		s.Models = append(s.Models, status.Model{Name: "qwen", State: status.Ready, CloudLacks: "the cloud lacks this model; it has smol"})
	},
	CloudBusy: func(s *status.Status) {
		s.Link.Connected, s.Link.Refusal, s.Link.RefusalText = true, "busy", "64 contexts"
	},
	CloudProtocol: func(s *status.Status) {
		s.Link.Breaches, s.Link.Breach, s.Link.BreachAt = 3, "the cloud breaks the protocol: token 7 of a vocabulary of 5", s.Time.Add(-time.Minute)
	},
	CloudSilent: func(s *status.Status) { s.Link.Unanswered, s.Link.UnansweredAt = 2, s.Time.Add(-time.Minute) },
	BudgetSpent: func(s *status.Status) { s.Link.BytesUp = s.Link.Budget },
	BudgetHalf:  func(s *status.Status) { s.Link.BytesUp = s.Link.Budget / 2 },
	LinkDown: func(s *status.Status) {
		s.Link.Connected, s.Link.LastError = false, "the words cloud answers unauthorized and busy mean nothing here"
	},
	LinkPoor:   func(s *status.Status) { s.Link.State, s.Link.Reason = "poor", "link poor: rtt 212 ms, loss 7.5 %" },
	UDPBlocked: func(s *status.Status) { s.Link.Transport = "tcp" },
	MayNothing: func(s *status.Status) { s.Link.May = "nothing" },
	AnswerStalled: func(s *status.Status) {
		s.Model = &status.Model{Parallel: 2}
		s.Sessions = []status.Session{{ID: "a", State: "decoding", StalledS: 47}}
	},
	UpdateFailed: func(s *status.Status) {
		s.Update = &status.Update{Last: &status.UpdateResult{Version: "1.3.0", Reason: "it was not ready within 15m0s: the model is damaged"}}
	},
	BundleUpdateFailed: func(s *status.Status) {
		last := &status.UpdateResult{Version: "2.0.0", Reason: "it was ready and did not answer a prompt: the model is damaged"}
		s.Update = &status.Update{Bundle: &status.Update{Kind: "bundle", Last: last}}
	},
	// Of counters, after a look at a calm status:
	QueueFull:    func(s *status.Status) { s.Queue.Refused += 7 },
	LinkUnsteady: func(s *status.Status) { s.Link.Reconnects += 6 },
}

// Whatever is judged shows itself after its time, and not before; and goes again
// once it is over for its time.
func TestJudged(t *testing.T) {
	tr, _ := newTracker()
	tr.Judge(calm())
	if got := tr.Active(); len(got) > 0 {
		t.Fatalf("a calm status has %v", got)
	}
	for _, p := range Declared() {
		if p.judge == nil {
			continue
		}
		t.Run(p.Code, func(t *testing.T) {
			ill := calm()
			if ills[p] == nil {
				t.Fatal("no status of this test has it")
			}
			ills[p](&ill)
			shows(t, p, func(tr *Tracker) { tr.Judge(calm()); tr.Judge(ill) }, func(tr *Tracker) { tr.Judge(calm()) })
		})
	}
}

// Whatever is declared can be set by code.
func TestSet(t *testing.T) {
	for _, p := range Declared() {
		t.Run(p.Code, func(t *testing.T) {
			var figures []string
			for _, name := range figure.FindAllStringSubmatch(p.Text+p.Do, -1) {
				figures = append(figures, name[1], "a\r\nb\x1b[31m")
			}
			shows(t, p, func(tr *Tracker) { tr.Set(p, figures...) }, func(tr *Tracker) { tr.Clear(p) })
		})
	}
}

// shows checks a problem's life.
func shows(t *testing.T, p *Problem, raise, lower func(*Tracker)) {
	tr, clock := newTracker()
	raise(tr)
	is := func() bool { return slices.Contains(codes(tr.Active()), p.Code) }
	if p.After > 0 {
		clock.at = clock.at.Add(p.After - time.Millisecond)
		if is() {
			t.Errorf("shown before %s have passed", p.After)
		}
		clock.at = clock.at.Add(time.Millisecond)
	}
	if !is() {
		t.Fatalf("not shown after %s: %v", p.After, codes(tr.Active()))
	}
	for _, a := range tr.Active() {
		if a.Code == p.Code {
			checkText(t, a)
			if !a.Since.Equal(statustest.Now) {
				t.Errorf("since %s, it was raised at %s", a.Since, statustest.Now)
			}
		}
	}
	clock.at = clock.at.Add(window + time.Second) // so that counters are still
	lower(tr)
	if p.Gone > 0 {
		if !is() {
			t.Error("hidden at once")
		}
		clock.at = clock.at.Add(p.Gone)
	}
	if is() {
		t.Errorf("shown %s after it went away", p.Gone)
	}
}

func checkText(t *testing.T, a status.Problem) {
	for _, s := range []string{a.Title, a.Text, a.Do} {
		if s == "" || strings.ContainsAny(s, "{}\n") || strings.Contains(s, "(not known)") || strings.IndexFunc(s, unicode.IsControl) >= 0 {
			t.Errorf("%q is no line for people", s)
		}
	}
	if !namesCommand(a.Do) {
		t.Errorf("what to do names no command: %q", a.Do)
	}
}

var command = regexp.MustCompile("`(skerry|sudo|systemctl|timedatectl|nmcli|make|ip) [a-z-]+[^`]*`")

func namesCommand(do string) bool { return command.MatchString(do) }

func TestCausesHide(t *testing.T) {
	for _, p := range Declared() {
		for _, cause := range p.Causes {
			t.Run(p.Code+" by "+cause.Code, func(t *testing.T) {
				if cause.After > p.After {
					t.Errorf("%s shows after %s, and what it explains flashes up after %s", cause.Code, cause.After, p.After)
				}
				tr, clock := newTracker()
				tr.Set(p)
				tr.Set(cause)
				clock.at = clock.at.Add(time.Hour)
				if got := codes(tr.Active()); slices.Contains(got, p.Code) {
					t.Errorf("shown beside its cause: %v", got)
				}
				tr.Clear(cause)
				clock.at = clock.at.Add(cause.Gone)
				if got := codes(tr.Active()); !slices.Contains(got, p.Code) {
					t.Errorf("hidden without its cause: %v", got)
				}
			})
		}
	}
}

// A cause that is itself explained hides what it explains all the same.
func TestCausesOfCauses(t *testing.T) {
	tr, clock := newTracker()
	ill := calm()
	ill.Link.Connected, ill.Board.Addresses, ill.Link.Reconnects = false, nil, 0
	tr.Judge(ill)
	ill.Link.Reconnects = 9
	tr.Judge(ill)
	clock.at = clock.at.Add(time.Minute)
	if got := codes(tr.Active()); !slices.Equal(got, []string{NoNetwork.Code}) {
		t.Errorf("without a network: %v", got)
	}
}

// A figure about its limit neither hides nor raises the problem again and again.
func TestHysteresis(t *testing.T) {
	tr, clock := newTracker()
	at := func(celsius float64) bool {
		s := calm()
		s.Board.Sensors = []status.Sensor{{Name: "soc", Value: celsius, Unit: "°C"}}
		for range 120 {
			clock.at = clock.at.Add(time.Second)
			tr.Judge(s)
		}
		return slices.Contains(codes(tr.Active()), TooHot.Code)
	}
	for _, step := range []struct {
		celsius float64
		shown   bool
	}{{78, false}, {81, true}, {78, true}, {74, false}, {78, false}} {
		if got := at(step.celsius); got != step.shown {
			t.Errorf("at %g °C: shown %v", step.celsius, got)
		}
	}
}

// One that goes away for less than its time is the same one still.
func TestComesBack(t *testing.T) {
	tr, clock := newTracker()
	tr.Set(LinkDown)
	clock.at = clock.at.Add(LinkDown.After)
	tr.Active()
	tr.Clear(LinkDown)
	clock.at = clock.at.Add(LinkDown.Gone / 2)
	tr.Set(LinkDown)
	if got := tr.Active(); len(got) != 1 || !got[0].Since.Equal(statustest.Now) {
		t.Errorf("got %v", got)
	}
}

// One that both code and status say is there while either does.
func TestSetAndJudged(t *testing.T) {
	tr, clock := newTracker()
	ill := calm()
	ills[DiskFull](&ill)
	tr.Judge(ill)
	tr.Set(DiskFull)
	tr.Judge(calm())
	clock.at = clock.at.Add(time.Hour)
	if len(tr.Active()) != 1 {
		t.Error("the status took back what code had set")
	}
	tr.Clear(DiskFull)
	tr.Active()
	clock.at = clock.at.Add(time.Hour)
	if got := tr.Active(); len(got) != 0 {
		t.Errorf("left: %v", got)
	}
}

func TestWorstFirst(t *testing.T) {
	tr, clock := newTracker()
	for _, p := range []*Problem{KeysInClear, RestartNeeded, ConfigRefused, FetchFailed} {
		tr.Set(p)
		clock.at = clock.at.Add(time.Second)
	}
	want := []string{FetchFailed.Code, ConfigRefused.Code, KeysInClear.Code, RestartNeeded.Code}
	if got := codes(tr.Active()); !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// A slow drip of refusals is no problem; a burst is, and passes.
func TestQueueFullOften(t *testing.T) {
	tr, clock := newTracker()
	s := calm()
	for range 60 { // one every 2 minutes
		s.Queue.Refused++
		clock.at = clock.at.Add(2 * time.Minute)
		tr.Judge(s)
		if got := tr.Active(); len(got) > 0 {
			t.Fatalf("at one refusal in 2 minutes: %v", got)
		}
	}
	s.Queue.Refused += 5
	tr.Judge(s)
	if got := tr.Active(); len(got) != 1 || got[0].Text != "7 requests were refused in the last 5 minutes: the queue of 16 was full" {
		t.Fatalf("after a burst: %v", got)
	}
	for range 8 {
		clock.at = clock.at.Add(time.Minute)
		tr.Judge(s)
	}
	if got := tr.Active(); len(got) > 0 {
		t.Errorf("8 minutes after: %v", got)
	}
}

// Any order of events leaves the tracker consistent.
func TestAnyOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		tr, clock := newTracker()
		since := map[*Problem]time.Time{}
		all := Declared()
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			p := rapid.SampledFrom(all).Draw(t, "problem")
			switch rapid.IntRange(0, 2).Draw(t, "do") {
			case 0:
				tr.Set(p, "err", rapid.String().Draw(t, "err"))
				if _, is := since[p]; !is {
					since[p] = clock.at
				}
			case 1:
				tr.Clear(p)
				delete(since, p)
			case 2:
				clock.at = clock.at.Add(time.Duration(rapid.IntRange(0, 90).Draw(t, "seconds")) * time.Second)
			}
			shown := codes(tr.Active())
			for p, at := range since {
				hidden := slices.ContainsFunc(p.Causes, func(c *Problem) bool { return tr.states[c] != nil && tr.states[c].shown })
				if clock.at.Sub(at) >= p.After && !hidden && !slices.Contains(shown, p.Code) {
					t.Fatalf("%s is there since %s and not shown", p.Code, clock.at.Sub(at))
				}
			}
			if !slices.IsSorted(ranks(tr.Active())) {
				t.Fatalf("not the worst first: %v", shown)
			}
		}
	})
}

func ranks(active []status.Problem) (ranks []int) {
	for _, a := range active {
		ranks = append(ranks, rank(a.Severity))
	}
	return ranks
}

func TestDeclaredOnce(t *testing.T) {
	table, seen := markdown(), map[string]bool{}
	name := regexp.MustCompile(`^[a-z]+(-[a-z]+)*$`)
	for _, p := range Declared() {
		if seen[p.Code] || !name.MatchString(p.Code) {
			t.Errorf("code %q is declared twice, or is no code", p.Code)
		}
		seen[p.Code] = true
		if n := strings.Count(table, "| `"+p.Code+"` |"); n != 1 {
			t.Errorf("%s is %d times in the table", p.Code, n)
		}
		if rank(p.Severity) < 0 || p.Title == "" || p.Text == "" || !namesCommand(p.Do) {
			t.Errorf("%s is not whole: %+v", p.Code, p)
		}
	}
	if n := strings.Count(table, "\n"); n != len(seen)+2 {
		t.Errorf("the table has %d lines for %d problems", n, len(seen))
	}
}

var update = flag.Bool("update", false, "write PROBLEMS.md anew")

// The manual's list is that of the program.
func TestTable(t *testing.T) {
	const file = "PROBLEMS.md"
	want := "# What skerry may find wrong\n\nMade of the declarations in this directory; `go test ./appliance/status/health -update` writes it anew.\n\n" + markdown()
	if *update {
		if err := os.WriteFile(file, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := os.ReadFile(file); string(got) != want {
		t.Errorf("%s is not up to date (%v): go test ./appliance/status/health -update", file, err)
	}
}

// One that is hidden for its time, and comes again, begins anew.
func TestBeginsAnew(t *testing.T) {
	tr, clock := newTracker()
	tr.Set(LinkDown)
	clock.at = clock.at.Add(LinkDown.After)
	tr.Active()
	tr.Clear(LinkDown)
	clock.at = clock.at.Add(LinkDown.Gone)
	tr.Set(LinkDown) // and nobody has looked meanwhile
	if got := tr.Active(); len(got) > 0 {
		t.Errorf("shown at once: %v", got)
	}
	clock.at = clock.at.Add(LinkDown.After)
	if got := tr.Active(); len(got) != 1 || !got[0].Since.Equal(clock.at.Add(-LinkDown.After)) {
		t.Errorf("got %v", got)
	}
}

// However often a status is judged, a tracker stays small.
func TestStaysSmall(t *testing.T) {
	tr, clock := newTracker()
	for range 20_000 {
		clock.at = clock.at.Add(100 * time.Millisecond)
		tr.Judge(calm())
	}
	if most := int(window/time.Second) + 1; len(tr.samples) > most || cap(tr.samples) > 4*most {
		t.Errorf("%d samples in room for %d", len(tr.samples), cap(tr.samples))
	}
}

// Whoever sets, clears, judges and looks at once gets whole problems, and nothing is left
// once all have cleared what they set.
func TestConcurrently(t *testing.T) {
	tr, clock := newTracker()
	var work sync.WaitGroup
	for i := range 4 {
		work.Go(func() {
			for range 50 {
				tr.Set(DiskFull, "free", fmt.Sprint(i), "total", "9", "path", "/")
				tr.Judge(calm())
				for _, p := range tr.Active() {
					if p.Code != DiskFull.Code || !strings.HasSuffix(p.Text, "nothing new is saved") {
						t.Errorf("%s: %q", p.Code, p.Text)
					}
				}
				tr.Clear(DiskFull)
			}
		})
	}
	work.Wait()
	clock.at = clock.at.Add(time.Hour)
	if got := tr.Active(); len(got) > 0 {
		t.Errorf("left: %v", codes(got))
	}
}

func FuzzFill(f *testing.F) {
	f.Add("{err}", "two\nlines \x1b]0;title\x07 \xff {err}")
	f.Fuzz(func(t *testing.T, template, value string) {
		got := fill("{err}", []string{"err", value})
		if strings.IndexFunc(got, func(r rune) bool { return !unicode.IsPrint(r) }) >= 0 || len([]rune(got)) > longest {
			t.Errorf("%q becomes %q", value, got)
		}
		fill(template, []string{"err", value})
	})
}
