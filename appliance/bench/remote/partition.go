package remote

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"net"
	"strconv"
	"sync"

	"skerry/appliance/bench/strategies"
	"skerry/appliance/bundle"
	"skerry/appliance/cloudnode/child"
	"skerry/appliance/decode"
)

// Partition is the cloud's process as the edge sees it. It is a strategies.Cloud.
type Partition struct {
	opt  Options
	proc *child.Process
	addr *net.UDPAddr

	mu   sync.Mutex // one question at a time
	asks *json.Encoder
}

// Options of a partition.
type Options struct {
	Version string // of this program
	State   string // where the development certificates are kept
	Bundle  *bundle.Bundle
	Model   decode.Model // of the edge
	Core    int          // of the process; -1 for none of its own
	// Sessions it has room for; 0: a few, for one at a time.
	Sessions int
}

// fewSessions are those of one client: a session that was closed may still be on its way out.
const fewSessions = 4

// Start starts the process; it wants to be stopped.
func Start(o Options) (*Partition, error) {
	proc, err := child.Start("bench", "partition", "--bundle", o.Bundle.Dir, "--state", o.State,
		"--context", strconv.Itoa(o.Model.Context), "--core="+strconv.Itoa(o.Core), "--sessions", strconv.Itoa(cmp.Or(o.Sessions, fewSessions)))
	if err != nil {
		return nil, err
	}
	p := &Partition{opt: o, proc: proc, asks: json.NewEncoder(proc.Stdin)}
	found, err := proc.Announced()
	if err == nil {
		p.addr, err = net.ResolveUDPAddr("udp", found.Listening)
	}
	if err != nil {
		p.Stop()
		return nil, err
	}
	return p, nil
}

// Stop ends the process and waits for it.
func (p *Partition) Stop() { p.proc.Stop(nil) }

// ask waits for the answer however long the cloud computes; the end of its process
// ends it.
func (p *Partition) ask(ctx context.Context, q question) (r reply, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return r, err
	}
	if err = p.asks.Encode(q); err == nil {
		err = p.proc.Stdout.Decode(&r)
	}
	if err == nil && r.Error != "" {
		err = errors.New(r.Error)
	}
	if err != nil {
		err = p.proc.Failed(err)
	}
	return r, err
}

// Spent is what the cloud has computed since it was started.
func (p *Partition) Spent(ctx context.Context) (strategies.Spent, error) {
	r, err := p.ask(ctx, question{Do: "spent"})
	return r.Spent, err
}

// Pass times the whole model.
func (p *Partition) Pass(ctx context.Context) (strategies.Pass, error) {
	r, err := p.ask(ctx, question{Do: "pass"})
	return r.Pass, err
}

// Likeliest are the whole model's likeliest tokens after each of the tokens from the given
// one on.
func (p *Partition) Likeliest(ctx context.Context, tokens []int32, from int) ([]int32, error) {
	r, err := p.ask(ctx, question{Do: "likeliest", Tokens: tokens, From: from})
	return r.IDs, err
}
