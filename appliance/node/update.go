package node

import (
	"encoding/hex"
	"errors"

	"skerry/appliance/config"
	"skerry/appliance/status"
	"skerry/appliance/update/fleet"
	"skerry/appliance/update/install"
	"skerry/cloudlink/wire"
)

// findInstallation looks how this program is installed, for the status. Nothing is changed
// there by the daemon: root does so before a start, and watches a version on trial.
func (n *Node) findInstallation() {
	i, err := install.Find(n.version, "")
	switch {
	case err == nil:
		n.installed = i
	case !errors.Is(err, install.ErrNotInstalled):
		n.log.Warn("updates are not shown", "error", status.OneLine(err))
	}
}

// updates is how they are, nil where the program is not updated by itself.
func (n *Node) updates() *status.Update {
	if n.installed == nil {
		return nil
	}
	s, err := n.installed.Report()
	if err != nil {
		n.log.Debug("updates are not shown", "error", status.OneLine(err))
		return nil
	}
	u := updateOf(s)
	if s.Bundle != nil {
		u.Bundle = updateOf(s.Bundle)
	}
	u.Offer = n.offer()
	return u
}

// bundleOf is the bundle of the settings, or what an update has brought in its place. Which
// one, a start of the daemon has chosen: until the next it stays.
func (n *Node) bundleOf(conf config.Config) string {
	if n.installed == nil {
		return conf.Bundle
	}
	return n.installed.Models.Path(conf.Bundle, conf.Model)
}

func updateOf(s *install.State) *status.Update {
	u := &status.Update{Kind: s.Kind, Slot: string(s.Slot), Trial: s.Trial, Next: s.Next, Previous: s.Previous}
	if l := s.Last; l != nil {
		u.Last = &status.UpdateResult{Version: l.Version.String(), Kept: l.Kept, Reason: l.Reason, ByHand: l.ByHand(), At: l.At}
	}
	return u
}

// offer is the update that the cloud has told of, and how this board stands to it; nil for
// none. Another process, root's, takes it, and leaves a report.
func (n *Node) offer() *status.UpdateOffer {
	if n.link == nil || n.link.Link == nil {
		return nil
	}
	told := n.link.Link.Offer()
	if told.Version == "" {
		return nil
	}
	o := &status.UpdateOffer{Number: told.Number, Version: told.Version, URL: told.URL, From: int(told.From), Until: int(told.Until)}
	if told.Bundle != (wire.Hash{}) {
		o.Bundle = hex.EncodeToString(told.Bundle[:])
	}
	if n.installed == nil {
		o.State, o.Reason = string(fleet.Refused), install.ErrNotInstalled.Error()
		return o
	}
	r := fleet.Load(n.installed)
	if r.Number != told.Number || r.Version != told.Version {
		o.State = string(fleet.Waiting)
		return o
	}
	o.State, o.Reason = string(r.State), status.OneLine(errors.New(r.Reason))
	return o
}
