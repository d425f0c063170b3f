package node

import (
	"errors"

	"skerry/appliance/status"
	"skerry/appliance/update/install"
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
	u := &status.Update{Kind: s.Kind, Slot: string(s.Slot), Trial: s.Trial, Next: s.Next, Previous: s.Previous}
	if l := s.Last; l != nil {
		u.Last = &status.UpdateResult{Version: l.Version.String(), Kept: l.Kept, Reason: l.Reason, ByHand: l.ByHand(), At: l.At}
	}
	return u
}
