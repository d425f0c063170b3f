package board

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"
)

var update = flag.Bool("update", false, "write the golden files anew")

// root lays a fixture out and returns where.
func root(t testing.TB, fixture string) string {
	t.Helper()
	a, err := txtar.ParseFile(fixture)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for _, f := range a.Files {
		path := filepath.Join(dir, f.Name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		data := strings.ReplaceAll(string(f.Data), `\0`, "\x00")
		if err := os.WriteFile(path, []byte(data), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// describe is everything that is read off a board, a line each.
func describe(root string) string {
	var b strings.Builder
	k := Detect(root)
	fmt.Fprintf(&b, "%s | %s | %s | unified memory %v\n", k.Name, k.Family, k.Model, k.Unified)
	s := Look(root)
	for _, sensor := range s.Sensors {
		if len(sensor.Readings) == 0 {
			fmt.Fprintf(&b, "%s: none\n", sensor.Name)
		}
		for _, r := range sensor.Readings {
			b.WriteString(strings.TrimSpace(fmt.Sprintf("%s: %s = %.6g %s %s", sensor.Name, r.Name, r.Value, r.Unit, r.Part)) + "\n")
		}
		if hottest, ok := Hottest(sensor.Readings); ok && sensor.Sensor == Temperature {
			fmt.Fprintf(&b, "the temperature: %s\n", hottest.Name)
		}
	}
	total, available := s.Memory.Least()
	fmt.Fprintf(&b, "memory: %.6g of %.6g B available, swap %.6g of %.6g B free\n", float64(available), float64(total), float64(s.Memory.SwapFree), float64(s.Memory.SwapTotal))
	fmt.Fprintf(&b, "load: %.2f\nuptime: %.1f s\n", s.Load, s.Uptime)
	fmt.Fprintf(&b, "throttled: now %q, past %q\n", Codes(s.Throttled.Now), Texts(s.Throttled.Past))
	for _, f := range s.Failures {
		fmt.Fprintf(&b, "failed: %s: %s\n", f.Name, strings.ReplaceAll(f.Err.Error(), root, ""))
	}
	return b.String()
}

func TestBoards(t *testing.T) {
	fixtures, _ := filepath.Glob("testdata/*.txtar")
	if len(fixtures) < 7 {
		t.Fatalf("%d fixtures", len(fixtures))
	}
	for _, f := range fixtures {
		golden := strings.TrimSuffix(f, ".txtar") + ".golden"
		t.Run(filepath.Base(f), func(t *testing.T) {
			got := describe(root(t, f))
			if *update {
				if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil || got != string(want) {
				t.Errorf("%v\ngot:\n%swant:\n%s", err, got, want)
			}
		})
	}
}

// TestEveryKnownBoardHasItsName: each entry is found by itself and none hides a
// later, more specific one.
func TestEveryKnownBoardHasItsName(t *testing.T) {
	for _, k := range known {
		dir := t.TempDir()
		tree := filepath.Join(dir, "proc/device-tree")
		if err := os.MkdirAll(tree, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(tree, "compatible"), []byte("vendor,x+"+k.compatible+"\x00vendor,soc\x00"), 0o644); err != nil {
			t.Fatal(err)
		}
		if got := Detect(dir); got.Name != k.name || got.Family != k.family {
			t.Errorf("%s: %+v", k.compatible, got)
		}
	}
	if k := Detect(t.TempDir()); k.Family != Generic || k.Name == "" {
		t.Errorf("nothing at all: %+v", k)
	}
}

// Whatever is declared has a name and a unit of its own, and is seen somewhere.
func TestEverySensorIsSeen(t *testing.T) {
	names, metrics := map[string]bool{}, map[string]bool{}
	for _, s := range Sensors() {
		if s.Name == "" || names[s.Name] || s.Unit == "" || s.Collector == nil {
			t.Errorf("%q is not whole, or is declared twice", s.Name)
		}
		if !s.Shown && s.Metric == "" {
			t.Errorf("nothing shows the sensor %q: it is neither among those shown nor a metric", s.Name)
		}
		if s.Metric != "" && metrics[s.Metric] {
			t.Errorf("the metric %q is declared twice", s.Metric)
		}
		names[s.Name], metrics[s.Metric] = true, true
	}
	if len(names) < 6 {
		t.Errorf("%d sensors", len(names))
	}
}

// A sensor that is there and cannot be read is a failure that names its file, and
// takes none of the others with it; one that is not there is none.
func TestUnreadableSensors(t *testing.T) {
	dir := root(t, "testdata/unreadable.txtar")
	failed := map[string]string{}
	s := Look(dir)
	for _, f := range s.Failures {
		failed[f.Name] = f.Err.Error()
	}
	for name, file := range map[string]string{
		"temperature": "thermal_zone1/temp", "clock": "policy0/scaling_cur_freq", "power": "power1_input", "fan": "fan1_input",
		"fan drive": "pwm1", "storage life": "life_time", "throttling": "get_throttled", "memory": "meminfo", "load": "loadavg", "uptime": "proc/uptime",
	} {
		if !strings.Contains(failed[name], file) {
			t.Errorf("%s: %q does not name %s", name, failed[name], file)
		}
	}
	if hottest, ok := Hottest(s.Sensors[0].Readings); !ok || hottest.Value != 58 {
		t.Errorf("the zone that can be read: %+v", s.Sensors[0].Readings)
	}
	if s := Look(t.TempDir()); len(s.Failures) > 0 {
		t.Errorf("a board without sensors has failures: %v", s.Failures)
	}
}

// A zone of the processor is the temperature, whatever is hotter or comes first.
func TestTheTemperature(t *testing.T) {
	for kind, part := range map[string]string{
		"cpu-thermal": PartCPU, "cpu_thermal": PartCPU, "CPU-therm": PartCPU, "x86_pkg_temp": PartCPU, "TCPU": PartCPU, "bigcore0-thermal": PartCPU,
		"soc-thermal": PartSoC, "soc0-thermal": PartSoC, "tj-thermal": PartSoC, "package-thermal": PartSoC, "bcm2711_thermal": PartSoC,
		"gpu-thermal": PartGPU, "GPU-therm": PartGPU,
		"acpitz": "", "iwlwifi_1": "", "nvme": "", "PMIC-Die": "", "pch_cannonlake": "", "battery": "",
	} {
		if got := partOf(kind); got != part {
			t.Errorf("%s: %q, want %q", kind, got, part)
		}
	}
	if r, ok := Hottest([]Reading{{Name: "wifi", Value: 90}, {Name: "cpu", Value: 50, Part: PartCPU}}); !ok || r.Name != "cpu" {
		t.Errorf("%+v", r)
	}
	if r, ok := Hottest([]Reading{{Name: "a", Value: -5}, {Name: "b", Value: -3}}); !ok || r.Name != "b" {
		t.Errorf("none of the processor: %+v", r)
	}
	if _, ok := Hottest(nil); ok {
		t.Error("a temperature of nothing")
	}
}

// FuzzFiles: what the firmware and the kernel say is foreign input.
func FuzzFiles(f *testing.F) {
	f.Add([]byte("raspberrypi,5-model-b\x00"), []byte("0x50005\n"), []byte("0x01 0x02\n"), []byte("MemTotal: 8 kB\n"))
	dir := f.TempDir() // one for all runs: making it takes most of the time
	for _, name := range []string{"proc/device-tree", filepath.Dir(piThrottled), "sys/block/mmcblk0/device", "sys/class/thermal/thermal_zone0"} {
		if err := os.MkdirAll(filepath.Join(dir, name), 0o755); err != nil {
			f.Fatal(err)
		}
	}
	f.Fuzz(func(t *testing.T, compatible, word, life, meminfo []byte) {
		for name, data := range map[string][]byte{
			"proc/device-tree/compatible": compatible, piThrottled: word,
			"sys/block/mmcblk0/device/life_time": life, "proc/meminfo": meminfo, "sys/class/thermal/thermal_zone0/temp": word,
		} {
			if err := os.WriteFile(filepath.Join(dir, name), data, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if describe(dir) == "" {
			t.Error("nothing said")
		}
	})
}
