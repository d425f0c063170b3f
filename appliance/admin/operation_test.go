package admin

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"path/filepath"
	"testing"
)

type ( // what the operation of this test is asked, and answers
	asked    struct{ N int }
	answered struct{ Twice int }
)

// An operation is declared once for both ends, its errors keep their kind, and Close waits
// for what is under way.
func TestOperation(t *testing.T) {
	double := Operation[asked, answered]{Method: "POST", Path: "/api/v1/double"}
	begun, goOn := make(chan struct{}), make(chan struct{})
	mux := http.NewServeMux()
	double.Handle(mux, func(_ context.Context, q asked) (answered, error) {
		switch q.N {
		case 0:
			return answered{}, fmt.Errorf("nothing to double: %w", ErrConflict)
		case 1:
			close(begun)
			<-goOn
		}
		return answered{2 * q.N}, nil
	})
	sock := filepath.Join(t.TempDir(), "s.sock")
	l, err := net.Listen("unix", sock)
	if err != nil {
		t.Fatal(err)
	}
	s, c := ServeOperations(l, mux), Dial(sock)
	defer c.Close()
	if err := c.Connect(t.Context()); err != nil {
		t.Error(err)
	}
	if r, err := double.Call(t.Context(), c, asked{21}); err != nil || r.Twice != 42 {
		t.Errorf("%+v, %v", r, err)
	}
	e := (*Error)(nil)
	if _, err := double.Call(t.Context(), c, asked{0}); !errors.As(err, &e) || e.Code != CodeConflict || !errors.Is(err, ErrConflict) || err.Error() != "nothing to double: in use" {
		t.Errorf("%+v", err)
	}
	done := make(chan error)
	go func() {
		_, err := double.Call(t.Context(), c, asked{1})
		done <- err
	}()
	<-begun
	closed := make(chan struct{})
	go func() {
		s.Close()
		close(closed)
	}()
	<-s.served // nobody is let in any more
	close(goOn)
	if err := <-done; err != nil {
		t.Errorf("under way at the end: %v", err)
	}
	<-closed
	u := (*Unreachable)(nil)
	if err := c.Connect(t.Context()); !errors.As(err, &u) || !u.NotRunning() {
		t.Errorf("%v", err)
	}
}
