package node

import (
	"cmp"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"skerry/appliance/config"
	"skerry/appliance/decode"
	"skerry/appliance/engine"
	"skerry/appliance/engine/gpu"
	"skerry/appliance/fserr"
	"skerry/appliance/status"
	"skerry/appliance/status/health"
	"skerry/board"
	"skerry/cloudlink/trust"
	"skerry/cloudlink/wire"
	"skerry/storage"
)

// status is what the daemon says of itself.
func (n *Node) status() status.Status {
	s := n.facts()
	s.Health = n.health.Active()
	return s
}

// facts are the status without the health, which follows from them.
func (n *Node) facts() status.Status {
	s := n.core.Snapshot()
	conf := n.config()
	s.Time, s.Started, s.Version = time.Now().UTC(), n.started.UTC(), n.version
	if s.Name = conf.Name; s.Name == "" {
		s.Name, _ = os.Hostname()
	}
	s.URLs = n.listeners.URLs()
	if s.Mode == "" {
		s.Mode = conf.Mode
	}
	s.Why = n.whyMode(s.Mode, conf.Mode)
	if s.Model != nil {
		if s.Outlook = n.predicted(s.Model.Bundle); s.Outlook != nil && s.Outlook.Mode != "" {
			s.Mode = s.Outlook.Mode
			o := *s.Outlook // which is everybody's
			o.DraftBehind, s.Outlook = s.Model.DraftBehind, &o
		}
	}
	effort := n.thermal.now()
	if effort.Spared {
		s.Why += "; with half of the threads, since " + effort.Reason
	}
	s.Board = n.machine.status(effort.Threads)
	s.Kernels = kernelStatus(conf.GPULayers)
	s.Link = n.link.status()
	n.link.judgeModels(s.Models)
	if errors.Is(n.linkErr, errNothing) {
		s.Link.Cloud = cmp.Or(conf.Cloud.Address, "the cloud of this board's enrolment")
		s.Link.Wanted, s.Link.State, s.Link.Reason, s.Link.May = true, "down", "the cloud may see nothing", string(trust.Nothing)
	}
	s.Storage = n.disk()
	s.Calibration = n.calibrator.status()
	s.Update = n.updates()
	return s
}

// computeThreads are those that the configuration has compute.
func computeThreads(conf config.Config) int {
	if conf.Threads > 0 {
		return conf.Threads
	}
	return max(1, board.Cores("/")-1)
}

// whyMode is why the daemon decodes as it does.
func (n *Node) whyMode(mode, wanted string) string {
	switch {
	case n.linkErr != nil:
		return status.OneLine(n.linkErr)
	case !wantsCloud(wanted):
		return "the configuration says so"
	case n.link != nil:
		return "a cloud is configured, " + strings.Join(n.link.addrs, " or ")
	case mode == string(decode.Unsplit):
		return "no cloud is configured (skerry enroll CODE), and the whole model fits this board"
	case mode == string(decode.Standalone):
		return "no cloud is configured (skerry enroll CODE), and the whole model is not here or has no room"
	}
	return "no cloud is configured (skerry enroll CODE)"
}

func kernelStatus(layers gpu.Layers) status.Kernels {
	k := engine.Init("")
	s := status.Kernels{Name: k.Variant, Device: "CPU", Portable: k.Baseline()}
	if len(k.Devices) > 0 {
		s.Device = k.Devices[0]
	}
	if name, not := engine.DeviceName(); layers != 0 {
		s.GPU, s.GPUNot = name, not
	}
	return s
}

// disk is the one under the state directory and the database on it.
func (n *Node) disk() status.Storage {
	path := config.DatabasePath(n.state)
	s := status.Storage{Path: path}
	var fs unix.Statfs_t
	if unix.Statfs(n.state, &fs) == nil {
		s.FreeBytes, s.TotalBytes = fs.Bavail*uint64(fs.Bsize), fs.Blocks*uint64(fs.Bsize)
	}
	if st, err := os.Stat(path); err == nil {
		s.DBBytes = st.Size()
	}
	if n.db != nil {
		s.SetAside = n.db.SetAside()
		if err := n.db.CompactErr(); err != nil {
			s.Unerased = status.OneLine(fserr.Explain(err, n.state, ""))
		}
		if m := n.db.Medium(); m != storage.Other {
			s.Medium = string(m)
		}
	}
	if err := errors.Join(n.dbErr, n.core.JournalErr()); err != nil {
		s.ErrCode = diskCode(err)
		s.Err = status.OneLine(fserr.Explain(err, n.state, otherState))
	}
	return s
}

// diskCode is the code of an error that is the disk's own, "" for any other.
func diskCode(err error) string {
	switch {
	case errors.Is(err, unix.EIO), errors.Is(err, unix.EROFS):
		return status.DiskFails
	case errors.Is(err, unix.ENOSPC), errors.Is(err, unix.EDQUOT):
		return status.DiskFull
	}
	return ""
}

// report is what the cloud is told of this board.
func (n *Node) report() boardReport {
	s := n.core.Snapshot()
	r := boardReport{mode: cmp.Or(s.Mode, n.config().Mode), health: healthSummary(n.health.Active())}
	if s.Model != nil {
		r.bundle = bundleHash(s.Model.Bundle)
	}
	if o := n.offer(); o != nil {
		r.update = &wire.Offered{Number: o.Number, Version: o.Version, State: o.State, Reason: o.Reason}
	}
	if s.State != status.Ready {
		r.mode = string(s.State)
	}
	return r
}

// healthSummary names the worst problem and how many there are beside it.
func healthSummary(problems []status.Problem) string {
	switch n := len(problems); n {
	case 0:
		return "ok"
	case 1:
		return problems[0].Title
	default:
		return fmt.Sprintf("%s, and %d more", problems[0].Title, n-1)
	}
}

// bundleHash reads the id of a bundle as the status shows it, the zero hash where
// it is none.
func bundleHash(id string) (h wire.Hash) {
	if b, err := hex.DecodeString(id); err == nil && len(b) == len(h) {
		copy(h[:], b)
	}
	return h
}

// lookEvery is how often the daemon looks at itself, for the health and for systemd.
const lookEvery = 5 * time.Second

// look judges the health until ctx ends.
func (n *Node) look(ctx context.Context) {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	logNew := logProblems(n.log)
	for {
		s := n.facts()
		n.health.Judge(s)
		n.judge()
		s.Health = n.health.Active()
		logNew(s.Health)
		n.thermal.look(s)
		n.notify.Status(n.summary(s))
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		case <-n.soon:
		}
	}
}

// lookSoon has the health looked at now rather than after lookEvery.
func (n *Node) lookSoon() {
	select {
	case n.soon <- struct{}{}:
	default:
	}
}

// judge raises the problems that only the code which met them can know.
func (n *Node) judge() {
	setModelProblem(n.health, n.core.Err(), n.config().Bundle)
	if n.linkErr != nil && !errors.Is(n.linkErr, errNothing) { // which follows from the status
		n.health.Set(health.EnrolmentUnusable, "err", status.OneLine(n.linkErr))
	}
}

// summary is the daemon in the one line of systemctl status.
func (n *Node) summary(s status.Status) string {
	text := string(s.State)
	if s.Progress != nil {
		text += ": " + s.Progress.What
	}
	if s.Model != nil {
		text = fmt.Sprintf("%s: %s, %s", text, s.Model.Name, s.Mode)
		if n := len(s.Models) - 1; n > 0 {
			text += ", and " + status.Plural(n, "model") + " more"
		}
	}
	if s.Link.Wanted {
		text += ", link " + s.Link.State
	}
	if n := s.Queue.Running; n > 0 {
		text += ", " + status.Plural(n, "answer") + " under way"
	}
	if len(s.Health) > 0 {
		text += "; " + s.Health[0].Title
	}
	return text
}
