// Package pagetest drives the status page in a real browser, for tests.
package pagetest

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	cdplog "github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// Patience with a browser on a busy machine.
const Patience = 2 * time.Minute

// Tab is a page of a browser, and what it has asked for and complained of.
type Tab struct {
	t       *testing.T
	Context context.Context // of the tab, for chromedp

	mu       sync.Mutex // guards all following fields
	requests []string
	trouble  []string
}

// Browser starts Debian's chromium, or skips the test where there is none.
func Browser(t *testing.T) context.Context {
	t.Helper()
	var path string
	for _, name := range []string{"chromium-headless-shell", "chromium", "google-chrome"} {
		if found, err := exec.LookPath(name); err == nil {
			path = found
			break
		}
	}
	if path == "" {
		t.Skip("no chromium to look at the page with: apt-get install chromium-headless-shell")
	}
	options := append([]chromedp.ExecAllocatorOption{}, chromedp.DefaultExecAllocatorOptions[:]...)
	options = append(options, chromedp.ExecPath(path), chromedp.UserDataDir(t.TempDir()), chromedp.NoSandbox, chromedp.DisableGPU, chromedp.WSURLReadTimeout(Patience),
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-component-update", true), chromedp.Flag("disable-sync", true))
	ctx, cancel := chromedp.NewExecAllocator(context.Background(), options...)
	t.Cleanup(cancel)
	ctx, cancelTab := chromedp.NewContext(ctx)
	t.Cleanup(cancelTab) // waits for the browser's end
	if err := chromedp.Do(ctx); err != nil {
		t.Fatalf("%s does not start: %v", path, err)
	}
	return ctx
}

// Open a tab of that many pixels.
func Open(t *testing.T, browser context.Context, width, height int64) *Tab {
	t.Helper()
	ctx, cancel := chromedp.NewContext(browser)
	t.Cleanup(cancel)
	tab := &Tab{t: t, Context: ctx}
	if err := chromedp.Do(ctx); err != nil {
		t.Fatal(err)
	}
	if err := chromedp.Listen(ctx, tab.note); err != nil {
		t.Fatal(err)
	}
	Command(tab, network.Enable, network.EnableParams{})
	Command(tab, cdplog.Enable, cdp.Empty{})
	Command(tab, emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{Width: width, Height: height, DeviceScaleFactor: 1, Mobile: width < 600})
	return tab
}

// Command of the browser's protocol.
func Command[P, R any](b *Tab, c cdp.Command[P, R], params P) R {
	b.t.Helper()
	r, err := chromedp.Call(b.Context, c, params)
	if err != nil {
		b.t.Fatal(err)
	}
	return r
}

func (b *Tab) note(event any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch e := event.(type) {
	case *network.EventRequestWillBeSent:
		b.requests = append(b.requests, e.Request.URL)
	case *runtime.EventExceptionThrown:
		b.trouble = append(b.trouble, e.ExceptionDetails.Text)
	case *runtime.EventConsoleAPICalled:
		b.trouble = append(b.trouble, "console."+string(e.Type))
	case *cdplog.EventEntryAdded:
		if e.Entry.Level == cdplog.EntryLevelWarning || e.Entry.Level == cdplog.EntryLevelError {
			b.trouble = append(b.trouble, e.Entry.Text+" "+e.Entry.URL)
		}
	}
}

// Do what is to be done, or fail the test.
func (b *Tab) Do(actions ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	if err := chromedp.Do(b.Context, actions...); err != nil {
		b.t.Fatal(err)
	}
}

// Eval returns what an expression is.
func Eval[T any](b *Tab, js string) T {
	b.t.Helper()
	value, err := chromedp.Run(b.Context, chromedp.Evaluate[T](js))
	if err != nil {
		b.t.Fatalf("%s: %v", js, err)
	}
	return value
}

// Wait until an expression is true, or for very long. While another page is being opened the
// expression may have no value, or none yet.
func (b *Tab) Wait(js string) {
	b.t.Helper()
	for end := time.Now().Add(Patience); ; b.Do(chromedp.Sleep(50 * time.Millisecond)) {
		value, err := chromedp.Run(b.Context, chromedp.Evaluate[bool](js))
		if value && err == nil {
			return
		}
		if time.Now().After(end) {
			b.t.Fatalf("it never came to %s (%v); the browser complains of %q", js, err, b.Complaints())
		}
	}
}

// Complaints of the browser so far.
func (b *Tab) Complaints() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.trouble)
}

// Clean fails the test if anything was asked of another origin, or complained of other than
// with one of some words: of a refusal that the test wanted the browser says so.
func (b *Tab) Clean(origin string, but ...string) {
	b.t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, url := range b.requests {
		if !strings.HasPrefix(url, origin+"/") && url != "about:blank" {
			b.t.Errorf("the page asked for %s", url)
		}
	}
	for _, text := range b.trouble {
		if slices.ContainsFunc(but, func(words string) bool { return strings.Contains(text, words) }) {
			continue
		}
		b.t.Errorf("the browser complains: %s", text)
	}
	if len(b.requests) == 0 {
		b.t.Error("no request was seen at all")
	}
}

// Screenshot of the whole page, in few colours.
func (b *Tab) Screenshot(path string) {
	b.t.Helper()
	png, err := chromedp.Run(b.Context, chromedp.FullScreenshot(100))
	if err != nil {
		b.t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		b.t.Fatal(err)
	}
	if err := os.WriteFile(path, smaller(b.t, png), 0o644); err != nil {
		b.t.Fatal(err)
	}
}
