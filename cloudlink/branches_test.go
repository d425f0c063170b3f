package cloudlink

import (
	"testing"

	"pgregory.net/rapid"
)

// mirror is the cloud as far as branches matter: it has versions of rows, takes
// some uplinks, of rising branches, and skips others.
type mirror struct {
	branch uint32
	rows   []uint32 // by position, the version of the row
}

type sentBranch struct {
	number     uint32
	keep, from int
	sent       []uint32 // versions from position from on
}

// TestBranchesAgainstCloud lets uplinks arrive whole, in part or never, and
// receipts early, late or never. Whatever the cloud takes, it may never keep a
// row of a draft that was rejected, and never find a gap.
func TestBranchesAgainstCloud(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var b branches
		var rows []uint32 // the board's
		version := uint32(0)
		cloud := mirror{}
		current := &sentBranch{}
		uplinks := []*sentBranch{current}
		type receipt struct {
			branch uint32
			end    int
		}
		var receipts []receipt
		t.Repeat(map[string]func(*rapid.T){
			"append": func(t *rapid.T) {
				for range rapid.IntRange(1, 5).Draw(t, "n") {
					version++
					rows = append(rows, version)
				}
				next := current.from + len(current.sent)
				current.sent = append(current.sent, rows[next:]...)
			},
			"truncate": func(t *rapid.T) {
				pos := rapid.IntRange(0, len(rows)).Draw(t, "pos")
				keep := b.truncate(pos)
				rows = rows[:pos]
				if b.confirmed > keep || keep > pos {
					t.Fatalf("confirmed %d, keep %d, truncated to %d", b.confirmed, keep, pos)
				}
				current = &sentBranch{number: b.current, keep: keep, from: b.confirmed}
				current.sent = append(current.sent, rows[current.from:]...)
				uplinks = append(uplinks, current)
			},
			"arrive": func(t *rapid.T) {
				u := uplinks[rapid.IntRange(0, len(uplinks)-1).Draw(t, "uplink")]
				if u.number < cloud.branch {
					return // left long ago
				}
				if u.number > cloud.branch {
					cloud.branch = u.number
					cloud.rows = cloud.rows[:min(u.keep, len(cloud.rows))]
				}
				if u.from > len(cloud.rows) {
					t.Fatalf("branch %d starts at %d, the cloud has %d rows", u.number, u.from, len(cloud.rows))
				}
				n := rapid.IntRange(0, len(u.sent)).Draw(t, "rows")
				for i, v := range u.sent[:n] {
					if u.from+i == len(cloud.rows) {
						cloud.rows = append(cloud.rows, v)
					}
				}
				receipts = append(receipts, receipt{cloud.branch, len(cloud.rows)})
			},
			"confirm": func(t *rapid.T) {
				if len(receipts) == 0 {
					return
				}
				skip := rapid.IntRange(0, len(receipts)-1).Draw(t, "skip")
				b.receipt(receipts[skip].branch, receipts[skip].end)
				receipts = receipts[skip+1:]
			},
			"": func(t *rapid.T) {
				if b.confirmed > len(rows) {
					t.Fatalf("%d rows confirmed of %d", b.confirmed, len(rows))
				}
				if cloud.branch != b.current {
					return
				}
				if len(cloud.rows) < b.confirmed {
					t.Fatalf("%d rows confirmed, the cloud has %d", b.confirmed, len(cloud.rows))
				}
				for i, v := range cloud.rows {
					if v != rows[i] {
						t.Fatalf("the cloud has version %d of row %d, the board %d", v, i, rows[i])
					}
				}
			},
		})
	})
}
