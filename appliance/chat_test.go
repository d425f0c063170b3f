package main

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"github.com/creack/pty"

	"skerry/appliance/conversation"
	"skerry/appliance/infer"
)

// terminal is a skerry on a pseudo-terminal, which is its controlling one.
type terminal struct {
	*process
	tty *os.File
}

func onTerminal(t *testing.T, env []string, args ...string) *terminal {
	t.Helper()
	return commandOnTerminal(t, env, append([]string{"run", "--bundle", bundleDir(t)}, args...)...)
}

func commandOnTerminal(t *testing.T, env []string, args ...string) *terminal {
	t.Helper()
	cmd := exec.Command("skerry", args...)
	cmd.Env = append(append(os.Environ(), "TERM=xterm-256color"), env...)
	p := &process{cmd: cmd, done: make(chan struct{})}
	tty, err := pty.StartWithSize(cmd, &pty.Winsize{Rows: 40, Cols: 2000})
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(p.done)
		io.Copy(&p.stdout, tty) // ends when the last holder of the terminal has
		cmd.Wait()
	}()
	t.Cleanup(func() {
		cmd.Process.Kill()
		<-p.done
		tty.Close()
	})
	return &terminal{p, tty}
}

func (c *terminal) enter(t *testing.T, keys string) {
	t.Helper()
	if _, err := io.WriteString(c.tty, keys); err != nil {
		t.Fatal(err)
	}
}

// screen is what the terminal got, with plain line ends.
func (c *terminal) screen() string { return strings.ReplaceAll(c.stdout.String(), "\r\n", "\n") }

const eot, interrupt = "\x04", "\x03"

// closing matches the line that ends an answer.
var closing = regexp.MustCompile(`\[\d+ tokens: [^\]]*\| [\d.]+ tokens/s, first after [\d.]+ s( \| up [\d.]+ [KM]?i?B, [\d.]+ asks/token)?( \| [^\]]*)?\]`)

// turn waits until n answers are through and the prompt is back.
func (c *terminal) turn(t *testing.T, n int) {
	t.Helper()
	c.await(t, &c.stdout, fmt.Sprint("end of answer ", n), func(s string) bool {
		return len(closing.FindAllString(s, -1)) == n && strings.HasSuffix(s, "> ")
	})
}

var ansi = map[infer.Source]string{
	infer.Exit1: "\x1b[32m", infer.Exit2: "\x1b[36m", infer.Fallback: "\x1b[33;4m",
}

func tinted(r conversation.Report) string {
	var b strings.Builder
	for _, t := range r.Tokens {
		if tint := ansi[t.Source]; tint != "" && t.Text != "" {
			b.WriteString(tint + t.Text + "\x1b[0m")
		} else {
			b.WriteString(t.Text)
		}
	}
	return b.String()
}

// On a terminal each token has the colour of its source.
func TestTints(t *testing.T) {
	for name, args := range map[string][]string{
		"mixed":      {"--threshold", "0.9,0.7", "--on-loss", "wait"},
		"standalone": {"--mode", "standalone", "--threshold", "0.5,0.99"},
	} {
		t.Run(name, func(t *testing.T) {
			args := append(args, "--max-tokens", "48", "--ignore-end", "Count from one to twenty.")
			r := answer(t, 0, args...)
			if len(r.Usage.BySource) < 2 {
				t.Fatalf("not mixed: %v", r.Usage.BySource)
			}
			c := onTerminal(t, nil, args...)
			if code := c.wait(t); code != 0 {
				t.Errorf("exit code %d", code)
			}
			screen := c.screen()
			if !strings.HasPrefix(screen, "said by: ") || !strings.Contains(screen, tinted(r)+"\n") || !closing.MatchString(screen) {
				t.Errorf("the screen shows %q, want %q in it", screen, tinted(r))
			}
			legend, _, _ := strings.Cut(screen, "\n")
			for s := range r.Usage.BySource {
				if !strings.Contains(legend, ansi[s]+string(s)) {
					t.Errorf("the legend %q lacks %s in its colour", legend, s)
				}
			}
		})
	}
}

func TestFallbackTint(t *testing.T) {
	if testing.Short() {
		t.Skip("waits a few seconds")
	}
	c := onTerminal(t, nil, "--link", "rtt=300ms", "--max-token-latency", "1ms", "--threshold", "1.1", "--max-tokens", "3", "--ignore-end", "Hello")
	if code := c.wait(t); code != 0 {
		t.Errorf("exit code %d", code)
	}
	if screen := c.screen(); strings.Count(screen, ansi[infer.Fallback]) != 4 { // the legend, three tokens
		t.Errorf("the screen shows %q", screen)
	}
}

func TestNoColour(t *testing.T) {
	for _, env := range []string{"NO_COLOR=1", "TERM=dumb"} {
		c := onTerminal(t, []string{env}, "--mode", "standalone", "--max-tokens", "4", "Hello")
		if code := c.wait(t); code != 0 {
			t.Errorf("exit code %d", code)
		}
		if screen := c.screen(); strings.Contains(screen, "\x1b") || !closing.MatchString(screen) {
			t.Errorf("%s: the screen shows %q", env, screen)
		}
	}
}

// A second question is read after the first one, whose answer holds no clue.
func TestChatRemembers(t *testing.T) {
	const fact, question = "My favourite fruit is the mango. Now say something about the sea.", "Which fruit do I like?"
	c := onTerminal(t, nil, "--mode", "unsplit", "--max-tokens", "12")
	c.await(t, &c.stdout, "prompt", func(s string) bool { return strings.HasSuffix(s, "> ") })
	if !strings.Contains(c.screen(), "Ctrl-D") {
		t.Errorf("no word on how to end: %q", c.screen())
	}
	c.enter(t, fact+"\n")
	c.turn(t, 1)
	before := len(c.stdout.String())
	c.enter(t, question+"\n")
	c.turn(t, 2)
	first, second := c.stdout.String()[:before], c.stdout.String()[before:]
	if strings.Count(first, "mango") != 1 { // the echo of what was typed
		t.Errorf("the first answer gives the second away: %q", first)
	}
	if !strings.Contains(second, "mango") {
		t.Errorf("the second answer knows nothing of the first question: %q", second)
	}
	c.enter(t, eot)
	if code := c.wait(t); code != 0 {
		t.Errorf("exit code %d", code)
	}
	if r := answer(t, 0, "--mode", "unsplit", "--max-tokens", "12", question); strings.Contains(r.Text, "mango") {
		t.Errorf("the question alone is answered with %q, so the chat shows nothing", r.Text)
	}
}

// A chat goes on with another model, and where there is none of a name with the same.
func TestChatTakesAnotherModel(t *testing.T) {
	c := onTerminal(t, nil, "--mode", "unsplit", "--max-tokens", "4")
	says := func(what string) {
		t.Helper()
		c.await(t, &c.stdout, what, func(s string) bool { return strings.Contains(s, what) && strings.HasSuffix(s, "> ") })
	}
	says("/help shows")
	c.enter(t, "/model nothing-like-it\n")
	says(`"nothing-like-it" not found`)
	c.enter(t, "Hello\n")
	c.turn(t, 1)
	c.enter(t, "/model "+tinyBundle(t)+"\n")
	says("no chat template")
	c.enter(t, "/model "+bundleDir(t)+"\n")
	says("answers from here on.")
	c.enter(t, "Hello\n")
	c.turn(t, 2)
	c.enter(t, "/model\n")
	says(", in mode unsplit. /model NAME")
	c.enter(t, eot)
	if code := c.wait(t); code != 0 {
		t.Errorf("exit code %d: %q", code, c.screen())
	}
}

// In a chat Ctrl-C ends the answer only, and the cloud is there for the next.
func TestChatInterrupt(t *testing.T) {
	c := onTerminal(t, nil, "--threshold", "1.1", "--max-tokens", "1500", "--ignore-end")
	c.await(t, &c.stdout, "prompt", func(s string) bool { return strings.HasSuffix(s, "> ") })
	cloud := c.child(t)
	for n := 1; n <= 2; n++ {
		before := len(c.stdout.String())
		c.enter(t, "Tell me of the sea.\n")
		c.await(t, &c.stdout, "text", func(s string) bool { return len(s) > before+200 })
		c.enter(t, interrupt)
		c.turn(t, n)
		if s := c.screen(); strings.Count(s, "(stopped)") != n || strings.Contains(s, "fallback ") {
			t.Fatalf("after interrupt %d: %q", n, s)
		}
	}
	c.enter(t, "/bye\n")
	if code := c.wait(t); code != 0 {
		t.Errorf("exit code %d", code)
	}
	cloud.ended(t)
}

// The closing line of an answer counts that answer's bytes and not the chat's.
func TestChatCountsByAnswer(t *testing.T) {
	c := onTerminal(t, nil, "--threshold", "1.1", "--max-tokens", "4")
	c.await(t, &c.stdout, "prompt", func(s string) bool { return strings.HasSuffix(s, "> ") })
	c.enter(t, strings.Repeat("lighthouse ", 200)+"\n")
	c.turn(t, 1)
	c.enter(t, "Hello\n")
	c.turn(t, 2)
	var up [2]float64
	for i, line := range closing.FindAllString(c.screen(), -1) {
		_, after, _ := strings.Cut(line, "| up ")
		if _, err := fmt.Sscanf(after, "%f kB", &up[i]); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
	}
	if up[0] < 300 || up[1] > 200 {
		t.Errorf("a long and a short question cost %v kB", up)
	}
}

// What is no question is no reason to end a chat.
func TestChatGoesOn(t *testing.T) {
	c := onTerminal(t, nil, "--mode", "standalone", "--context", "64", "--max-tokens", "4")
	c.await(t, &c.stdout, "prompt", func(s string) bool { return strings.HasSuffix(s, "> ") })
	c.enter(t, "\n")
	c.enter(t, strings.Repeat("much too long ", 50)+"\n")
	c.await(t, &c.stdout, "word on the length", func(s string) bool { return strings.Contains(s, "longer than the context") })
	c.enter(t, "Hello\n")
	c.turn(t, 1)
	c.enter(t, interrupt) // between answers it ends the chat, the second time
	c.await(t, &c.stdout, "word on how to leave", func(s string) bool { return strings.Contains(s, "once more leaves") && strings.HasSuffix(s, "> ") })
	c.enter(t, "/session\n")
	c.await(t, &c.stdout, "word on the session", func(s string) bool { return strings.Contains(s, "is not kept") && strings.HasSuffix(s, "> ") })
	c.enter(t, interrupt)
	c.await(t, &c.stdout, "word on how to leave again", func(s string) bool { return strings.Count(s, "once more leaves") == 2 && strings.HasSuffix(s, "> ") })
	c.enter(t, interrupt)
	if code := c.wait(t); code != 0 {
		t.Errorf("exit code %d", code)
	}
}
