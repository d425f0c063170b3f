package node

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"skerry/appliance/decode"
	"skerry/cloudlink"
	"skerry/cloudlink/wire"
)

// The token loop is told which errors of the cloud pass, and for how long to leave it alone.
func TestTransientErrors(t *testing.T) {
	for name, c := range map[string]struct {
		err        error
		transient  bool
		busy       bool
		retryAfter time.Duration
	}{
		"the link is lost":      {fmt.Errorf("%w: no answer", cloudlink.ErrLost), true, false, 0},
		"the cloud stops":       {&cloudlink.RemoteError{Code: wire.CodeDraining}, true, false, 0},
		"the cloud is busy":     {&cloudlink.RemoteError{Code: wire.CodeBusy, RetryAfter: time.Minute}, true, true, time.Minute},
		"the cloud has failed":  {&cloudlink.RemoteError{Code: wire.CodeInternal}, true, false, 0},
		"the session is stale":  {&cloudlink.RemoteError{Code: wire.CodeStale}, true, false, 0},
		"the device is unknown": {&cloudlink.RemoteError{Code: wire.CodeUnauthorized}, false, false, 0},
		"the session is closed": {cloudlink.ErrClosed, false, false, 0},
	} {
		got := new(decode.TransientError)
		err := asTransient(permanent(c.err))
		if ok := errors.As(err, &got); ok != c.transient || got.Busy != c.busy || got.RetryAfter != c.retryAfter {
			t.Errorf("%s: %v is transient: %v, %+v", name, err, ok, got)
		}
		if c.transient && err.Error() != c.err.Error() {
			t.Errorf("%s reads %q, not %q", name, err, c.err)
		}
	}
}
