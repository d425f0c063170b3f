package trust_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"skerry/cloudlink/trust"
)

func wantErr(t testing.TB, err, want error, advice string) {
	t.Helper()
	if !errors.Is(err, want) || !strings.Contains(err.Error(), advice) || strings.Contains(err.Error(), "\n") {
		t.Errorf("got %v, want %q with %q in one line", err, want, advice)
	}
}

func TestEnroll(t *testing.T) {
	c := newCloud(t)
	code := c.invite(t, "", trust.Unset)
	state := filepath.Join(t.TempDir(), "made", "here")
	if _, err := trust.Load(state); !errors.Is(err, trust.ErrNotEnrolled) || trust.Enrolled(state) {
		t.Errorf("before: %v", err)
	}
	r, err := trust.Enroll(t.Context(), code, c.options(state))
	if err != nil {
		t.Fatal(err)
	}
	id, err := trust.Load(state)
	if err != nil || !trust.Enrolled(state) {
		t.Fatal(err)
	}
	if id.Device != "raspberrypi" || id.Disclosure != trust.Text || !slices.Equal(id.Clouds, []string{"cloud:7537"}) || !id.Certificate.Equal(r.Certificate) || !id.Clock.Equal(c.now()) {
		t.Errorf("enrolled as %+v", id)
	}
	dev, err := c.store.Device("raspberrypi")
	if err != nil || dev.Disclosure != trust.Text || dev.Key != trust.KeyHash(id.Certificate) || !dev.Enrolled.Equal(c.now()) {
		t.Errorf("recorded as %+v, %v", dev, err)
	}
	entries, _ := os.ReadDir(state)
	var names []string
	for _, e := range entries {
		info, _ := e.Info()
		if info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v", e.Name(), info.Mode())
		}
		names = append(names, e.Name())
	}
	if len(names) != 2 || !strings.HasPrefix(names[0], "device-") || names[1] != "enrolment.json" {
		t.Errorf("files %v", names)
	}
	if bytes.Contains(read(t, filepath.Join(state, "enrolment.json")), []byte("PRIVATE")) {
		t.Error("the key is not in a file of its own")
	}
}

func TestNamesOfDevices(t *testing.T) {
	c := newCloud(t)
	enroll := func(invited, own, want string) {
		t.Helper()
		opt := c.options(t.TempDir())
		opt.Name = own
		r, err := trust.Enroll(t.Context(), c.invite(t, invited, ""), opt)
		if err != nil || r.Device != want {
			t.Errorf("invited as %q, calls itself %q: got %q, %v", invited, own, r.Device, err)
		}
	}
	enroll("", "pi", "pi")
	enroll("", "pi", "pi-2")
	enroll("", "pi", "pi-3")
	enroll("", "my board!", "my-board-")
	enroll("", "..", "board")
	enroll("", strings.Repeat("x", 99), strings.Repeat("x", 59))
	enroll("kitchen", "pi", "kitchen")
	for _, name := range []string{"a b", "-a", "ü", strings.Repeat("x", 64), "a/b", "a\n"} {
		if _, err := c.registrar.Invite(name, "", time.Hour, nil); err == nil {
			t.Errorf("%q may name a device", name)
		}
	}
}

func TestCodesEnd(t *testing.T) {
	c := newCloud(t)
	code := c.invite(t, "", "")
	c.add(2 * time.Hour)
	_, err := trust.Enroll(t.Context(), code, c.options(t.TempDir()))
	wantErr(t, err, trust.ErrExpired, "skerry cloud invite")

	code = c.invite(t, "", "")
	if _, err := trust.Enroll(t.Context(), code, c.options(t.TempDir())); err != nil {
		t.Fatal(err)
	}
	_, err = trust.Enroll(t.Context(), code, c.options(t.TempDir()))
	wantErr(t, err, trust.ErrUsed, "skerry cloud invite")

	code.Secret[0] ^= 1
	_, err = trust.Enroll(t.Context(), code, c.options(t.TempDir()))
	wantErr(t, err, trust.ErrUnknownCode, "skerry cloud invite")

	for _, life := range []time.Duration{0, -time.Hour, time.Second, year(2)} {
		if _, err := c.registrar.Invite("", "", life, nil); err == nil {
			t.Errorf("a code lives for %s", life)
		}
	}
	if _, err := c.registrar.Invite("", "", time.Hour, []string{"no port"}); err == nil {
		t.Error("a code with no port")
	}
}

func TestWrongCloud(t *testing.T) {
	c, other := newCloud(t), newCloud(t)
	opt := c.options(t.TempDir())
	opt.Dial = other.dial
	_, err := trust.Enroll(t.Context(), c.invite(t, "", ""), opt)
	wantErr(t, err, trust.ErrWrongCloud, "check the address")
	if devices, _ := other.store.Devices(); len(devices) != 0 {
		t.Error("the wrong cloud was told the secret")
	}
}

func TestUnreachable(t *testing.T) {
	c := newCloud(t)
	opt := c.options(t.TempDir())
	opt.Clouds = []string{"gone:1"}
	code := c.invite(t, "", "")
	_, err := trust.Enroll(t.Context(), code, opt)
	wantErr(t, err, trust.ErrUnreachable, "skerry cloud")
	wantErr(t, err, errGone, "")
	opt.Clouds = []string{"gone:1", "cloud:7537"}
	if _, err := trust.Enroll(t.Context(), code, opt); err != nil {
		t.Errorf("the second address: %v", err)
	}
	opt.Clouds, code.Addrs = nil, nil
	_, err = trust.Enroll(t.Context(), code, opt)
	wantErr(t, err, trust.ErrUnreachable, "--cloud")
	code.Expires = c.now().Add(-time.Minute)
	_, err = trust.Enroll(t.Context(), code, opt)
	wantErr(t, err, trust.ErrUnreachable, "the code has expired, too")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err = trust.Enroll(ctx, c.invite(t, "", ""), c.options(t.TempDir())); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// A board whose reply was lost enrolls with the same code again; nobody else
// does.
func TestReplyLost(t *testing.T) {
	c := newCloud(t)
	code, opt := c.invite(t, "", ""), c.options(t.TempDir())
	c.lose = true
	if _, err := trust.Enroll(t.Context(), code, opt); !errors.Is(err, trust.ErrUnreachable) {
		t.Fatal(err)
	}
	if _, err := trust.Enroll(t.Context(), code, c.options(t.TempDir())); !errors.Is(err, trust.ErrUsed) {
		t.Errorf("another board: %v", err)
	}
	r, err := trust.Enroll(t.Context(), code, opt)
	if err != nil || r.Device != "raspberrypi" {
		t.Fatalf("the same board: %+v, %v", r, err)
	}
	if devices, _ := c.store.Devices(); len(devices) != 1 {
		t.Errorf("%d devices", len(devices))
	}
}

// What the cloud may see is the stricter of what code and board say.
func TestMay(t *testing.T) {
	c := newCloud(t)
	for _, k := range []struct{ code, board, want trust.Disclosure }{
		{"", trust.Text, trust.Text}, {"", trust.Nothing, trust.Nothing}, {trust.Hidden, "", trust.Hidden},
		{trust.Text, trust.Hidden, trust.Hidden}, {trust.Hidden, trust.Nothing, trust.Nothing},
		{"", "", ""}, {trust.Hidden, trust.Text, ""}, {trust.Nothing, trust.Hidden, ""},
	} {
		opt := c.options(t.TempDir())
		opt.Disclosure = k.board
		r, err := trust.Enroll(t.Context(), c.invite(t, "", k.code), opt)
		if k.want == "" {
			wantErr(t, err, trust.ErrNotAllowed, "--may")
		} else if err != nil || r.Disclosure != k.want {
			t.Errorf("code %q, board %q: %+v, %v", k.code, k.board, r, err)
		}
	}
	// A board that claims more than its code allows gets what the code allows.
	code := c.invite(t, "greedy", trust.Hidden)
	code.Disclosure = trust.Unset
	if _, err := trust.Enroll(t.Context(), code, c.options(t.TempDir())); err != nil {
		t.Fatal(err)
	}
	if dev, _ := c.store.Device("greedy"); dev.Disclosure != trust.Hidden {
		t.Errorf("recorded as %q", dev.Disclosure)
	}
}

// A board that is years behind enrolls, and from then on knows the least the
// time can be; TLS to the cloud works with it.
func TestClockBehind(t *testing.T) {
	c := newCloud(t)
	opt := c.options(t.TempDir())
	opt.Now = func() time.Time { return time.Unix(0, 0) }
	r, err := trust.Enroll(t.Context(), c.invite(t, "", ""), opt)
	if err != nil || r.Behind != c.now().Sub(time.Unix(0, 0)) {
		t.Fatalf("behind by %s, %v", r.Behind, err)
	}
	id, err := trust.Load(opt.State)
	if err != nil || !id.Time(time.Unix(0, 0)).Equal(c.now()) || id.Expired(time.Unix(0, 0)) {
		t.Fatalf("time %s, %v", id.Time(time.Unix(0, 0)), err)
	}
	if later := c.now().Add(time.Hour); !id.Time(later).Equal(later) {
		t.Error("a clock that is ahead is held back")
	}
	conn, err := c.dial(t.Context(), "cloud:7537", id.TLS(opt.Now))
	if err != nil {
		t.Fatal(err)
	}
	conn.Close()
	at, err := trust.CloudTime(t.Context(), opt)
	if err != nil || !at.Equal(c.now()) {
		t.Errorf("the cloud's time %s, %v", at, err)
	}
}

func TestStateUnwritable(t *testing.T) {
	c := newCloud(t)
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	code := c.invite(t, "", "")
	if _, err := trust.Enroll(t.Context(), code, c.options(filepath.Join(file, "dir"))); err == nil || !strings.Contains(err.Error(), "state directory ") {
		t.Error(err)
	}
	if _, err := trust.Enroll(t.Context(), code, c.options(t.TempDir())); err != nil {
		t.Errorf("the code was spent on it: %v", err)
	}
}

func TestEnrolmentDamaged(t *testing.T) {
	c := newCloud(t)
	state, other := t.TempDir(), t.TempDir()
	for _, s := range []string{state, other} {
		if _, err := trust.Enroll(t.Context(), c.invite(t, "", ""), c.options(s)); err != nil {
			t.Fatal(err)
		}
	}
	path := filepath.Join(state, "enrolment.json")
	good := read(t, path)
	for _, b := range [][]byte{nil, good[:50], []byte("{}"), bytes.Replace(good, []byte(`"text"`), []byte(`"all"`), 1),
		bytes.Replace(good, []byte(`"raspberrypi"`), []byte(`"other"`), 1), read(t, filepath.Join(other, "enrolment.json"))} {
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := trust.Load(state); err == nil || !strings.Contains(err.Error(), "skerry enroll") || errors.Is(err, trust.ErrNotEnrolled) {
			t.Errorf("%.60s: %v", b, err)
		}
	}
	r, err := trust.Enroll(t.Context(), c.invite(t, "", ""), c.options(state))
	if err != nil {
		t.Fatal(err)
	}
	if id, err := trust.Load(state); err != nil || id.Device != r.Device {
		t.Errorf("after enrolling anew: %v", err)
	}
	if keys, _ := filepath.Glob(filepath.Join(state, "device-*.key")); len(keys) != 1 {
		t.Errorf("keys %v", keys)
	}
}

// However often a stranger or a former board knocks, the log has so many lines of it
// a minute.
func TestRefusalsAreLoggedWithinBounds(t *testing.T) {
	c := newCloud(t)
	var log bytes.Buffer
	c.registrar.Log = slog.New(slog.NewTextHandler(&log, nil))
	code := c.invite(t, "pi", trust.Hidden)
	code.Secret[0] ^= 1
	for range 200 {
		_, err := trust.Enroll(t.Context(), code, trust.Options{State: t.TempDir(), Dial: c.dial})
		if !errors.Is(err, trust.ErrUnknownCode) {
			t.Fatal(err)
		}
	}
	if n := strings.Count(log.String(), "\n"); n > 61 {
		t.Errorf("%d lines", n)
	}
}
