package offer

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"skerry/cloudlink"
	"skerry/cloudlink/wire"
)

func TestPullNames(t *testing.T) {
	have := []wire.BundleName{
		{ID: wire.Hash{1, 0xab}, Name: "smol", Bytes: 5}, {ID: wire.Hash{2}, Name: "twin", Bytes: 5},
		{ID: wire.Hash{3}, Name: "twin", Bytes: 5}, {ID: wire.Hash{4}, Name: "a b\x1b[2J"},
	}
	for name, want := range map[string]string{"smol": "01ab", "SMOL": "01ab", "01ab0000": "01ab", "020000000000": "02", "twin": "several bundles", "none": "no bundle \"none\"", "01": "no bundle", "": "no bundle"} {
		b, err := Find(have, name)
		if err == nil && !strings.HasPrefix(fmt.Sprintf("%x", b.ID[:]), want) || err != nil && (!strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\x1b")) {
			t.Errorf("%q: %v, %v", name, b, err)
		}
	}
	for i, want := range []string{"skerry model pull cloud:smol", "skerry model pull cloud:020000000000", "skerry model pull cloud:030000000000", ""} {
		alone := append([]wire.BundleName{have[i]}, have...)[:1]
		if i == 1 || i == 2 {
			alone = have[i:]
			if i == 2 {
				alone = []wire.BundleName{have[2], have[1]}
			}
		}
		if got := PullCommand(alone); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	if text := LacksText(nil); !strings.HasSuffix(text, "it has none") {
		t.Error(text)
	}
	if text := Names(make([]wire.BundleName, 9)); !strings.HasSuffix(text, "5 more") {
		t.Error(text)
	}
}

// A pull costs no more than what is left of the month.
func TestAffordable(t *testing.T) {
	month := cloudlink.BudgetStatus{Metered: true, Bytes: 500e6, Spent: 400e6, Ends: time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC)}
	if err := affordable(month, 90e6); err != nil {
		t.Error(err)
	}
	err := affordable(month, 99e6)
	if !errors.Is(err, cloudlink.ErrBudget) || !strings.Contains(err.Error(), "100 MB of the month's 500 MB are left") || !strings.Contains(err.Error(), "2026-06-01") {
		t.Error(err)
	}
	month.Spent = 600e6
	if err := affordable(month, 1); err == nil {
		t.Error("a month that is spent")
	}
	if err := affordable(cloudlink.BudgetStatus{Bytes: 5}, 99e9); err != nil {
		t.Error(err)
	}
}
