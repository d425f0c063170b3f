package trust

import (
	"slices"
	"strings"
)

// Invitations lists the invitations, the newest last: all, or those a board can
// still use.
func (r *Registrar) Invitations(all bool) ([]Invite, error) {
	list, err := r.Store.Invites()
	if !all {
		now := r.Now()
		list = slices.DeleteFunc(list, func(i Invite) bool { return i.State(now) != "open" })
	}
	slices.SortStableFunc(list, func(a, b Invite) int { return a.Made.Compare(b.Made) })
	return list, err
}

// Withdraw takes open invitations back: that of a code, that of an ID as
// Invitations has it, or all for a device of that name. An error wraps
// ErrNoInvite where there is none.
func (r *Registrar) Withdraw(what string) (gone []Invite, err error) {
	open, err := r.Invitations(false)
	if err != nil {
		return nil, err
	}
	code, notCode := ParseCode(what)
	for _, i := range open {
		if !(notCode == nil && i.Hash == code.Hash() || strings.EqualFold(what, i.ID()) || i.Name != "" && i.Name == what) {
			continue
		}
		if err := r.Store.WithdrawInvite(i.Hash, r.Now()); err != nil {
			return gone, err
		}
		r.Log.Info("invitation withdrawn", "invitation", i.ID(), "name", i.Name)
		gone = append(gone, i)
	}
	if len(gone) == 0 {
		return nil, refuse(ErrNoInvite, "%s (`skerry cloud invites` lists them)", shortName(what))
	}
	return gone, nil
}

// shortName is how an error names what an operator gave: no whole code.
func shortName(what string) string {
	if len(what) > maxName {
		return "of that code"
	}
	return what
}
