package trust_test

import (
	"testing"
	"time"

	"skerry/cloudlink/trust"
)

// Open invitations are listed oldest first and taken back by code, by ID or by the
// name of the board; a board that comes with such a code reads that it was.
func TestWithdraw(t *testing.T) {
	c := newCloud(t)
	byCode := c.invite(t, "", trust.Hidden)
	c.invite(t, "shed", trust.Hidden)
	c.invite(t, "shed", trust.Text)
	c.invite(t, "attic", trust.Text)
	c.enroll(t, "used", trust.Text)
	open, err := c.registrar.Invitations(false)
	if err != nil || len(open) != 4 {
		t.Fatalf("%+v, %v", open, err)
	}
	for what, want := range map[string]int{byCode.String(): 1, "shed": 2} {
		if gone, err := c.registrar.Withdraw(what); err != nil || len(gone) != want {
			t.Errorf("%s: %+v, %v", what, gone, err)
		}
	}
	for _, i := range open {
		if i.Name == "attic" {
			if gone, err := c.registrar.Withdraw(i.ID()); err != nil || len(gone) != 1 {
				t.Errorf("%+v, %v", gone, err)
			}
		}
	}
	for _, what := range []string{"used", "nobody", "", byCode.String()} {
		_, err := c.registrar.Withdraw(what)
		wantErr(t, err, trust.ErrNoInvite, "skerry cloud invites")
	}
	_, err = trust.Enroll(t.Context(), byCode, c.options(t.TempDir()))
	wantErr(t, err, trust.ErrNotAllowed, "at most")
	opt := c.options(t.TempDir())
	opt.Disclosure = trust.Hidden
	_, err = trust.Enroll(t.Context(), byCode, opt)
	wantErr(t, err, trust.ErrWithdrawn, "skerry cloud invite")
	all, err := c.registrar.Invitations(true)
	states := map[string]int{}
	for _, i := range all {
		states[i.State(c.now())]++
	}
	if err != nil || states["withdrawn"] != 4 || states["used"] != 1 {
		t.Errorf("%v, %v", states, err)
	}
	if s := (trust.Invite{Expires: c.now()}).State(c.now().Add(time.Second)); s != "expired" {
		t.Error(s)
	}
}
