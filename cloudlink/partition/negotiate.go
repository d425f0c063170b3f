package partition

import (
	"fmt"
	"slices"

	"skerry/cloudlink/wire"
)

// terms are what an Open agrees on.
type terms struct {
	sched    *scheduler
	protocol uint32
	encoding wire.DType // of hidden states, beside float32
}

// negotiate finds the terms of a session, or says why there are none. The device
// may open it (mayOpen).
func (c *connection) negotiate(open *wire.Open) (terms, *wire.Error) {
	if open.Protocol < wire.ProtocolMin || open.Protocol > c.srv.conf.Protocol {
		return terms{}, &wire.Error{Code: wire.CodeProtocol, Text: fmt.Sprintf(
			"the session is in protocol %d, this cloud speaks %d to %d: update the older side",
			open.Protocol, wire.ProtocolMin, c.srv.conf.Protocol)}
	}
	t := terms{sched: c.srv.schedulers[open.Bundle], encoding: wire.F32}
	t.protocol = min(max(open.Newest, open.Protocol), c.srv.conf.Protocol)
	if t.sched == nil {
		return terms{}, &wire.Error{
			Code: wire.CodeUnknownBundle, Text: "bundle " + open.Bundle.String() + " is not served here",
			Bundles: c.srv.served(),
		}
	}
	if open.Tokens {
		if t.sched = c.srv.wholes[open.Bundle]; t.sched == nil {
			return terms{}, &wire.Error{Code: wire.CodeNotWhole, Text: "this cloud holds no whole model for token ids: send hidden states"}
		}
		return t, nil
	}
	served := slices.IndexFunc(open.Encodings, func(e wire.DType) bool {
		return e == wire.F32 || !open.Exact && t.protocol > 1 && wire.Encodes(e)
	})
	if served < 0 {
		return terms{}, &wire.Error{Code: wire.CodeProtocol, Text: "no encoding of hidden states that this cloud serves is offered: float32 always is"}
	}
	t.encoding = open.Encodings[served].Fit(t.sched.bundle.Stage.Width())
	return t, nil
}
