package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"time"

	"golang.org/x/sys/unix"

	"skerry/appliance/config"
	"skerry/appliance/decode"
	"skerry/appliance/engine"
	"skerry/appliance/status"
	"skerry/appliance/status/health"
	"skerry/cloudlink/trust"
	"skerry/storage"
)

// status is what the daemon says of itself.
func (d *daemon) status() status.Status {
	s := d.facts()
	s.Health = d.health.Active()
	return s
}

// facts are the status without the health, which follows from them.
func (d *daemon) facts() status.Status {
	s := d.core.Snapshot()
	conf := d.config()
	s.Time, s.Started, s.Version = time.Now().UTC(), d.started.UTC(), version
	if s.Name = conf.Name; s.Name == "" {
		s.Name, _ = os.Hostname()
	}
	s.URLs = d.doors.URLs()
	if s.Mode == "" {
		s.Mode = conf.Mode
	}
	s.Why = d.whyMode(s.Mode, conf.Mode)
	effort := d.care.now()
	if effort.Spared {
		s.Why += "; spared, since " + effort.Reason
	}
	s.Board = d.machine.status(effort.Threads)
	s.Kernels = kernelStatus()
	s.Link = d.link.status()
	if errors.Is(d.linkErr, errNothing) {
		s.Link.Cloud = cmp.Or(conf.Cloud.Address, "the cloud of this board's enrolment")
		s.Link.Wanted, s.Link.State, s.Link.Reason, s.Link.May = true, "down", "the cloud may see nothing", string(trust.Nothing)
	}
	s.Storage = d.disk()
	return s
}

// computeThreads are those that the configuration has compute.
func computeThreads(conf config.Config) int {
	if conf.Threads > 0 {
		return conf.Threads
	}
	return max(1, runtime.NumCPU()-1)
}

// whyMode is why the daemon decodes as it does.
func (d *daemon) whyMode(mode, wanted string) string {
	switch {
	case d.linkErr != nil:
		return oneLine(d.linkErr)
	case !wantsCloud(wanted):
		return "the configuration says so"
	case d.link != nil:
		return "a cloud is configured, " + d.link.addr
	case mode == string(decode.Unsplit):
		return "no cloud is configured (skerry enroll CODE), and the whole model fits this board"
	case mode == string(decode.Standalone):
		return "no cloud is configured (skerry enroll CODE), and the whole model is not here or has no room"
	}
	return "no cloud is configured (skerry enroll CODE)"
}

func kernelStatus() status.Kernels {
	k := engine.Init("")
	s := status.Kernels{Name: k.Variant, Device: "CPU", Portable: k.Baseline()}
	if len(k.Devices) > 0 {
		s.Device = k.Devices[0]
	}
	return s
}

// disk is the one under the state directory and the database on it.
func (d *daemon) disk() status.Storage {
	path := databasePath(d.state)
	s := status.Storage{Path: path}
	var fs unix.Statfs_t
	if unix.Statfs(d.state, &fs) == nil {
		s.FreeBytes, s.TotalBytes = fs.Bavail*uint64(fs.Bsize), fs.Blocks*uint64(fs.Bsize)
	}
	if st, err := os.Stat(path); err == nil {
		s.DBBytes = st.Size()
	}
	if d.db != nil {
		s.SetAside = d.db.SetAside()
		if m := d.db.Medium(); m != storage.Other {
			s.Medium = string(m)
		}
	}
	if err := errors.Join(d.dbErr, d.core.JournalErr()); err != nil {
		s.Err = oneLine(err)
	}
	return s
}

// lookEvery is how often the daemon looks at itself, for the health and for systemd.
const lookEvery = 5 * time.Second

// look judges the health until ctx ends.
func (d *daemon) look(ctx context.Context) {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	tell := tellProblems(d.log)
	for {
		s := d.facts()
		d.health.Judge(s)
		d.judge()
		s.Health = d.health.Active()
		tell(s.Health)
		d.care.look(s)
		d.notify.Status(d.summary(s))
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// judge raises the problems that only the code which met them can know.
func (d *daemon) judge() {
	tellModel(d.health, d.core.Err(), d.config().Bundle)
	if d.linkErr != nil && !errors.Is(d.linkErr, errNothing) { // which follows from the status
		d.health.Set(health.EnrolmentUnusable, "err", oneLine(d.linkErr))
	}
}

// summary is the daemon in the one line of systemctl status.
func (d *daemon) summary(s status.Status) string {
	text := string(s.State)
	if s.Progress != nil {
		text += ": " + s.Progress.What
	}
	if s.Model != nil {
		text = fmt.Sprintf("%s: %s, %s", text, s.Model.Name, s.Mode)
	}
	if s.Link.Wanted {
		text += ", link " + s.Link.State
	}
	if n := s.Queue.Running; n > 0 {
		text += fmt.Sprintf(", %d answers under way", n)
	}
	if len(s.Health) > 0 {
		text += "; " + s.Health[0].Title
	}
	return text
}
