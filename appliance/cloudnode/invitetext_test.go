package cloudnode

import (
	"strings"
	"testing"
	"time"

	"skerry/cloudlink/trust"
)

func TestInvitationsAsText(t *testing.T) {
	at := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	var b strings.Builder
	if err := WriteInvitations(&b, []trust.Invitation{{Name: "shed, behind", Code: "1-2", Expires: at}}); err != nil {
		t.Fatal(err)
	}
	if want := "name,code,expires\n\"shed, behind\",1-2,2026-05-01T12:00:00Z\n"; b.String() != want {
		t.Errorf("%q, want %q", b.String(), want)
	}
	table := InviteTable([]Invite{{ID: "7", Name: "shed", May: trust.Text, State: "open", Made: at, Expires: at.Add(time.Hour)}})
	if len(table) != 2 || len(table[1]) != len(table[0]) || strings.Join(table[1][:4], " ") != "7 shed text open" {
		t.Errorf("%q", table)
	}
}
