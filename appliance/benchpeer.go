package main

import (
	"context"
	"errors"

	"skerry/appliance/bench"
)

// installPeer has the peer in the cache, ready to start.
func installPeer(context.Context, func(step string, done, total int64)) (bench.Peer, error) {
	return nil, errors.New("this build knows no peer")
}
