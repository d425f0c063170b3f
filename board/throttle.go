package board

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// Throttling is what keeps a board from its full clock.
type Throttling struct {
	Now  []Cause // what does at present
	Past []Cause // what did since the start, and no longer does
}

// Cause of throttling: a code that programs compare, and words for people.
type Cause struct{ Code, Text string }

// Codes of causes. Jetsons have others beside, as their cooling devices are called.
const (
	UnderVoltage         = "under-voltage"
	OverCurrent          = "over-current"
	ClockCapped          = "clock-capped"
	ThrottledNow         = "throttled"
	SoftTemperatureLimit = "soft-temperature-limit"
)

// Has says whether one of the causes of now has this code.
func (t Throttling) Has(code string) bool {
	return slices.ContainsFunc(t.Now, func(c Cause) bool { return c.Code == code })
}

// Texts of causes, for people.
func Texts(causes []Cause) (texts []string) {
	for _, c := range causes {
		texts = append(texts, c.Text)
	}
	return texts
}

// Codes of causes.
func Codes(causes []Cause) (codes []string) {
	for _, c := range causes {
		codes = append(codes, c.Code)
	}
	return codes
}

// Bits of the Raspberry Pi's firmware word; those from 16 on say the same of the
// time since the start.
var piBits = []struct {
	bit uint
	Cause
}{
	{0, Cause{UnderVoltage, "under-voltage"}},
	{1, Cause{ClockCapped, "clock capped"}},
	{2, Cause{ThrottledNow, "throttled"}},
	{3, Cause{SoftTemperatureLimit, "soft temperature limit"}},
}

// piThrottled is where the Pi's kernel shows the firmware's word, in hex.
const piThrottled = "sys/devices/platform/soc/soc:firmware/get_throttled"

// Throttled reads the Pi's firmware word or a Jetson's over-current alerts and
// cooling devices. It returns ErrNoData where the board has neither; what comes
// beside another error is good.
func Throttled(root string) (Throttling, error) {
	t, err := piWord(root)
	if !errors.Is(err, ErrNoData) {
		return t, err
	}
	return jetsonAlerts(root)
}

func piWord(root string) (t Throttling, err error) {
	path := filepath.Join(root, piThrottled)
	s, err := readSmall(path)
	if err != nil {
		return t, err
	}
	word, err := strconv.ParseUint(strings.TrimPrefix(s, "0x"), 16, 32)
	if err != nil {
		return t, fmt.Errorf("%s: %q is not a hexadecimal number", path, s)
	}
	for _, p := range piBits {
		switch {
		case word>>p.bit&1 == 1:
			t.Now = append(t.Now, p.Cause)
		case word>>(p.bit+16)&1 == 1:
			t.Past = append(t.Past, p.Cause)
		}
	}
	return t, nil
}

// jetsonAlerts: hwmon soctherm_oc counts over-current events since the start, and
// a cooling device named cpu-throttle-alert or hot-surface-alert stands above 0
// while it works.
func jetsonAlerts(root string) (t Throttling, err error) {
	found := false
	raised := func(path string) bool {
		n, e := number(path, 1)
		found = found || e == nil
		err = errors.Join(err, failure(e))
		return e == nil && n > 0
	}
	hwmon(root, func(dir, name string) {
		if name != "soctherm_oc" {
			return
		}
		counts, _ := filepath.Glob(filepath.Join(dir, "oc*_event_cnt"))
		for _, c := range counts {
			if raised(c) {
				t.Past = append(t.Past, Cause{OverCurrent, "over-current " + strings.TrimSuffix(filepath.Base(c), "_event_cnt")})
			}
		}
	})
	devices, _ := filepath.Glob(filepath.Join(root, "sys/class/thermal/cooling_device*"))
	for _, dir := range devices {
		kind := text(filepath.Join(dir, "type"))
		if strings.HasSuffix(kind, "-alert") && raised(filepath.Join(dir, "cur_state")) {
			name := strings.TrimSuffix(kind, "-alert")
			t.Now = append(t.Now, Cause{name, name})
		}
	}
	if !found && err == nil {
		return t, ErrNoData
	}
	return t, err
}
