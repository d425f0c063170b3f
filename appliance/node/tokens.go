package node

import (
	"context"
	"slices"

	"skerry/appliance/bundle"
	"skerry/appliance/decode"
	"skerry/appliance/infer"
	"skerry/cloudlink/trust"
	"skerry/cloudlink/wire"
)

// This file is about boards whose cloud may see text and holds the whole model: with a draft
// model they need none of its blocks, and send token ids in place of hidden states.

// boardRoles are the files that this board computes with.
func (o *opening) boardRoles() []bundle.Role {
	roles := BoardRoles(o.bundle.Manifest, o.mode)
	if !o.tokens {
		return roles
	}
	return slices.DeleteFunc(roles, func(r bundle.Role) bool { return r == bundle.Board1 })
}

// chooseTokens has token ids go up where that is possible.
func (o *opening) chooseTokens(ctx context.Context) {
	if o.bundle.Manifest.Projector != nil { // images are rows of the first stage, which is then wanted
		return
	}
	if takes := o.loader.takesTokens; takes != nil && wantsTokens(o.bundle.Manifest, o.mode) {
		o.tokens = takes(ctx, o.bundle.Manifest.ID())
	}
}

// wantsTokens reports whether the head stage is of no use in the mode but for the hidden
// states that it has for the cloud.
func wantsTokens(m *bundle.Manifest, mode infer.Mode) bool {
	return slices.Equal(BoardRoles(m, mode), []bundle.Role{bundle.Board1, bundle.DraftModel})
}

// rowBytes are those of a row that is kept for the cloud.
func (o *opening) rowBytes() int64 {
	if o.tokens {
		return 4
	}
	return 4 * int64(o.bundle.Manifest.Embedding)
}

// tokenExits stand in the place of the exits where token ids go up.
func tokenExits() []decode.Exit { return []decode.Exit{{Stage: decode.NewTokenStage()}} }

// takesTokens reports whether the cloud may see token ids of a bundle and has said that it
// computes them. A cloud that is not reached within a while is sent hidden states, which it
// takes in any case.
func (d *cloudLink) takesTokens(ctx context.Context, bundle wire.Hash) bool {
	if d.may != trust.Text {
		return false
	}
	ctx, cancel := context.WithTimeout(ctx, firstDial)
	defer cancel()
	if d.Await(ctx) != nil {
		return false
	}
	have, _ := d.Bundles()
	return slices.ContainsFunc(have, func(b wire.BundleName) bool { return b.ID == bundle && b.Whole })
}
