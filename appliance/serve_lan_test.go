package main

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
	"github.com/vishvananda/netlink"

	"skerry/appliance/status/page/pagetest"
)

// inNamespace is set where a test runs again in a network namespace of its own.
const inNamespace = "SKERRY_TEST_NETNS"

// skipMark precedes the reason for a skip in the output of the inner run.
const skipMark = "no network of its own here: "

// lanAddress is of the board's in that namespace: for TEST-NET-1 (RFC 5737), which a
// browser takes for another machine's, and which is no loopback.
const lanAddress = "192.0.2.7"

// onLAN runs the test once more in a network namespace of its own, where the machine
// has an address on a network, and says whether this is that run.
func onLAN(t *testing.T) bool {
	t.Helper()
	if os.Getenv(inNamespace) != "" {
		lo, err := netlink.LinkByName("lo")
		if err == nil {
			err = netlink.LinkSetUp(lo)
		}
		var addr *netlink.Addr
		if err == nil {
			addr, err = netlink.ParseAddr(lanAddress + "/32")
		}
		if err == nil {
			err = netlink.AddrAdd(lo, addr)
		}
		if err != nil {
			t.Skip(skipMark + err.Error())
		}
		return true
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run", "^"+t.Name()+"$", "-test.v", "-test.timeout", "5m")
	cmd.Env = append(os.Environ(), inNamespace+"=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET}
	if os.Geteuid() != 0 {
		cmd.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}}
		cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}}
	}
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		t.Skip(skipMark + err.Error())
	}
	if _, reason, ok := strings.Cut(out.String(), skipMark); ok {
		reason, _, _ = strings.Cut(reason, "\n")
		t.Skip(skipMark + reason)
	}
	if err != nil || !strings.Contains(out.String(), "--- PASS: "+t.Name()) && !strings.Contains(out.String(), "--- SKIP: "+t.Name()) {
		t.Fatalf("%v\n%s", err, &out)
	}
	if strings.Contains(out.String(), "--- SKIP: ") {
		t.Skip(out.String())
	}
	return false
}

// startOnLAN runs a daemon that the network reaches, and returns where its page is.
func startOnLAN(t *testing.T, state string) string {
	t.Helper()
	p := start(t, "serve", "--listen", lanAddress+":0", "--socket", filepath.Join(shortDir(t), "s"), "--state", state,
		"--threads", "1", "--context", "512", "--bundle", tinyBundle(t), "--set", "max_tokens=20")
	p.await(t, &p.stdout, "address", func(s string) bool { return strings.HasSuffix(s, "\n") })
	return strings.TrimSuffix(regexp.MustCompile(`http://\S+`).FindString(p.stdout.String()), "/")
}

// Its owner opens the page from another machine, over plain HTTP: a wrong key, the
// key, a question with script and one without.
func TestPageFromAnotherMachine(t *testing.T) {
	if testing.Short() {
		t.Skip("skipped: -short")
	}
	if !onLAN(t) {
		return
	}
	browser := pagetest.Browser(t)
	state := t.TempDir()
	secret, _ := expect(t, 0, "key", "new", "laptop", "--state", state)
	url := startOnLAN(t, state)

	desk := pagetest.Open(t, browser, 1280, 900)
	desk.Do(chromedp.Navigate(url + "/"))
	enter := func(key string) {
		t.Helper()
		desk.Wait(`document.readyState === "complete" && document.getElementById("key") !== null`)
		if !pagetest.Eval[bool](desk, `isSecureContext === false`) {
			t.Fatal("the browser takes the address for this machine's own")
		}
		desk.Do(chromedp.SendKeys(chromedp.CSS("#key"), key), chromedp.Click(chromedp.CSS("button")))
	}
	enter("sk-skerry-wrong")
	desk.Wait(`location.pathname === "/login" && document.body !== null && /This key is unknown/.test(document.body.innerText)`)
	enter(strings.TrimSpace(secret))
	desk.Wait(`location.pathname === "/" && document.getElementById("live") !== null && document.getElementById("live").textContent === "Live"`)
	desk.Wait(`document.getElementById("asknote").textContent === ""`) // the model is there
	desk.Do(chromedp.SendKeys(chromedp.CSS("#prompt"), "What?"), chromedp.Click(chromedp.CSS("#ask button")))
	desk.Wait(`/tokens in/.test(document.getElementById("talk").textContent)`)

	plain := withoutScript(t, browser)
	plain.Do(chromedp.Navigate(url+"/"), chromedp.SendKeys(chromedp.CSS("#prompt"), "What?"), chromedp.Click(chromedp.CSS("#ask button")))
	plain.Wait(`location.pathname === "/ask" && document.readyState === "complete"`)
	if text := pagetest.Eval[string](plain, `document.body.innerText`); !strings.Contains(text, "Back to the page") || !strings.Contains(text, "tokens in") {
		t.Errorf("without script: %s", text)
	}
	plain.Clean(url)
	for _, complaint := range desk.Complaints() {
		if !strings.Contains(complaint, "401") { // which the form is answered with
			t.Errorf("the browser complains: %s", complaint)
		}
	}
}

// withoutScript opens a tab in which no script runs.
func withoutScript(t *testing.T, browser context.Context) *pagetest.Tab {
	t.Helper()
	tab := pagetest.Open(t, browser, 390, 800)
	pagetest.Command(tab, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true})
	return tab
}
