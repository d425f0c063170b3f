package node

import (
	"errors"
	"fmt"
	"skerry/cloudlink"
	"skerry/cloudlink/wire"
	"strings"
	"testing"
)

// What will not pass must not look like a lost link, or the board waits for ever.
func TestLasting(t *testing.T) {
	for code, lost := range map[wire.Code]bool{
		wire.CodeUnauthorized: false, wire.CodeProtocol: false, wire.CodeContextFull: false, wire.CodeUnknownBundle: false,
		wire.CodeBusy: true, wire.CodeInternal: true, wire.CodeDraining: true,
	} {
		r := &cloudlink.RemoteError{Code: code, Text: "why", Bundles: []wire.BundleName{{Name: "mine", ID: wire.Hash{0xab}}}}
		err := permanent(fmt.Errorf("%w: %w", cloudlink.ErrLost, r))
		reason := "why"
		if code == wire.CodeUnknownBundle {
			reason = "lacks this model"
		}
		if !strings.Contains(err.Error(), reason) {
			t.Errorf("%s: %v", code, err)
		}
		if got := errors.Is(err, cloudlink.ErrLost); got != lost {
			t.Errorf("%s: lost is %v: %v", code, got, err)
		}
		if code == wire.CodeUnknownBundle && !strings.Contains(err.Error(), "mine (ab00") {
			t.Errorf("%v", err)
		}
	}
}
