package wire

import (
	"bytes"
	"errors"
	"testing"
	"testing/synctest"
)

func TestOutbox(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := NewOutbox(0)
		got := make(chan []byte)
		go func() {
			for b := o.Take(); b != nil; b = o.Take() {
				got <- b
			}
			close(got)
		}()
		drain := &Drain{}
		want, err := Append(nil, drain)
		if err != nil {
			t.Fatal(err)
		}
		synctest.Wait() // Take waits
		if err := o.Put(drain); err != nil {
			t.Fatal(err)
		}
		if b := <-got; !bytes.Equal(b, want) {
			t.Errorf("took %x, put %x", b, want)
		}
		o.Close(drain)
		o.Close(drain) // only the first counts
		if err := o.Put(drain); err != nil {
			t.Errorf("put after close: %v", err)
		}
		if b := <-got; !bytes.Equal(b, want) {
			t.Errorf("took %x at the end", b)
		}
		if b, ok := <-got; ok {
			t.Errorf("took %x after the end", b)
		}
	})
}

func TestOutboxLimit(t *testing.T) {
	one, err := Append(nil, &Drain{})
	if err != nil {
		t.Fatal(err)
	}
	o := NewOutbox(2 * len(one))
	for i, want := range []error{nil, nil, ErrFull, ErrFull} {
		if err := o.Put(&Drain{}); !errors.Is(err, want) {
			t.Errorf("put %d: %v", i+1, err)
		}
	}
	if b := o.Take(); len(b) != 2*len(one) {
		t.Errorf("%d bytes kept", len(b))
	}
	if err := o.Put(&Drain{}); err != nil {
		t.Errorf("put after take: %v", err)
	}
}
