package main

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"skerry/appliance/config"
	"skerry/appliance/status"
	"skerry/appliance/status/statustest"
	"skerry/storage"
)

// patient is a machine on which all is well, and no daemon runs.
func patient(t *testing.T) *doctor {
	conf := config.Default()
	conf.Listen, conf.Bundle = []string{"127.0.0.1:0"}, filepath.Join(t.TempDir(), "none")
	return &doctor{ctx: context.Background(), state: t.TempDir(), conf: conf, host: host{
		now:    func() time.Time { return statustest.Now },
		synced: func() (bool, error) { return true, nil },
		free:   func(string) (uint64, uint64, error) { return 20e9, 30e9, nil },
		memory: func() (uint64, uint64, error) { return 8e9, 6e9, nil },
	}}
}

func (d *doctor) all() string {
	var lines []string
	for _, k := range d.checks {
		lines = append(lines, k.Result+" "+k.Name+": "+k.Detail)
	}
	return strings.Join(lines, "\n")
}

// Each trouble is found by the check that it concerns, with something to do about it.
func TestDoctorFinds(t *testing.T) {
	for _, c := range []struct {
		name  string
		harm  func(t *testing.T, d *doctor)
		check func(*doctor)
		want  string // how the first check's line begins
	}{
		{"disk full", func(t *testing.T, d *doctor) {
			d.host.free = func(string) (uint64, uint64, error) { return 5e6, 30e9, nil }
		}, (*doctor).disk, "fail disk: 5.0 MB of 30 GB free"},
		{"disk nearly full", func(t *testing.T, d *doctor) {
			d.host.free = func(string) (uint64, uint64, error) { return 500e6, 30e9, nil }
		}, (*doctor).disk, "warn disk: 500 MB"},
		{"no disk", func(t *testing.T, d *doctor) {
			d.host.free = func(string) (uint64, uint64, error) { return 0, 0, errors.New("gone") }
		}, (*doctor).disk, "fail disk: gone"},
		{"disk", nil, (*doctor).disk, "ok disk: 20 GB of 30 GB"},
		{"little memory", func(t *testing.T, d *doctor) {
			d.host.memory = func() (uint64, uint64, error) { return 8e9, 1e9, nil }
		}, (*doctor).memory, "fail memory: 1.0 GB of 8.0 GB available"},
		{"memory", nil, (*doctor).memory, "ok memory: 6.0 GB"},
		{"clock at its epoch", func(t *testing.T, d *doctor) {
			d.host.now = func() time.Time { return time.Unix(0, 0) }
		}, (*doctor).clock, "fail clock: 1970-01-01"},
		{"clock let run", func(t *testing.T, d *doctor) {
			d.host.synced = func() (bool, error) { return false, nil }
		}, (*doctor).clock, "warn clock: 2026-11-26"},
		{"clock", nil, (*doctor).clock, "ok clock: 2026-11-26"},
		{"port taken", func(t *testing.T, d *doctor) {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { l.Close() })
			d.conf.Listen = []string{l.Addr().String()}
		}, (*doctor).port, "fail port: 127.0.0.1:"},
		{"port of another machine", func(t *testing.T, d *doctor) { d.conf.Listen = []string{"192.0.2.1:7537"} }, (*doctor).port, "fail port: listen tcp 192.0.2.1"},
		{"port", nil, (*doctor).port, "ok port: 127.0.0.1:0 is free"},
		{"database locked", func(t *testing.T, d *doctor) {
			db, err := storage.Open(databasePath(d.state), storage.Options{})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { db.Close() })
		}, (*doctor).database, "fail database: another process has it"},
		{"database of another kind", func(t *testing.T, d *doctor) {
			db, err := storage.OpenCloud(databasePath(d.state), storage.Options{})
			if err != nil {
				t.Fatal(err)
			}
			db.Close()
		}, (*doctor).database, "fail database: wrong kind"},
		{"database damaged", func(t *testing.T, d *doctor) {
			if err := os.WriteFile(databasePath(d.state), []byte("junk"), 0o600); err != nil {
				t.Fatal(err)
			}
		}, (*doctor).database, "warn database: damaged"},
		{"no database", nil, (*doctor).database, "ok database: none yet"},
		{"no model", nil, (*doctor).model, "warn model: none is prepared"},
		{"model's manifest", func(t *testing.T, d *doctor) {
			d.conf.Bundle = t.TempDir()
			if err := os.WriteFile(filepath.Join(d.conf.Bundle, "manifest.json"), []byte("{"), 0o600); err != nil {
				t.Fatal(err)
			}
		}, (*doctor).model, "fail model: "},
		{"page's certificate", func(t *testing.T, d *doctor) {
			d.conf.TLS.Cert = filepath.Join(t.TempDir(), "none.pem")
		}, (*doctor).certificate, "fail certificate: of the page"},
		{"not enrolled", nil, (*doctor).certificate, "skip certificate: "},
		{"no cloud", nil, (*doctor).link, "skip link: no cloud"},
		{"link down", func(t *testing.T, d *doctor) { s := statustest.LinkDown(); d.status = &s }, (*doctor).link, "warn link: down: no answer to 3 probes (dial udp"},
		{"link up", func(t *testing.T, d *doctor) { s := statustest.Calm(); d.status = &s }, (*doctor).link, "ok link: good to cloud.example.net:7537 by quic"},
		{"trouble", func(t *testing.T, d *doctor) { s := statustest.NoModel(); d.status = &s }, (*doctor).health, "fail health: There is no model"},
		{"state of the daemon", func(t *testing.T, d *doctor) {
			at := t.TempDir()
			d.status = &status.Status{Storage: status.Storage{Path: databasePath(at)}}
			want := d.state
			d.named = true
			if d.follow(); d.state != want {
				t.Errorf("--state is %s, %s is looked at", want, d.state)
			}
			d.named = false
			if d.follow(); d.state != at {
				t.Errorf("the daemon's is %s, %s is looked at", at, d.state)
			}
		}, (*doctor).database, "ok database: none yet"},
		{"loading", func(t *testing.T, d *doctor) { s := statustest.Loading(); d.status = &s }, (*doctor).model, "warn model: not loaded yet"},
		{"page not there", func(t *testing.T, d *doctor) {
			d.status = &status.Status{URLs: []string{"http://127.0.0.1:1/"}}
		}, (*doctor).port, "warn port: the daemon is to be at"},
		{"settings", func(t *testing.T, d *doctor) {
			d.confIs = config.Problems{{Source: "f", Line: 1, Column: 2, Text: "bad"}, {Source: "g", Text: "worse"}}
		}, (*doctor).configuration, "fail config: f:1:2: bad\nfail config: g: worse"},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := patient(t)
			if c.harm != nil {
				c.harm(t, d)
			}
			c.check(d)
			if got := d.all(); !strings.HasPrefix(got, c.want) {
				t.Errorf("%s\nwant %s", got, c.want)
			}
			for _, k := range d.checks {
				if bad := k.Result == failCheck || k.Result == warnCheck; bad != (k.ToDo != "") {
					t.Errorf("%s %s, and to do is %q", k.Result, k.Name, k.ToDo)
				}
			}
		})
	}
}

func TestMemoryOf(t *testing.T) {
	path := filepath.Join(t.TempDir(), "meminfo")
	for text, want := range map[string][2]uint64{
		"MemTotal:       16 kB\nMemFree: 1 kB\nMemAvailable:   8 kB\n": {16 << 10, 8 << 10}, "": {}, "MemTotal: x kB": {},
	} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		total, available, err := memoryOf(path)()
		if total != want[0] || available != want[1] || (err == nil) != (total > 0) {
			t.Errorf("%q: %d, %d, %v", text, total, available, err)
		}
	}
}
