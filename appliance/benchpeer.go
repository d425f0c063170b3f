package main

import (
	"context"

	"skerry/appliance/bench"
	"skerry/appliance/bench/peer"
	"skerry/appliance/bundle"
)

// installPeer has the peer in the cache, ready to start.
func installPeer(ctx context.Context, report func(step string, done, total int64)) (bench.Peer, error) {
	cache, err := bundle.CacheDir()
	if err != nil {
		return nil, err
	}
	p, err := peer.Install(ctx, cache, report)
	if err != nil {
		return nil, err
	}
	return peerAdapter{p}, nil
}

// peerAdapter is the peer as the benchmark takes it. Its polling is its own
// default, which is what its people ship.
type peerAdapter struct{ *peer.Peer }

func (a peerAdapter) Start(ctx context.Context, model string, o bench.PeerOptions) (bench.PeerRunner, error) {
	return a.Peer.Start(ctx, model, peer.Options{Threads: o.Threads, Context: o.Context, Batch: o.Batch, FlashAttention: true})
}
