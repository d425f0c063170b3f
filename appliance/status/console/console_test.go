package console

import (
	"errors"
	"io"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/creack/pty"

	"skerry/appliance/status"
	"skerry/appliance/status/statustest"
	"skerry/build/testleak"
	"skerry/build/testseed"
)

func TestMain(m *testing.M) { testleak.Main(m) }

func TestBanner(t *testing.T) {
	st := busyBoard()
	u := sit(t, Options{Daemon: newDaemon(st)})
	banner := u.expect(prompt)
	for _, want := range []string{st.Name, st.Version, "Raspberry Pi 5", st.URLs[0], st.Board.Addresses[0], "link " + st.Link.State,
		"1 problem:", "WARNING: Too hot: soc is at 84 C.[2J", "do: give it air: `skerry status`", "1 status", "7 shut down", "h help"} {
		if !strings.Contains(banner, want) {
			t.Errorf("the banner does not say %q", want)
		}
	}
	lines := strings.Split(banner, "\r\n")
	if len(lines) > 24 {
		t.Errorf("the banner has %d lines", len(lines))
	}
	for _, l := range lines {
		if len(l) > 79 {
			t.Errorf("%d characters: %q", len(l), l)
		}
	}
}

func TestBannerWell(t *testing.T) {
	st := statustest.Calm()
	st.Health = nil
	u := sit(t, Options{Daemon: newDaemon(st)})
	u.expect("nothing is wrong")
}

func TestManyProblems(t *testing.T) {
	st := busyBoard()
	for range 5 {
		st.Health = append(st.Health, st.Health[0])
	}
	u := sit(t, Options{Daemon: newDaemon(st)})
	u.expect("6 problems:")
	u.expect("and 3 more: 1 shows them")
}

func TestStatus(t *testing.T) {
	u := sit(t, Options{Daemon: newDaemon(busyBoard())})
	u.expect(prompt)
	u.types("1\r")
	first := u.expect("-- more: any key, q ends --")
	if n := strings.Count(first, "\r\n"); n > 24 {
		t.Errorf("%d lines before it waits", n)
	}
	u.types(" ")
	rest := u.expect(prompt)
	for _, want := range []string{"mode", "model", "link", "tokens", "board", "storage"} {
		if !strings.Contains(first+rest, want) {
			t.Errorf("the status does not say %q", want)
		}
	}
	u.types("status\r")
	u.expect("-- more")
	u.types("q")
	if left := u.expect(prompt); strings.Contains(left, "storage") {
		t.Error("q does not end the status")
	}
}

func TestLink(t *testing.T) {
	u := sit(t, Options{Daemon: newDaemon(busyBoard())})
	u.expect(prompt)
	u.types("3\r")
	u.expect("any key to leave")
	u.expect("rtt")
	u.types("\x1b[A")
	u.expect(prompt)
	u.types("h\r") // and nothing of the arrow key is left
	u.expect("h\r\n1  status")
}

func TestLinkAlone(t *testing.T) {
	u := sit(t, Options{Daemon: newDaemon(statustest.Alone())})
	u.expect(prompt)
	u.types("link\r")
	u.expect("skerry enroll CODE")
	u.expect(prompt)
}

func TestLogs(t *testing.T) {
	d := newDaemon(busyBoard())
	d.records = []status.Record{
		{Time: statustest.Now, Level: "WARN", Message: "link lost\x1b]0;owned\x07\x9b2J", Attrs: []status.Attr{{Key: "cloud", Value: "caf\u00e9\u202e\x00"}}},
		{Time: statustest.Now, Level: "INFO", Message: strings.Repeat("long ", 200)},
	}
	u := sit(t, Options{Daemon: d})
	u.expect(prompt)
	u.types("lo\r")
	u.expect("WARN  link lost.]0;owned.?2J cloud=")
	u.expect("long long")
	u.types("x")
	u.expect(prompt)
}

func TestTokens(t *testing.T) {
	d := newDaemon(busyBoard())
	u := sit(t, Options{Daemon: d})
	u.expect(prompt)
	u.types("2\r")
	u.expect("Enter for counts alone: ")
	u.types("\r")
	if text := u.expect("exit 1 "); strings.Contains(text, "[kitchen-radio]") {
		t.Error("without the word there is text")
	}
	u.types("\x03")
	u.expect(prompt)

	u.types("tokens\r")
	u.expect("Type show")
	u.types("show\r")
	u.expect("any key to leave")
	d.said <- []status.Said{
		{Session: "kitchen-radio", Source: "exit1", Text: "The sea", Index: 1},
		{Session: "kitchen-radio", Source: "cloud", Text: "\nis \u00fcber\x1b[31m red", Index: 2},
	}
	u.expect("[kitchen-radio]\r\n<1>The sea<C>\r\nis uber.[31m red")
	d.said <- []status.Said{{Session: "shed", Source: "cloud", Text: "Yes", Index: 1}}
	u.expect("\r\n[shed]\r\n<C>Yes")
	u.types("q")
	u.expect(prompt)
}

func TestNoText(t *testing.T) {
	u := sit(t, Options{Daemon: newDaemon(busyBoard()), NoText: true})
	u.expect(prompt)
	u.types("2\r")
	if text := u.expect("running"); strings.Contains(text, "show") {
		t.Error("the text is offered")
	}
	u.types("x")
	u.expect(prompt)
}

func TestNetwork(t *testing.T) {
	st := busyBoard()
	u := sit(t, Options{Daemon: newDaemon(st)})
	u.expect(prompt)
	u.types("5\r")
	shown := u.expect(prompt)
	for _, want := range []string{st.URLs[0], st.Link.Cloud} {
		if !strings.Contains(shown, want) {
			t.Errorf("%q is missing", want)
		}
	}
}

func TestConfirmed(t *testing.T) {
	for _, c := range []struct{ entry, wrong, word, order string }{
		{"6", "yes", "restart", "restart"}, {"shut down", "shutdown", "shut down", "poweroff"},
	} {
		d := newDaemon(busyBoard())
		u := sit(t, Options{Daemon: d})
		u.expect(prompt)
		for _, no := range []string{c.wrong + "\r", "\r", c.word[:3] + "\x03", "\x15\x7f\x7f\r"} {
			u.types(c.entry + "\r")
			u.expect("to do it, anything else not to: ")
			u.types(no)
			u.expect(prompt)
		}
		if got := d.ordered(); got != "" {
			t.Errorf("%s: without the word: %s", c.entry, got)
		}
		u.types(c.entry + "\r")
		u.expect("to do it")
		u.types(c.word + "\r")
		u.expect("The ")
		u.expect(prompt)
		if got := d.ordered(); got != c.order {
			t.Errorf("%s orders %q", c.entry, got)
		}
	}
}

func TestRefusedOrder(t *testing.T) {
	d := newDaemon(busyBoard())
	d.refuse = errors.New("not allowed to power off: allow it in polkit")
	u := sit(t, Options{Daemon: d})
	u.expect(prompt)
	u.types("7\rshut down\r")
	u.expect("Not done: not allowed to power off: allow it in polkit")
	u.expect(prompt)
}

func TestHelp(t *testing.T) {
	u := sit(t, Options{Daemon: newDaemon(busyBoard())})
	u.expect(prompt)
	for _, typed := range []string{"h", "HELP", "?"} {
		u.types(typed + "\r\n")
		shown := u.expect("Ctrl-D the console.")
		for _, e := range menu {
			if !strings.Contains(shown, e.name) {
				t.Errorf("help does not say %q", e.name)
			}
		}
	}
}

func TestEditing(t *testing.T) {
	u := sit(t, Options{Daemon: newDaemon(busyBoard())})
	u.expect(prompt)
	u.types("netz\x7fx\x08w\r") // network's beginning, with two mistakes erased
	u.expect("Cloud ")
	u.types("rubbish\x15help\r")
	u.expect("Ctrl-D the console.")
	u.types("restart\x03")
	u.expect("^C\r\n" + prompt)
	u.types("x\x04\x7f\x04") // Ctrl-D counts on an empty line alone
	if err := u.ends(); err != nil {
		t.Errorf("Ctrl-D: %v", err)
	}
}

func TestWrongInput(t *testing.T) {
	u := sit(t, Options{Daemon: newDaemon(busyBoard())})
	u.expect(prompt)
	for _, typed := range []string{"9", "hello", "\xff\xfe\x80", "\x1b[31;1mls\x1bOP", "; rm -rf /", strings.Repeat("x", 5000)} {
		u.types(typed + "\r")
		u.expect(hint)
		u.types("5\r") // an end to the row of wrong ones
		u.expect("Cloud ")
		u.expect(prompt)
	}
}

// Noise of any kind, also much of it, leaves a console that answers.
func TestNoise(t *testing.T) {
	r := testseed.Rand(t)
	d := newDaemon(busyBoard())
	u := sit(t, Options{Daemon: d})
	u.expect(prompt)
	for range 40 {
		noise := make([]byte, 512)
		for i := range noise {
			if noise[i] = byte(r.Uint32()); key(noise[i]) == keyEnd { // which would end it
				noise[i]++
			}
		}
		u.types(string(noise))
	}
	u.back()
	if got := d.ordered(); got != "" {
		t.Errorf("noise has ordered %s", got)
	}
}

// back has the console answer after whatever was sent.
func (u *user) back() {
	u.t.Helper()
	answers := regexp.MustCompile(`Ctrl-C leaves`)
	deadline := time.Now().Add(patience)
	for {
		u.mu.Lock()
		u.read = u.seen.Len()
		u.mu.Unlock()
		u.types("\x03\x03\rhelp\r") // out of a live view, of a page, of a typed line
		if u.await(1500*time.Millisecond, func(all string) bool { return answers.MatchString(all[u.read:]) }) {
			return
		}
		if time.Now().After(deadline) {
			u.t.Fatal("the console has wedged")
		}
	}
}

func TestResize(t *testing.T) {
	var u *user
	opened := make(chan struct{})
	size := func() (int, int) {
		<-opened
		rows, cols, err := pty.Getsize(u.tty)
		if err != nil {
			return 80, 24
		}
		return cols, rows
	}
	u = sit(t, Options{Daemon: newDaemon(busyBoard()), Size: size})
	close(opened)
	for _, s := range []pty.Winsize{{Rows: 24, Cols: 80}, {Rows: 50, Cols: 132}, {Rows: 10, Cols: 40}, {Rows: 1, Cols: 1}, {Rows: 0, Cols: 0}, {Rows: 60000, Cols: 60000}} {
		if err := pty.Setsize(u.tty, &s); err != nil {
			t.Fatal(err)
		}
		u.types("1\r")
		for range 60 {
			u.types(" ")
		}
		u.types("\x03help\r")
		shown := u.expect("Ctrl-C leaves")
		for _, l := range strings.Split(shown, "\r\n") {
			if most := min(max(int(s.Cols), 40), 200); len(l) > most+len(prompt)+70 { // spaces typed stand behind the prompt
				t.Errorf("at %d columns a line of %d: %q", s.Cols, len(l), l)
			}
		}
		u.expect(prompt)
	}
}

func TestHangUp(t *testing.T) {
	for name, typed := range map[string]string{"at the prompt": "", "in a live view": "3\r", "while typing": "resta", "at a page": "1\r"} {
		t.Run(name, func(t *testing.T) {
			u := sit(t, Options{Daemon: newDaemon(busyBoard())})
			u.expect(prompt)
			u.types(typed)
			u.expect(typed[:min(1, len(typed))])
			u.tty.Close()
			if err := u.ends(); !errors.Is(err, io.EOF) && !errors.Is(err, syscall.EIO) {
				t.Errorf("a hang-up is %v", err)
			}
		})
	}
}

func TestStopped(t *testing.T) {
	for _, typed := range []string{"", "3\r", "2\rshow\r", "1\r", "6\r"} {
		u := &user{}
		t.Run(typed, func(t *testing.T) {
			u = sit(t, Options{Daemon: newDaemon(busyBoard())})
			u.expect(prompt)
			u.types(typed)
		}) // whose end stops it
		if err := <-u.done; err != nil {
			t.Errorf("after %q: %v", typed, err)
		}
	}
}

// What was typed ahead is done before the end of input ends the console.
func TestTypedAhead(t *testing.T) {
	u := sit(t, Options{Daemon: newDaemon(busyBoard())})
	u.types("5\rh\r\x04")
	if err := u.ends(); err != nil {
		t.Error(err)
	}
	u.expect2("Cloud ", "Ctrl-C leaves")
}

// expect2 looks for texts in turn in what has come, though the console has ended.
func (u *user) expect2(texts ...string) {
	u.t.Helper()
	if !u.await(patience, func(rest string) bool {
		for _, want := range texts {
			_, after, found := strings.Cut(rest, want)
			if !found {
				return false
			}
			rest = after
		}
		return true
	}) {
		u.t.Fatalf("%q did not come", texts)
	}
}
