package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"

	"skerry/appliance/admin"
	"skerry/appliance/node/nodetest"
	"skerry/appliance/status/page/pagetest"
	"skerry/cloudlink/linksim"
)

var screenshots = flag.String("screenshots", "", "directory for the README's pictures of the page, which take five minutes")

// TestServePage looks at the daemon itself in a browser: under load with a cloud
// behind an emulated link, once the cloud is gone, and without a model.
func TestServePage(t *testing.T) {
	if testing.Short() {
		t.Skip("skipped: -short")
	}
	browser := pagetest.Browser(t)
	state := t.TempDir()
	cloud, addr := startCloud(t, "--state", state, "--bundle", bundleDir(t), "--threads", "1")
	target, err := net.ResolveUDPAddr("udp", addr)
	if err != nil {
		t.Fatal(err)
	}
	spec, err := linksim.Parse("rtt=40ms,rate=20mbit")
	if err != nil {
		t.Fatal(err)
	}
	link, err := linksim.Start(t.Context(), spec, target, 1)
	if err != nil {
		t.Fatal(err)
	}
	defer link.Close()
	_, url := startPaged(t, "--state", state, "--bundle", bundleDir(t), "--cloud", link.Addr().String(),
		"--set", "mode=collaborative") // in which a slow machine, too, shows who says what
	awaitPage(t, url+"/readyz", http.StatusOK)

	most := 60
	if *screenshots != "" {
		most = 500
	}
	var asking sync.WaitGroup
	var enough atomic.Bool
	for _, name := range []string{"kitchen", "notes", "workshop"} {
		asking.Go(func() {
			for askAt(t, url, name, most); *screenshots != "" && !enough.Load(); {
				askAt(t, url, name, most)
			}
		})
	}
	desk := pagetest.Open(t, browser, 1280, 900)
	desk.Do(chromedp.Navigate(url + "/"))
	desk.Wait(`document.getElementById("live").textContent === "Live"`)
	desk.Wait(`document.getElementById("stream").innerText.length > 200`)
	desk.Wait(`/exit 2|cloud/.test(document.getElementById("sources").innerText)`)
	if *screenshots != "" {
		time.Sleep(200 * time.Second) // some minutes of the link's hour
	}
	talk(t, desk, url)
	picture(t, browser, url, "load", true)
	enough.Store(true)
	asking.Wait()
	cloud.cmd.Process.Kill()
	askAt(t, url, "kitchen", 20)
	desk.Wait(`/link down|cannot be reached|Link is down/i.test(document.getElementById("health").innerText)`)
	desk.Wait(`document.getElementById("hour").innerText.length > 0`)
	picture(t, browser, url, "link-down", false)
	desk.Clean(url)

	_, url = startPaged(t, "--state", t.TempDir(), "--bundle", filepath.Join(t.TempDir(), "none"))
	first := pagetest.Open(t, browser, 390, 900)
	first.Do(chromedp.Navigate(url + "/"))
	first.Wait(`/skerry model/.test(document.getElementById("health").innerText)`)
	picture(t, browser, url, "no-model", false)
	first.Clean(url)
}

// talk asks twice in the page's conversation, and stops each answer. The daemon then has both
// questions in one session.
func talk(t *testing.T, desk *pagetest.Tab, url string) {
	t.Helper()
	questions := []string{"My name is Ada. Tell me of the sea.", "What is my name?"}
	for i, q := range questions {
		desk.Do(chromedp.SendKeys(chromedp.CSS("#prompt"), q+"\r"))
		desk.Wait(fmt.Sprintf(`[...document.querySelectorAll("#talk .assistant .text")].filter(e => e.textContent.length > 3).length === %d`, i+1))
		desk.Do(chromedp.Evaluate[chromedp.Void](`document.getElementById("stop").click()`))
		desk.Wait(`!document.querySelector("#talk [aria-busy]")`)
	}
	r, err := http.Get(url + "/api/v1/sessions/" + pagetest.Eval[string](desk, `new URLSearchParams(location.search).get("session")`))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	var kept admin.Session
	if err := json.NewDecoder(r.Body).Decode(&kept); err != nil {
		t.Fatal(err)
	}
	if m := kept.Messages; len(m) != 4 || m[0].Content != questions[0] || m[2].Content != questions[1] || m[1].Role != "assistant" || m[1].Content == "" {
		t.Errorf("the session holds %+v", m)
	}
}

// picture is taken of the page at both widths, if pictures are wanted, and once more
// in the dark.
func picture(t *testing.T, browser context.Context, url, name string, dark bool) {
	t.Helper()
	if *screenshots == "" {
		return
	}
	shoot := func(name, scheme string, width int64) {
		b := pagetest.Open(t, browser, width, 900)
		pagetest.Command(b, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}})
		b.Do(chromedp.Navigate(url + "/"))
		b.Wait(`document.getElementById("live").textContent === "Live"`)
		b.Screenshot(filepath.Join(*screenshots, "page-"+name+".png"))
		b.Clean(url)
	}
	shoot(name+"-desktop", "light", 1280)
	shoot(name+"-phone", "light", 390)
	if dark {
		shoot(name+"-dark", "dark", 1280)
	}
}

// startPaged runs a daemon and returns where its page is.
func startPaged(t *testing.T, args ...string) (*process, string) {
	t.Helper()
	p := start(t, append([]string{"serve", "--listen", "127.0.0.1:0", "--socket", filepath.Join(shortDir(t), "s"),
		"--threads", "1", "--context", "2048", "--set", "name=skerry-lab"}, args...)...)
	p.await(t, &p.stdout, "address", func(s string) bool { return strings.HasSuffix(s, "\n") })
	url := regexp.MustCompile(`http://\S+`).FindString(p.stdout.String())
	return p, strings.TrimSuffix(url, "/")
}

// awaitPage waits until a URL answers with a code.
func awaitPage(t *testing.T, url string, code int) {
	t.Helper()
	var r *http.Response
	var err error
	if !nodetest.Eventually(func() bool {
		if r, err = http.Get(url); err != nil {
			return false
		}
		r.Body.Close()
		return r.StatusCode == code
	}) {
		t.Fatalf("%s: %v %v", url, r, err)
	}
}

// askAt asks in a session and reads the answer to its end.
func askAt(t *testing.T, url, session string, most int) {
	body := fmt.Sprintf(`{"messages":[{"role":"user","content":"What is a lighthouse for?"}],"max_tokens":%d,"stream":true,"skerry":{"session":%q}}`, most, session)
	r, err := http.Post(url+"/v1/chat/completions", "application/json", strings.NewReader(body))
	if err != nil {
		t.Error(err)
		return
	}
	defer r.Body.Close()
	text, err := io.ReadAll(r.Body)
	if err != nil || r.StatusCode != http.StatusOK || !strings.Contains(string(text), "[DONE]") {
		t.Errorf("%s %v: %.300s", r.Status, err, text)
	}
}
