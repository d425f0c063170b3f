package admin

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// refusing answers with these statuses, one after the other, the last one for ever.
type refusing []int

func (r *refusing) RoundTrip(*http.Request) (*http.Response, error) {
	status := (*r)[0]
	if len(*r) > 1 {
		*r = (*r)[1:]
	}
	text := `{"error":{"message":"four answers wait already"}}`
	if status == http.StatusOK {
		text = `{"choices":[{"finish_reason":"length"}]}`
	}
	return &http.Response{StatusCode: status, Body: io.NopCloser(strings.NewReader(text))}, nil
}

// A board that has much to do is asked again; what else it says stands at once, and what it
// said last once there is no time left.
func TestProbeOfBusyBoard(t *testing.T) {
	for name, c := range map[string]struct {
		statuses refusing
		after    time.Duration
		words    string
	}{
		"at once":     {refusing{200}, 0, ""},
		"busy":        {refusing{429, 503, 429, 200}, 3 * longestPause, ""},
		"always busy": {refusing{429}, time.Minute + time.Second, "four answers wait already"},
		"broken":      {refusing{500}, 0, "four answers wait already"},
		"then broken": {refusing{503, 500}, longestPause, "four answers wait already"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute+time.Second)
				defer cancel()
				began := time.Now()
				err := (&Probe{Client: &Client{http: &http.Client{Transport: &c.statuses}}}).Answer(ctx)
				if took := time.Since(began); took != c.after {
					t.Errorf("it took %v, not %v", took, c.after)
				}
				if (err != nil) != (c.words != "") || err != nil && (!strings.Contains(err.Error(), c.words) || errors.Is(err, context.DeadlineExceeded)) {
					t.Error(err)
				}
			})
		})
	}
}
