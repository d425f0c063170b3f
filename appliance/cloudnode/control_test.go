package cloudnode

import (
	"encoding/json"
	"errors"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"skerry/appliance/admin"
	"skerry/build/testleak"
	"skerry/cloudlink/trust"
)

func TestMain(m *testing.M) { testleak.Main(m) }

// running has a cloud's socket served from a new state directory.
func running(t *testing.T) (state string) {
	t.Helper()
	state = t.TempDir()
	if _, err := trust.CreateAuthority(state, []string{"cloud.example"}, time.Now); err != nil {
		t.Fatal(err)
	}
	r, _, err := openRegistry(state, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	s, err := serveControl(state, r)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		s.Close()
		r.Close()
	})
	return state
}

func operate(t *testing.T, state string) Operator {
	t.Helper()
	o, err := Operate(t.Context(), state, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(o.Close)
	return o
}

// A command has the running cloud do everything, over a socket that is its user's alone.
func TestControl(t *testing.T) {
	state := running(t)
	if info, err := os.Stat(filepath.Join(state, controlSocket)); err != nil || info.Mode().Perm() != 0o600 || info.Mode()&fs.ModeSocket == 0 {
		t.Errorf("the socket: %v, %v", info, err)
	}
	ctx := t.Context()
	o := operate(t, state)
	if _, is := o.(*remote); !is {
		t.Fatalf("%T, and a cloud runs", o)
	}
	made, err := o.Invite(ctx, InviteRequest{Name: "shed", May: trust.Hidden, Life: time.Hour, Count: 2})
	if err != nil || len(made) != 2 || made[1].Name != "shed-2" {
		t.Fatalf("%+v, %v", made, err)
	}
	if code, err := trust.ParseCode(made[0].Code); err != nil || len(code.Addrs) != 1 || code.Addrs[0] != "cloud.example:7537" {
		t.Errorf("%+v, %v", code, err)
	}
	if list, err := o.Invites(ctx, false); err != nil || len(list) != 2 || list[0].Name != "shed-1" || list[0].State != "open" {
		t.Errorf("%+v, %v", list, err)
	}
	if gone, err := o.Withdraw(ctx, "shed-1"); err != nil || len(gone) != 1 {
		t.Errorf("%+v, %v", gone, err)
	}
	if list, err := o.Devices(ctx); err != nil || list == nil || len(list) != 0 {
		t.Errorf("%+v, %v", list, err)
	}
	if err := o.Renew(ctx, nil); err != nil {
		t.Error(err)
	}
}

// Errors keep their kind and their words on the way through the socket.
func TestControlErrors(t *testing.T) {
	state := running(t)
	ctx, o := t.Context(), operate(t, state)
	_, noInvite := o.Withdraw(ctx, "shed")
	_, noLoad := o.Load(ctx)
	_, longLife := o.Invite(ctx, InviteRequest{Life: time.Second})
	for _, c := range []struct {
		err  error
		code admin.Code
		is   error
		text string
	}{
		{o.Revoke(ctx, "nobody"), admin.CodeNotFound, admin.ErrNotFound, "unknown device nobody (`skerry cloud devices` lists those enrolled)"},
		{noInvite, admin.CodeNotFound, admin.ErrNotFound, "no open invitation: shed (`skerry cloud invites` lists them)"},
		{noLoad, admin.CodeUnavailable, admin.ErrUnavailable, "no cloud is running"},
		{longLife, admin.CodeInternal, nil, "a code cannot live for 1s: choose 1m to 8760h"},
	} {
		e := (*admin.Error)(nil)
		if !errors.As(c.err, &e) || e.Code != c.code || e.Message != c.text || c.is != nil && !errors.Is(c.err, c.is) {
			t.Errorf("%v (%+v), want %+v", c.err, e, c)
		}
	}
	none, err := admin.Operation[none, none]{Method: "POST", Path: "/api/v1/cloud/fly"}.Call(ctx, o.(*remote).client, none{})
	if !errors.Is(err, admin.ErrNotFound) || !strings.Contains(err.Error(), "restart it") {
		t.Errorf("an operation of a later version: %v, %v", none, err)
	}
	large := InviteRequest{Addrs: []string{strings.Repeat("x", 2<<20)}}
	if _, err := o.Invite(ctx, large); !errors.Is(err, admin.ErrBadRequest) {
		t.Errorf("2 MiB: %v", err)
	}
}

// Where no cloud runs a command works on the state directory itself.
func TestOperateAlone(t *testing.T) {
	state := t.TempDir()
	if _, err := Operate(t.Context(), state, slog.New(slog.DiscardHandler)); !errors.Is(err, trust.ErrNoAuthority) {
		t.Errorf("before init: %v", err)
	}
	if _, err := trust.CreateAuthority(state, nil, time.Now); err != nil {
		t.Fatal(err)
	}
	o := operate(t, state)
	if _, err := o.Invite(t.Context(), InviteRequest{Life: time.Hour}); err != nil {
		t.Error(err)
	}
	if _, err := o.Evict(t.Context(), ""); !errors.Is(err, ErrNotRunning) {
		t.Error(err)
	}
	if _, err := OperateRunning(t.Context(), state); !errors.Is(err, ErrNotRunning) {
		t.Error(err)
	}
}

// A command of before there was HTTP on the socket is told what to do in the form that it
// understands.
func TestFormerCommand(t *testing.T) {
	c, err := net.Dial("unix", filepath.Join(running(t), controlSocket))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	var outcome struct{ Error string }
	if err := json.NewEncoder(c).Encode(map[string]string{"do": "devices"}); err != nil {
		t.Fatal(err)
	}
	if err := json.NewDecoder(c).Decode(&outcome); err != nil || !strings.Contains(outcome.Error, "restart the cloud") {
		t.Errorf("%+v, %v", outcome, err)
	}
}

// A cloud of before there was HTTP on the socket closes it without an answer.
func TestFormerCloud(t *testing.T) {
	state := t.TempDir()
	ln, err := net.Listen("unix", filepath.Join(state, controlSocket))
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			var order map[string]any
			if json.NewDecoder(c).Decode(&order) == nil {
				t.Error("understood")
			}
			c.Close()
		}
	}()
	defer func() {
		ln.Close()
		<-ended
	}()
	o := operate(t, state)
	for _, err := range []error{o.Revoke(t.Context(), "pi"), o.Renew(t.Context(), nil)} {
		if err == nil || strings.Contains(err.Error(), "\n") || !strings.Contains(err.Error(), "cloud in "+state) || !strings.Contains(err.Error(), "restart it") {
			t.Error(err)
		}
	}
}
