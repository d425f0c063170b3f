package node

import (
	"skerry/appliance/bundle/offer"
	"skerry/appliance/status"
	"skerry/cloudlink"
	"skerry/cloudlink/wire"
)

// refusalText is what people read of a refusal.
func refusalText(r cloudlink.Refusal) string {
	switch {
	case r.Revoked:
		return "this board was revoked by the cloud's operator"
	case r.Code == wire.CodeUnknownBundle:
		return offer.LacksText(r.Bundles)
	}
	return r.Text
}

// showRefusal puts the cloud's no into the status of the link.
func showRefusal(s *status.Link, r cloudlink.Refusal) {
	if r.None() {
		return
	}
	s.Refusal, s.RefusalText = r.Word(), refusalText(r)
	if r.Code == wire.CodeUnknownBundle {
		s.Pull = offer.PullCommand(r.Bundles)
	}
	switch {
	case !r.Lasting():
	case s.Connected:
		s.State, s.Reason = status.LinkRefused, s.RefusalText
	case r.Revoked:
		s.Reason = s.RefusalText
	}
}
