package cloudnode

import (
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	fleetfiles "skerry/build/fleet"
	"skerry/cloudlink/trust"
)

// The members of etcd in the compose file and in the manifest for Kubernetes have the settings
// that are written for their hosts, and look for their files where those are.
func TestEtcdSettings(t *testing.T) {
	t.Parallel()
	composed, err := fleetfiles.Compose("../../build/fleet", map[string]string{"CLOUD_HOST": "cloud.example", "BUNDLE": t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	pods, err := fleetfiles.Kubernetes("../../build/fleet")
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	for _, all := range [][]fleetfiles.Container{composed, pods} {
		var hosts []string
		for _, c := range all {
			if c.Of("etcd") {
				hosts = append(hosts, c.Env["ETCD_NAME"])
			}
		}
		state := t.TempDir()
		if _, err := trust.CreateAuthority(state, nil, time.Now); err != nil {
			t.Fatal(err)
		}
		dir, err := MakeFleetFiles(state, hosts, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range all {
			if c.Of("skerry-cloud") {
				if c.Profile == "" && c.Flag("fleet") != strings.Join(EtcdURLs(hosts), ",") {
					t.Errorf("%s of %s: --fleet %s", c.Name, c.File, c.Flag("fleet"))
				}
				continue
			}
			seen++
			text, err := os.ReadFile(filepath.Join(dir, fleetEtcd, c.Env["ETCD_NAME"]+".env"))
			if err != nil {
				t.Fatal(err)
			}
			for line := range strings.Lines(string(text)) {
				k, v, _ := strings.Cut(strings.TrimSpace(line), "=")
				if c.Env[k] != v {
					t.Errorf("%s of %s: %s is %q, and %q is written for it", c.Name, c.File, k, c.Env[k], v)
				}
			}
			for k, v := range c.Env {
				name, ok := strings.CutPrefix(v, "/etc/etcd/")
				if !ok {
					continue
				}
				if _, err := os.Stat(filepath.Join(dir, fleetEtcd, name)); err != nil {
					t.Errorf("%s of %s: %s: %v", c.Name, c.File, k, err)
				}
			}
			if !slices.ContainsFunc(c.Mounts, func(m fleetfiles.Mount) bool { return m.Target == "/etc/etcd" && !m.Write }) {
				t.Errorf("%s of %s mounts no /etc/etcd: %+v", c.Name, c.File, c.Mounts)
			}
		}
	}
	if seen != 6 {
		t.Errorf("%d members were looked at", seen)
	}
}

// What the manifest for Kubernetes asks of a worker is served.
func TestProbes(t *testing.T) {
	pods, err := fleetfiles.Kubernetes("../../build/fleet")
	if err != nil {
		t.Fatal(err)
	}
	m, err := serveMetrics("127.0.0.1:0", "v9", sampleLoad, func() string { return "" }, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer m.close()
	asked := map[string]bool{}
	for _, c := range pods {
		for _, p := range c.Probes {
			if !c.Of("skerry-cloud") || asked[p.Path] {
				continue
			}
			asked[p.Path] = true
			r, err := http.Get("http://" + m.addr.String() + p.Path)
			if err != nil {
				t.Fatal(err)
			}
			r.Body.Close()
			if r.StatusCode != http.StatusOK {
				t.Errorf("%s: %s", p.Path, r.Status)
			}
		}
	}
	if len(asked) != 2 {
		t.Errorf("asked %v", asked)
	}
}
