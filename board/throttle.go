package board

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// Throttling is what keeps a board from its full clock.
type Throttling struct {
	Now  []string `json:"now"`  // what does at present
	Past []string `json:"past"` // what did since the start, and no longer does
}

// Bits of the Raspberry Pi's firmware word; those from 16 on say the same of the
// time since the start.
var piBits = []struct {
	bit  uint
	text string
}{
	{0, "under-voltage"}, {1, "clock capped"}, {2, "throttled"}, {3, "soft temperature limit"},
}

// piThrottled is where the Pi's kernel shows the firmware's word, in hex.
const piThrottled = "sys/devices/platform/soc/soc:firmware/get_throttled"

// Throttled reads the Pi's firmware word or a Jetson's over-current alerts and
// cooling devices. It returns ErrAbsent where the board has neither.
func Throttled(root string) (Throttling, error) {
	t, err := piWord(root)
	if !errors.Is(err, ErrAbsent) {
		return t, err
	}
	return jetsonAlerts(root)
}

func piWord(root string) (t Throttling, err error) {
	b, err := os.ReadFile(filepath.Join(root, piThrottled))
	if errors.Is(err, os.ErrNotExist) {
		return t, ErrAbsent
	}
	if err != nil {
		return t, err
	}
	word, err := strconv.ParseUint(strings.TrimPrefix(strings.TrimSpace(string(b)), "0x"), 16, 32)
	if err != nil {
		return t, err
	}
	for _, p := range piBits {
		switch {
		case word>>p.bit&1 == 1:
			t.Now = append(t.Now, p.text)
		case word>>(p.bit+16)&1 == 1:
			t.Past = append(t.Past, p.text)
		}
	}
	return t, nil
}

// jetsonAlerts: hwmon soctherm_oc counts over-current events since the start, and
// a cooling device named cpu-throttle-alert or hot-surface-alert stands above 0
// while it works.
func jetsonAlerts(root string) (t Throttling, err error) {
	found := false
	hwmon(root, func(dir, name string) {
		if name != "soctherm_oc" {
			return
		}
		counts, _ := filepath.Glob(filepath.Join(dir, "oc*_event_cnt"))
		for _, c := range counts {
			found = true
			if n, e := number(c, 1); e == nil && n > 0 {
				t.Past = append(t.Past, "over-current "+strings.TrimSuffix(filepath.Base(c), "_event_cnt"))
			}
		}
	})
	devices, _ := filepath.Glob(filepath.Join(root, "sys/class/thermal/cooling_device*"))
	for _, dir := range devices {
		if kind := text(filepath.Join(dir, "type")); strings.HasSuffix(kind, "-alert") {
			found = true
			if n, e := number(filepath.Join(dir, "cur_state"), 1); e == nil && n > 0 {
				t.Now = append(t.Now, strings.TrimSuffix(kind, "-alert"))
			}
		}
	}
	if !found {
		return t, ErrAbsent
	}
	return t, nil
}
