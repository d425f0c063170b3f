package decode

import (
	"context"

	llamacpp "skerry/appliance/bench/peer"
	"skerry/appliance/bundle/fetch"
)

// InstallPeer has llama.cpp as its own people build it in the cache, ready to start.
func InstallPeer(ctx context.Context, report func(step string, done, total int64)) (Peer, error) {
	cache, err := fetch.CacheDir()
	if err != nil {
		return nil, err
	}
	p, err := llamacpp.Install(ctx, cache, report)
	if err != nil {
		return nil, err
	}
	return installed{p}, nil
}

// installed is the peer as the benchmark takes it. Its polling is its own default, which
// is what its people ship.
type installed struct{ *llamacpp.Peer }

func (p installed) Start(ctx context.Context, model string, o PeerOptions) (PeerRunner, error) {
	return p.Peer.Start(ctx, model, llamacpp.Options{Threads: o.Threads, Context: o.Context, Batch: o.Batch, FlashAttention: true})
}
