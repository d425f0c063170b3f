package doctor

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"skerry/appliance/config"
	"skerry/appliance/decode/batch"
	"skerry/appliance/status"
	"skerry/appliance/status/statustest"
	"skerry/storage"
)

// patient is a machine on which all is well, and no daemon runs.
func patient(t *testing.T) *Doctor {
	conf := config.Default()
	conf.Listen, conf.Bundle = []string{"127.0.0.1:0"}, filepath.Join(t.TempDir(), "none")
	return &Doctor{state: t.TempDir(), conf: conf, host: host{
		now:    func() time.Time { return statustest.Now },
		synced: func() (bool, error) { return true, nil },
		free:   func(string) (uint64, uint64, error) { return 20e9, 30e9, nil },
		memory: func() (batch.Memory, error) { return batch.Memory{Total: 8e9, Available: 6e9}, nil },
	}}
}

func lines(found Findings) string {
	var lines []string
	for _, f := range found {
		lines = append(lines, string(f.Result)+" "+f.Check+": "+f.Detail)
	}
	return strings.Join(lines, "\n")
}

// called is the check of the name.
func called(t *testing.T, name string) check[*Doctor] {
	for _, c := range checks {
		if c.name == name {
			return c
		}
	}
	t.Fatalf("no check is called %s", name)
	return check[*Doctor]{}
}

// Each trouble is found by the check that it concerns, with something to do about it.
func TestDoctorFinds(t *testing.T) {
	for _, c := range []struct {
		name  string
		harm  func(t *testing.T, d *Doctor)
		check string
		want  string // how the first check's line begins
	}{
		{"disk full", func(t *testing.T, d *Doctor) {
			d.host.free = func(string) (uint64, uint64, error) { return 5e6, 30e9, nil }
		}, "disk", "fail disk: 5.0 MB of 30 GB free"},
		{"disk nearly full", func(t *testing.T, d *Doctor) {
			d.host.free = func(string) (uint64, uint64, error) { return 500e6, 30e9, nil }
		}, "disk", "warn disk: 500 MB"},
		{"no disk", func(t *testing.T, d *Doctor) {
			d.host.free = func(string) (uint64, uint64, error) { return 0, 0, errors.New("gone") }
		}, "disk", "fail disk: gone"},
		{"disk", nil, "disk", "ok disk: 20 GB of 30 GB"},
		{"little memory", func(t *testing.T, d *Doctor) {
			d.host.memory = func() (batch.Memory, error) { return batch.Memory{Total: 8e9, Available: 1e9}, nil }
		}, "memory", "fail memory: 1.0 GB of 8.0 GB available"},
		{"little of a limit", func(t *testing.T, d *Doctor) {
			limit := []batch.Limit{{Name: "cgroup /box", Bytes: 400e6, Free: 10e6}}
			d.host.memory = func() (batch.Memory, error) {
				return batch.Memory{Total: 8e9, Available: 6e9, Limits: limit}, nil
			}
		}, "memory", "fail memory: 10 MB of 400 MB available, by cgroup /box, limited to 400 MB"},
		{"memory that is not known", func(t *testing.T, d *Doctor) {
			d.host.memory = func() (batch.Memory, error) { return batch.Memory{}, errors.New("permission denied") }
		}, "memory", "skip memory: permission denied"},
		{"memory", nil, "memory", "ok memory: 6.0 GB"},
		{"clock at its epoch", func(t *testing.T, d *Doctor) {
			d.host.now = func() time.Time { return time.Unix(0, 0) }
		}, "clock", "fail clock: 1970-01-01"},
		{"clock let run", func(t *testing.T, d *Doctor) {
			d.host.synced = func() (bool, error) { return false, nil }
		}, "clock", "warn clock: 2026-11-26"},
		{"clock", nil, "clock", "ok clock: 2026-11-26"},
		{"port taken", func(t *testing.T, d *Doctor) {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { l.Close() })
			d.conf.Listen = []string{l.Addr().String()}
		}, "port", "fail port: 127.0.0.1:"},
		{"port of another machine", func(t *testing.T, d *Doctor) { d.conf.Listen = []string{"192.0.2.1:7537"} }, "port", "fail port: listen tcp 192.0.2.1"},
		{"port", nil, "port", "ok port: 127.0.0.1:0 is free"},
		{"database locked", func(t *testing.T, d *Doctor) {
			db, err := storage.Open(config.DatabasePath(d.state), storage.Options{})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { db.Close() })
		}, "database", "fail database: another process has it"},
		{"database of another kind", func(t *testing.T, d *Doctor) {
			db, err := storage.OpenStore(config.DatabasePath(d.state), storage.Kind{Name: "cloud"}, storage.Options{})
			if err != nil {
				t.Fatal(err)
			}
			db.Close()
		}, "database", "fail database: wrong kind"},
		{"database damaged", func(t *testing.T, d *Doctor) {
			if err := os.WriteFile(config.DatabasePath(d.state), []byte("junk"), 0o600); err != nil {
				t.Fatal(err)
			}
		}, "database", "warn database: damaged"},
		{"no database", nil, "database", "ok database: none yet"},
		{"no model", nil, "model", "warn model: none is prepared"},
		{"model's manifest", func(t *testing.T, d *Doctor) {
			d.conf.Bundle = t.TempDir()
			if err := os.WriteFile(filepath.Join(d.conf.Bundle, "manifest.json"), []byte("{"), 0o600); err != nil {
				t.Fatal(err)
			}
		}, "model", "fail model: "},
		{"page's certificate", func(t *testing.T, d *Doctor) {
			d.conf.TLS.Cert = filepath.Join(t.TempDir(), "none.pem")
		}, "certificate", "fail certificate: of the page"},
		{"not enrolled", nil, "certificate", "skip certificate: "},
		{"no cloud", nil, "link", "skip link: no cloud"},
		{"link down", func(t *testing.T, d *Doctor) { s := statustest.LinkDown(); d.status = &s }, "link", "warn link: down: no answer to 3 probes (dial udp"},
		{"link up", func(t *testing.T, d *Doctor) { s := statustest.Calm(); d.status = &s }, "link", "ok link: good to cloud.example.net:7537 by quic"},
		{"trouble", func(t *testing.T, d *Doctor) { s := statustest.NoModel(); d.status = &s }, "health", "fail health: There is no model"},
		{"notice", func(t *testing.T, d *Doctor) {
			d.status = &status.Status{Health: []status.Problem{{Title: "UDP is blocked", Severity: status.Notice, Text: "TCP is used", Do: "open UDP"}}}
		}, "health", "note health: UDP is blocked: TCP is used"},
		{"state of the daemon", func(t *testing.T, d *Doctor) {
			at := t.TempDir()
			d.status = &status.Status{Storage: status.Storage{Path: config.DatabasePath(at)}}
			want := d.state
			d.opt.State = want
			if d.follow(); d.state != want {
				t.Errorf("--state is %s, %s is looked at", want, d.state)
			}
			d.opt.State = ""
			if d.follow(); d.state != at {
				t.Errorf("the daemon's is %s, %s is looked at", at, d.state)
			}
		}, "database", "ok database: none yet"},
		{"loading", func(t *testing.T, d *Doctor) { s := statustest.Loading(); d.status = &s }, "model", "warn model: not loaded yet"},
		{"page not there", func(t *testing.T, d *Doctor) {
			d.status = &status.Status{URLs: []string{"http://127.0.0.1:1/"}}
		}, "port", "warn port: the daemon is to be at"},
		{"settings", func(t *testing.T, d *Doctor) {
			d.confIs = config.Problems{{Source: "f", Line: 1, Column: 2, Text: "bad"}, {Source: "g", Text: "worse"}}
		}, "config", "fail config: f:1:2: bad\nfail config: g: worse"},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := patient(t)
			if c.harm != nil {
				c.harm(t, d)
			}
			found := lookAll(t.Context(), d, []check[*Doctor]{called(t, c.check)}, nil)
			if got := lines(found); !strings.HasPrefix(got, c.want) {
				t.Errorf("%s\nwant %s", got, c.want)
			}
			for _, k := range found {
				if bad := k.Result == Fail || k.Result == Warn; k.Result != Note && bad != (k.ToDo != "") {
					t.Errorf("%s %s, and to do is %q", k.Result, k.Check, k.ToDo)
				}
			}
		})
	}
}
