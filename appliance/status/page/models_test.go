package page_test

import (
	"encoding/json"
	"io"
	"net/http"
	"testing"

	"github.com/chromedp/chromedp"

	"skerry/appliance/status/page/pagetest"
	"skerry/appliance/status/statustest"
)

// A model is fetched with its progress, and what goes wrong is said.
func TestModelIsFetched(t *testing.T) {
	r := newRig(t, statustest.NoModel())
	asked, lines := make(chan string, 10), make(chan string)
	r.pull = func(w http.ResponseWriter, q *http.Request) {
		var body struct{ Model string }
		if err := json.NewDecoder(q.Body).Decode(&body); err != nil {
			t.Error(err)
		}
		asked <- body.Model
		for {
			select {
			case line, more := <-lines:
				if !more {
					return
				}
				io.WriteString(w, line+"\n")
				http.NewResponseController(w).Flush()
				if line == `{"status":"success"}` || line[2] == 'e' {
					return
				}
			case <-q.Context().Done():
				asked <- "gone"
				return
			}
		}
	}
	b := openChat(t, r, 390, "/")
	fetch := chromedp.Click(chromedp.CSS("#pull button"))
	b.Do(fetch)
	if got := <-asked; got != "tiny" {
		t.Errorf("%q was asked for", got)
	}
	lines <- `{"status":"fetching tiny","total":4000000,"completed":1000000}`
	b.Wait(says("pull-note", "fetching tiny: 1 MB of 4 MB") + ` && document.getElementById("pull-bar").value === 25`)
	lines <- `{"status":"success"}`
	b.Wait(says("pull-note", "It is here.") + ` && document.getElementById("pull-bar").hidden`)
	b.Do(chromedp.SendKeys(chromedp.CSS("#pull-name"), "nothing"), fetch)
	if got := <-asked; got != "nothing" {
		t.Errorf("%q was asked for", got)
	}
	lines <- `{"error":"nobody knows where to fetch it"}`
	b.Wait(says("pull-note", "Not fetched: nobody knows where to fetch it"))
	b.Do(fetch)
	<-asked
	lines <- `{"status":"fetching nothing"}`
	b.Wait(says("pull-note", "fetching nothing"))
	b.Do(fetch)
	b.Wait(says("pull-note", "Stopped."))
	if got := <-asked; got != "gone" {
		t.Errorf("%q, not the end of the request", got)
	}
	if got := pagetest.Eval[int](b, `document.documentElement.scrollWidth`); got > 390 {
		t.Errorf("it is %d pixels wide", got)
	}
	b.Clean(r.URL)
}
