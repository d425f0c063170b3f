package node

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"

	"skerry/appliance/server"
	"skerry/cloudlink"
	"skerry/cloudlink/wire"
	"skerry/storage"
)

// keptRows are the hidden states that a cloud has of a session of the journal from before
// this process: those of the last prompt, which are the same there and need not go up again. Of
// the answer behind it the cloud may have others than those of the journal's tokens: of drafts that
// were rejected, or of what it went on to say by itself, and it never heard what was said in their
// place. A nil one knows of none.
type keptRows struct {
	db      *storage.DB
	session string
	cloud   *CloudSession // of the conversation; nil before it is opened
	id      wire.SessionID
}

// branchRoom is how far apart the branch numbers of two processes lie; the link
// leaves that many out.
const branchRoom = 1 << 16

// resume has a session of the link go on with the one that an earlier process had at the
// cloud. The number from which this process counts its branches is written down first, so
// that the next one leaves them out.
func (k *keptRows) resume(opt *cloudlink.SessionOptions) error {
	if k == nil {
		return nil
	}
	rand.Read(k.id[:])
	opt.ID = k.id
	log, err := k.db.OpenSession(k.session)
	if errors.Is(err, storage.ErrNoSession) {
		return nil
	}
	var meta storage.SessionMeta
	if err == nil {
		meta, err = log.Meta()
	}
	if err != nil {
		return err
	}
	r, err := k.record(meta, hex.EncodeToString(opt.Bundle[:]))
	if err != nil || r.Link == "" {
		return err
	}
	b, err := hex.DecodeString(r.Link)
	if err != nil || copy(k.id[:], b) != len(k.id) {
		return fmt.Errorf("session %s: its id at the cloud is damaged (begin another session)", k.session)
	}
	opt.ID = k.id
	stand := min(r.Answer, meta.Position)
	if stand == 0 {
		return nil
	}
	opt.Position, opt.Branch = stand, meta.Branch
	meta.Branch += branchRoom
	if err := log.SetMeta(meta); err != nil {
		return err
	}
	return log.Sync()
}

// record of the session, whose tokens are those of the bundle.
func (k *keptRows) record(meta storage.SessionMeta, bundle string) (r server.Record, err error) {
	if err := json.Unmarshal(meta.Options, &r); err != nil {
		return r, fmt.Errorf("session %s is damaged: %w (begin another session)", k.session, err)
	}
	if r.Bundle != "" && r.Bundle != bundle {
		return r, fmt.Errorf("session %s was begun with bundle %.12s, this is %.12s: give that bundle, or begin another session", k.session, r.Bundle, bundle)
	}
	return r, nil
}

// check says why the session cannot be asked on in with the bundle.
func (k *keptRows) check(bundle string) error {
	log, err := k.db.OpenSession(k.session)
	if errors.Is(err, storage.ErrNoSession) {
		return nil
	}
	var meta storage.SessionMeta
	if err == nil {
		meta, err = log.Meta()
	}
	if err == nil {
		_, err = k.record(meta, bundle)
	}
	return err
}

// keep has the cloud forget the rows of a session's positions from pos on, so that they are
// never taken for another question's. It returns the session's id at the cloud, in hex, and
// the branch since when that holds. The id is a new one where no rows are known.
func (k *keptRows) keep(session string, pos int) (link string, branch uint32, err error) {
	if k == nil || k.cloud == nil || k.session != session {
		return newLink(), 0, nil
	}
	branch, err = k.cloud.Keep(pos)
	if errors.Is(err, cloudlink.ErrClosed) { // it was lost for good, and no other could be opened
		return newLink(), 0, nil
	}
	return hex.EncodeToString(k.id[:]), branch, err
}

// newLink is the id at the cloud of a session of which nothing is there.
func newLink() string {
	var id wire.SessionID
	rand.Read(id[:])
	return hex.EncodeToString(id[:])
}
