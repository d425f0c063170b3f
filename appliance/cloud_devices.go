package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"skerry/cloudlink/trust"
	"skerry/cloudlink/wire"
)

type cloudDevicesCmd struct {
	State string `help:"The state directory of the cloud." placeholder:"DIR" type:"path"`
	JSON  bool   `name:"json" help:"As JSON."`
}

// deviceRow is a board as `skerry cloud devices --json` prints it.
type deviceRow struct {
	Name     string        `json:"name"`
	May      trust.May     `json:"may"`
	Revoked  bool          `json:"revoked"`
	Enrolled time.Time     `json:"enrolled"`
	Expires  time.Time     `json:"expires"` // its certificate; it renews by itself
	Epoch    uint64        `json:"epoch"`   // highest connection number seen
	Seen     *time.Time    `json:"seen,omitempty"`
	Status   *deviceStatus `json:"status,omitempty"`
}

// deviceStatus is what a board said of itself last.
type deviceStatus struct {
	Version   string            `json:"version"`
	Mode      string            `json:"mode"`
	Health    string            `json:"health"`
	BytesUp   uint64            `json:"bytes_up"`   // this month
	BytesDown uint64            `json:"bytes_down"` // this month
	Uptime    uint64            `json:"uptime_s"`
	Bundle    string            `json:"bundle,omitempty"`
	Tokens    map[string]uint64 `json:"tokens,omitempty"` // said, by source
	Transport string            `json:"transport,omitempty"`
}

func (c *cloudDevicesCmd) Run(out *console) error {
	state, err := stateDir(c.State)
	if err != nil {
		return err
	}
	got, err := atDesk(out.stderr, state, order{Do: "devices"})
	if err != nil {
		return err
	}
	rows := make([]deviceRow, 0, len(got.Devices))
	for _, d := range got.Devices {
		rows = append(rows, newDeviceRow(d))
	}
	if c.JSON {
		return json.NewEncoder(out.stdout).Encode(rows)
	}
	if len(rows) == 0 {
		out.note("no board is enrolled yet: `skerry cloud invite` makes a code for one")
		return nil
	}
	w := tabwriter.NewWriter(out.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "NAME\tMAY SEE\tSTATE\tEPOCH\tLAST STATUS\tVERSION\tMODE\tHEALTH\tUP\tDOWN")
	for _, r := range rows {
		fmt.Fprintln(w, strings.Join(r.cells(time.Now()), "\t"))
	}
	return w.Flush()
}

func newDeviceRow(d trust.Device) deviceRow {
	r := deviceRow{Name: d.Name, May: d.May, Revoked: d.Revoked, Enrolled: d.Enrolled, Expires: d.Expires, Epoch: d.Epoch}
	if !d.Seen.IsZero() {
		r.Seen = &d.Seen
		if s, err := wire.DecodeStatus(d.Status); err == nil {
			r.Status = newDeviceStatus(s)
		}
	}
	return r
}

func newDeviceStatus(s *wire.Status) *deviceStatus {
	d := &deviceStatus{
		Version: s.Version, Mode: s.Mode, Health: s.Health, BytesUp: s.BytesUp, BytesDown: s.BytesDown,
		Uptime: s.Uptime, Tokens: s.Tokens, Transport: s.Transport,
	}
	if s.Bundle != (wire.Hash{}) {
		d.Bundle = s.Bundle.String()
	}
	return d
}

func (r deviceRow) cells(now time.Time) []string {
	state, seen := "enrolled", "never"
	switch {
	case r.Revoked:
		state = "revoked"
	case now.After(r.Expires):
		state = "expired"
	}
	if r.Seen != nil {
		seen = ago(now.Sub(*r.Seen))
	}
	cells := []string{r.Name, string(r.May), state, fmt.Sprint(r.Epoch), seen}
	if s := r.Status; s != nil {
		return append(cells, printable(s.Version), printable(s.Mode), printable(s.Health), bytesText(int64(s.BytesUp)), bytesText(int64(s.BytesDown)))
	}
	return append(cells, "-", "-", "-", "-", "-")
}

func ago(d time.Duration) string {
	switch {
	case d < time.Minute:
		return "just now"
	case d < 2*time.Hour:
		return fmt.Sprintf("%d min ago", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%d h ago", int(d.Hours()))
	}
	return fmt.Sprintf("%d days ago", int(d.Hours()/24))
}

// printable makes what a board says of itself safe for the operator's terminal.
func printable(s string) string {
	return cmp.Or(strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r >= 0x80 && r < 0xa0 {
			return '?'
		}
		return r
	}, s), "-")
}

type cloudRevokeCmd struct {
	Device string `arg:"" help:"The board, as skerry cloud devices names it."`
	State  string `help:"The state directory of the cloud." placeholder:"DIR" type:"path"`
}

func (c *cloudRevokeCmd) Run(out *console) error {
	state, err := stateDir(c.State)
	if err != nil {
		return err
	}
	if _, err := atDesk(out.stderr, state, order{Do: "revoke", Name: c.Device}); err != nil {
		return err
	}
	out.note("%s is revoked: it is cut off, and only a new code lets it in again", c.Device)
	return nil
}
