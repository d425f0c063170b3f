package main

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"net"
	"time"

	"skerry/appliance/bundle"
	"skerry/appliance/bundle/calibrate"
	"skerry/appliance/decode"
	"skerry/appliance/engine"
	"skerry/cloudlink"
	"skerry/cloudlink/linksim"
	"skerry/cloudlink/trust"
	"skerry/cloudlink/wire"
	"skerry/storage"
)

// boardSide is everything a run needs on the board: the stages, their heads, the
// session, and in collaborative mode the way to the cloud.
type boardSide struct {
	name       string
	bundle     wire.Hash
	vocab      *engine.Vocab
	session    *decode.Session
	db         *storage.DB // nil where none is wanted or it is another process's
	journal    *journal    // nil without --session
	cloud      *boardLink  // nil in modes without one
	counted    cloudlink.Stats
	link       *linksim.Link
	spec       string
	local      *localCloud
	localState string // where it and this board find their certificates
	context    int    // positions there are
	chatting   bool   // an answer that is stopped is not to be gone on with
	saidLost   bool   // that the cloud is lost was said; it stays lost
	degraded   bool   // a cloud was wanted and was not there at the start
	closers    []func()
}

func (b *boardSide) onClose(f func()) { b.closers = append(b.closers, f) }

func (b *boardSide) close() {
	for i := len(b.closers) - 1; i >= 0; i-- {
		b.closers[i]()
	}
	b.closers = nil
}

// openBoard prepares the bundle, starts or finds the cloud and loads the stages.
func openBoard(ctx context.Context, out *console, c *runCmd) (_ *boardSide, err error) {
	var spec linksim.Spec
	if c.Link != "" {
		if spec, err = linksim.Parse(c.Link); err != nil {
			return nil, usageError("--link: %w", err)
		}
	}
	if c.Cloud != "" {
		if _, _, err := net.SplitHostPort(c.Cloud); err != nil {
			return nil, usageError("--cloud %q: give HOST:PORT", c.Cloud)
		}
	}
	b := &boardSide{spec: c.Link}
	defer func() {
		if err != nil {
			b.close()
		}
	}()
	if k := engine.Init(""); k.Baseline() {
		out.note("%s", baselineWarning)
	}
	dir := c.Bundle
	if dir == "" {
		if dir, err = defaultBundle(ctx, out); err != nil {
			return nil, err
		}
	}
	mode := decode.Mode(c.Mode)
	if mode.NeedsCloud() && c.Cloud == "" {
		if c.Cloud, err = enrolledCloud(c); err != nil {
			return nil, err
		}
	}
	if mode.NeedsCloud() && c.Cloud == "" {
		// Started first: it loads while the board does.
		if b.localState, err = b.stateOfLocal(c); err != nil {
			return nil, err
		}
		if b.local, err = startLocalCloud(c, b.localState, dir); err != nil {
			return nil, err
		}
		b.onClose(b.local.stop)
	}
	m, err := bundle.ReadManifest(dir)
	if err != nil {
		return nil, err
	}
	bd, err := bundle.Open(ctx, dir, boardRoles(m, mode)...)
	if err != nil {
		return nil, err
	}
	b.name = bd.Manifest.Name
	model, err := b.load(ctx, bd, mode, c)
	if err != nil {
		return nil, err
	}
	b.bundle = bd.Manifest.ID()
	if err := b.openDatabase(out, c); err != nil {
		return nil, err
	}
	var cloud decode.Cloud
	if mode.NeedsCloud() {
		if err = b.connect(ctx, out, c, spec, model); err != nil {
			return nil, err
		}
		cloud = b.cloud
	}
	b.context = model.Context
	b.session = decode.NewSession(model, 0, cloud)
	return b, nil
}

// enrolledCloud is the address of the cloud that the board is enrolled with, empty
// where it is with none.
func enrolledCloud(c *runCmd) (string, error) {
	state, err := stateDir(c.State)
	if err != nil || !trust.Enrolled(state) {
		return "", err
	}
	id, err := trust.Load(state)
	if err != nil {
		return "", err
	}
	return id.Clouds[0], nil
}

// openDatabase opens the board's database where a session is to be kept, bytes
// are to be counted or a cloud is to be reached again. Without a session it is no loss to do without: a
// run beside another has no tickets.
func (b *boardSide) openDatabase(out *console, c *runCmd) error {
	if c.Session == "" && c.Cloud == "" && c.MonthlyMB == 0 {
		return nil
	}
	state, err := stateDir(c.State)
	if err != nil {
		return err
	}
	opt := storage.Options{Durability: c.Durability}
	if c.Session == "" {
		opt.LockTimeout = time.Millisecond
	}
	db, err := storage.Open(databasePath(state), opt)
	if err != nil && c.Session == "" {
		if c.MonthlyMB > 0 {
			out.note("skerry: --monthly-mb counts this run alone: %s", oneLine(err))
		}
		return nil
	}
	if err != nil {
		return err
	}
	b.db = db
	b.onClose(func() { db.Close() })
	if aside := db.SetAside(); aside != "" {
		out.note("skerry: the database was damaged and is set aside as %s; what is whole of it was kept", aside)
	}
	if c.Session == "" {
		return nil
	}
	var link wire.SessionID
	rand.Read(link[:])
	b.journal, err = openJournal(db, c.Session, hex.EncodeToString(b.bundle[:]), c.Mode, link)
	return err
}

// boardRoles are the files that a mode computes with on the board.
func boardRoles(m *bundle.Manifest, mode decode.Mode) []bundle.Role {
	if mode == decode.Unsplit {
		return []bundle.Role{bundle.Unsplit}
	}
	return []bundle.Role{bundle.Board1, bundle.Board2}[:len(m.Exits)]
}

// load opens the stages a mode needs.
func (b *boardSide) load(ctx context.Context, bd *bundle.Bundle, mode decode.Mode, c *runCmd) (decode.Model, error) {
	opt := engine.Options{Context: c.Context, Threads: c.Threads}
	m := decode.Model{Context: c.Context}
	open := func(role bundle.Role) (*engine.Stage, error) {
		s, err := engine.OpenStage(bd.Path(role), opt)
		if err == nil {
			b.onClose(s.Close)
		}
		return s, err
	}
	if mode == decode.Unsplit {
		s, err := open(bundle.Unsplit)
		if err != nil {
			return m, err
		}
		m.Whole, m.Vocab = s, s.Vocab()
		m.Context = fit(s, c.Context)
	} else {
		var first *engine.Stage
		for i, role := range boardRoles(bd.Manifest, mode) {
			s, err := open(role)
			if err != nil {
				return m, err
			}
			if i == 0 {
				first, m.Vocab = s, s.Vocab()
				m.Context = fit(s, c.Context)
			}
			exit := bd.Manifest.Heads[i]
			fitted, err := bd.FittedHead(ctx, exit.Exit)
			if err != nil {
				return m, err
			}
			h, err := calibrate.NewHead(bd, fitted, s, first, engine.HeadOptions{Threads: s.Options().Threads})
			if err != nil {
				return m, err
			}
			b.onClose(h.Close)
			m.Exits = append(m.Exits, decode.Exit{Stage: s, Head: h, Threshold: exit.Threshold})
		}
	}
	b.vocab = m.Vocab
	b.onClose(m.Vocab.Close)
	return m, nil
}

// fit keeps the context within what the model was trained with.
func fit(s *engine.Stage, want int) int {
	if n := s.TrainedContext(); n > 0 {
		return min(want, n)
	}
	return want
}
