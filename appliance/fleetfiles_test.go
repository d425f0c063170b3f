package main

import (
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/alecthomas/kong"

	"skerry/appliance/cloudnode"
	fleetfiles "skerry/build/fleet"
)

// What the compose file, the manifest for Kubernetes and the unit of systemd start is a command
// of this program, whose ports, files and probes are those that the files open, mount and ask.
func TestFleetFilesAreCommands(t *testing.T) {
	all, err := fleetfiles.Compose("../build/fleet", map[string]string{"CLOUD_HOST": "cloud.example", "BUNDLE": t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	pods, err := fleetfiles.Kubernetes("../build/fleet")
	if err != nil {
		t.Fatal(err)
	}
	env := map[string]string{"SKERRY_FLEET": "https://etcd1:2379", "SKERRY_ADVERTISE": "worker-1.example:7537", "CREDENTIALS_DIRECTORY": "/run/c"}
	unit, err := fleetfiles.Unit(env, "../systemd/skerry-cloud.service", "../systemd/skerry-cloud-fleet.conf")
	if err != nil {
		t.Fatal(err)
	}
	unit.Image = "skerry-cloud"
	workers := 0
	for _, c := range append(append(all, pods...), unit) {
		if !c.Of("skerry-cloud") {
			continue
		}
		var p program
		k, err := kong.New(&p, modelVars(), groups)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := k.Parse(c.Args()); err != nil {
			t.Errorf("%s of %s: %v: %v", c.Name, c.File, c.Args(), err)
			continue
		}
		if c.Profile != "" {
			continue
		}
		workers++
		checkWorker(t, &c, &p.Cloud.Serve)
		for _, probe := range c.Probes {
			words := strings.Fields(probe.Path)
			if _, err := k.Parse(arguments(words)); probe.Kind == "command" && err != nil {
				t.Errorf("%s of %s is asked by %v: %v", c.Name, c.File, words, err)
			}
		}
	}
	if workers != 7 {
		t.Errorf("%d workers were looked at", workers)
	}
}

func checkWorker(t *testing.T, c *fleetfiles.Container, s *cloudServeCmd) {
	t.Helper()
	opt := cloudnode.Options{
		Sessions: s.Sessions, Context: s.Context, MemoryMB: s.Memory, DiskMB: s.Disk, Keep: s.Keep, MaxWait: s.MaxWait,
		PerBoard: s.PerBoard, PullMB: s.PullRate, Metrics: s.Metrics, Worker: s.WorkerOptions,
	}
	if err := opt.Check(); err != nil {
		t.Errorf("%s of %s: %v", c.Name, c.File, err)
	}
	if s.Advertise == "" || s.Files == "" || len(s.Fleet) == 0 {
		t.Errorf("%s of %s is no worker: %v", c.Name, c.File, c.Command)
	}
	// Five seconds for asks in flight, two for etcd, the rest for contexts.
	if c.Grace < 30*time.Second {
		t.Errorf("%s of %s has %s to drain", c.Name, c.File, c.Grace)
	}
	_, metrics, _ := net.SplitHostPort(s.Metrics)
	for _, probe := range c.Probes {
		if probe.Kind != "command" && (probe.Port != metrics || !slices.Contains(c.Ports, metrics+"/tcp")) {
			t.Errorf("%s of %s: the %s probe asks port %s, --metrics is %s", c.Name, c.File, probe.Kind, probe.Port, s.Metrics)
		}
	}
	if c.File == "skerry-cloud-fleet.conf" {
		return
	}
	for _, proto := range []string{"udp", "tcp"} {
		if !slices.Contains(c.Ports, "7537/"+proto) {
			t.Errorf("%s of %s opens %v: boards come by 7537/%s", c.Name, c.File, c.Ports, proto)
		}
	}
	for path, write := range map[string]bool{s.State: true, s.Files: false, s.Bundle[0]: false} {
		if !slices.ContainsFunc(c.Mounts, func(m fleetfiles.Mount) bool { return m.Target == path && m.Write == write }) {
			t.Errorf("%s of %s mounts no %s: %+v", c.Name, c.File, path, c.Mounts)
		}
	}
}
