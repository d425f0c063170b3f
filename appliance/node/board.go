package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"time"

	"skerry/appliance/config"
	"skerry/appliance/decode"
	"skerry/appliance/decode/batch"
	"skerry/appliance/fserr"
	"skerry/appliance/infer"
	"skerry/appliance/infer/picture"
	"skerry/appliance/server"
	"skerry/appliance/status"
	"skerry/cloudlink/linksim"
	"skerry/cloudlink/wire"
	"skerry/storage"
)

// Board is what answers: the database, the link to the cloud, the loader of the model and
// the core over them. A Node puts listeners around it, and Open opens one for a single
// program. Its methods may be called concurrently.
type Board struct {
	version string
	state   string // directory
	log     *slog.Logger
	db      *storage.DB // nil where it is not wanted or cannot be opened
	dbErr   error       // why
	link    *cloudLink  // nil: the board is alone
	linkErr error       // why, where a cloud is wanted
	loader  *loader
	core    *server.Core
	images  *picture.Store // of sessions

	// Of a board that Open has opened:
	single   *OpenOptions  // nil in a daemon
	rows     *keptRows     // of its one session
	emulated *linksim.Link // before the cloud, nil for none
	counted  linkBytes     // by LinkUse so far
}

// databaseOptions are those of a board's database by the configuration.
func databaseOptions(conf config.Config) storage.Options {
	return DatabaseOptions(storage.Options{
		Durability: conf.Durability, KeepFor: time.Duration(conf.SessionKeep), KeepBytes: int64(conf.SessionSize),
	})
}

// openDatabase opens the board's database. Without one answers are given all the
// same, and outlive no restart; only another daemon's is not to be shared.
func (b *Board) openDatabase(conf config.Config) error {
	db, err := storage.Open(config.DatabasePath(b.state), databaseOptions(conf))
	if errors.Is(err, storage.ErrLocked) {
		return fmt.Errorf("a daemon runs with the state directory %s already: ask it (skerry status), or give --state another", b.state)
	}
	if err != nil {
		err = fserr.Explain(err, b.state, otherState)
		b.log.Error("the database cannot be opened: sessions are not saved", "error", status.OneLine(err))
		b.dbErr = err
		return nil
	}
	b.db = db
	if aside := db.SetAside(); aside != "" {
		b.log.Warn("the database was damaged and moved away; what could be read of it was kept", "file", aside)
	}
	return nil
}

// openLink dials the daemon's cloud, where there is one and the mode asks it.
func (n *Node) openLink(conf config.Config) {
	if !wantsCloud(conf.Mode) {
		return
	}
	set := settingsOf(conf, n.state, n.version)
	set.Changed = n.lookSoon
	n.link, n.linkErr = startLink(set, n.db, n.log)
	switch {
	case errors.Is(n.linkErr, errNothing): // as its owner wanted
		n.log.Info("the board runs without a cloud", "why", n.linkErr)
	case n.linkErr != nil:
		n.log.Error("the board runs without a cloud", "error", status.OneLine(n.linkErr))
	}
}

// settingsOf are the link's by the configuration.
func settingsOf(conf config.Config, state, version string) linkSettings {
	return linkSettings{Cloud: conf.Cloud.Address, Encoding: conf.Cloud.Encoding, MonthlyMB: uint64(conf.Cloud.MonthlyMB), State: state, Version: version}
}

// openCore begins to load the model, and answers once it is there. What the options leave
// open of the board is filled in.
func (b *Board) openCore(l *loader, o server.Options) {
	l.state, l.log = b.state, b.log
	b.images = picture.NewStore(filepath.Join(b.state, "images"))
	if b.db != nil {
		l.known = b.db.HasSession
		o.Journal, o.Images = Journal{DB: b.db, rows: b.rows}, b.images
	}
	b.loader = l
	o.Loader, o.Log, o.Forget = l, b.log, b.forgetFiles
	b.core = server.New(o)
}

// withLink has the loader ask the cloud over the link.
func (l *loader) withLink(link *cloudLink, changed func()) {
	l.unreachable, l.takesTokens = link.unreachable, link.takesTokens
	l.openCloud = func(_ context.Context, mode infer.Mode, bundle wire.Hash, m decode.Model) (*CloudSession, error) {
		return link.open(context.Background(), mode, bundle, m, nil)
	}
	l.wants = func(bundle wire.Hash) {
		link.Want(bundle)
		changed()
	}
	l.pullCloud = func(ctx context.Context, name string, whole bool, step func(string, int64, int64)) (string, error) {
		return Pull(ctx, link.Link, name, whole, step)
	}
}

// forgetFiles deletes the cached prefixes that hold a session's text, and its images.
func (b *Board) forgetFiles(session string) error {
	return errors.Join(batch.ForgetFiles(prefixCacheDir(b.state), session), b.images.Forget(session))
}

// count counts a token for the reports to the cloud.
func (b *Board) count(t server.TokenSeen) {
	if b.link != nil {
		b.link.Count(t.Source)
	}
}

// closeAll closes what the core rests on; the core was shut down before.
func (b *Board) closeAll() (err error) {
	if b.link != nil {
		b.link.close()
	}
	if b.db != nil {
		err = b.db.Close()
	}
	return err
}
