package cloudnode

import (
	"encoding/csv"
	"io"
	"time"

	"skerry/cloudlink/trust"
)

// WriteInvitations writes codes as CSV, under the names of its columns.
func WriteInvitations(to io.Writer, made []trust.Invitation) error {
	w := csv.NewWriter(to)
	w.Write([]string{"name", "code", "expires"})
	for _, i := range made {
		w.Write([]string{i.Name, i.Code, i.Expires.UTC().Format(time.RFC3339)})
	}
	w.Flush()
	return w.Error()
}

// InviteTable has a row for each invitation, under a row of heads.
func InviteTable(list []Invite) [][]string {
	table := [][]string{{"ID", "NAME", "MAY SEE", "STATE", "MADE", "EXPIRES"}}
	for _, i := range list {
		table = append(table, []string{i.ID, i.Name, string(i.May), i.State, i.Made.Local().Format(time.DateTime), i.Expires.Local().Format(time.DateTime)})
	}
	return table
}
