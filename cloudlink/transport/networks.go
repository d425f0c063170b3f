package transport

import "context"

// Networks tells when this machine's addresses or routes have changed.
type Networks interface {
	// Watch calls changed after every change until ctx ends. It returns an
	// error when it cannot watch.
	Watch(ctx context.Context, changed func()) error
}
