package admin

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"
)

// Operation is one thing that an operator may have done, declared once for both ends of
// the socket: Q is what is asked and R what comes back, both as JSON. Errors travel with
// their codes.
type Operation[Q, R any] struct{ Method, Path string }

// largestRequest bounds what is read of a request.
const largestRequest = 1 << 20

// Handle has do carry the operation out.
func (o Operation[Q, R]) Handle(mux *http.ServeMux, do func(context.Context, Q) (R, error)) {
	mux.HandleFunc(o.Method+" "+o.Path, func(w http.ResponseWriter, r *http.Request) {
		var q Q
		if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, largestRequest)).Decode(&q); err != nil {
			reply(w, nil, fmt.Errorf("the request is %w: %w", ErrBadRequest, err))
			return
		}
		done, err := do(r.Context(), q)
		reply(w, done, err)
	})
}

// Call asks the other end to carry the operation out.
func (o Operation[Q, R]) Call(ctx context.Context, c *Client, q Q) (r R, err error) {
	body, err := json.Marshal(q)
	if err != nil {
		return r, err
	}
	_, err = c.send(ctx, o.Method, o.Path, body, &r)
	return r, err
}

// operationTime bounds an operation, from its first byte to its last.
const operationTime = 30 * time.Second

// OperationServer carries out operations for whoever may open its socket.
type OperationServer struct {
	http   *http.Server
	served chan struct{} // closed once the listener is
}

// ServeOperations answers at l until Close. What the handler does not know is an error
// that says so.
func ServeOperations(l net.Listener, h *http.ServeMux) *OperationServer {
	h.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		fail(w, &Error{CodeNotFound, "what runs here does not know " + r.URL.Path + ": restart it, as it is of another version than this command", http.StatusNotFound})
	})
	s := &OperationServer{served: make(chan struct{}), http: &http.Server{
		Handler: h, ReadTimeout: operationTime, WriteTimeout: operationTime, IdleTimeout: operationTime, MaxHeaderBytes: 16 << 10,
		ErrorLog: slog.NewLogLogger(slog.DiscardHandler, 0),
	}}
	go func() {
		defer close(s.served)
		s.http.Serve(l)
	}()
	return s
}

// Close closes the listener and waits for the operations under way.
func (s *OperationServer) Close() {
	ctx, cancel := context.WithTimeout(context.Background(), operationTime)
	defer cancel()
	if s.http.Shutdown(ctx) != nil {
		s.http.Close()
	}
	<-s.served
}
