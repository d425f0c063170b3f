package testleak

import (
	"errors"
	"testing"

	"go.uber.org/goleak"
)

func TestAwait(t *testing.T) {
	looks, left := 0, errors.New("a goroutine")
	find := func() error {
		if looks++; looks < 3 {
			return left
		}
		return nil
	}
	if err := await(find, patience); err != nil || looks != 3 {
		t.Errorf("%v after %d looks", err, looks)
	}
	if err := await(func() error { return left }, -1); !errors.Is(err, left) {
		t.Errorf("what stays is told as %v", err)
	}
}

func TestNone(t *testing.T) {
	others := goleak.IgnoreCurrent()
	end, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		<-end
	}()
	if err := goleak.Find(others); err == nil {
		t.Error("a goroutine that waits is not found")
	}
	close(end)
	<-ended
	None(t, others)
}
