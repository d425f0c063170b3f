package main

import (
	"cmp"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"slices"

	"skerry/appliance/decode"
	"skerry/appliance/engine"
	"skerry/cloudlink"
	"skerry/cloudlink/wire"
	"skerry/storage"
)

// journal keeps a named session in the board's database: the tokens as they are
// said, so that a run that was killed goes on where it was.
type journal struct {
	log    *storage.SessionLog
	kept   kept
	failed error // the first append that was refused
}

// kept is what the database holds of a session beside its tokens.
type kept struct {
	Bundle   string           `json:"bundle"`
	Link     string           `json:"link"`     // the session's id at the cloud, in hex
	Messages []engine.Message `json:"messages"` // the last is the question of the answer below
	Options  decode.Options   `json:"options"`
	Answer   int              `json:"answer"` // position of the answer's first token
	Finish   decode.Finish    `json:"finish"` // empty while the answer is not whole
}

// databasePath is where a board keeps its database below the state directory.
func databasePath(state string) string { return filepath.Join(state, "board.db") }

// openJournal finds the session, or makes it with the id at the cloud drawn by
// the caller.
func openJournal(db *storage.DB, name, bundle, mode string, link wire.SessionID) (*journal, error) {
	log, err := db.OpenSession(name)
	if errors.Is(err, storage.ErrNoSession) {
		k := kept{Bundle: bundle, Link: hex.EncodeToString(link[:]), Finish: decode.FinishStop}
		options, err := json.Marshal(k)
		if err != nil {
			return nil, err
		}
		log, err = db.CreateSession(storage.SessionMeta{ID: name, Bundle: bundle, Mode: mode, Options: options})
		if err != nil {
			return nil, err
		}
		return &journal{log: log, kept: k}, log.Sync()
	}
	if err != nil {
		return nil, err
	}
	return resumeJournal(log, name, bundle)
}

func resumeJournal(log *storage.SessionLog, name, bundle string) (*journal, error) {
	meta, err := log.Meta()
	if err != nil {
		return nil, err
	}
	j := &journal{log: log}
	if err := json.Unmarshal(meta.Options, &j.kept); err != nil {
		return nil, fmt.Errorf("session %s is damaged: %w (begin another session)", name, err)
	}
	if j.kept.Bundle != bundle {
		return nil, fmt.Errorf("session %s was begun with bundle %.12s, this is %.12s: give that bundle, or begin another session", name, j.kept.Bundle, bundle)
	}
	if n := len(j.kept.Messages); j.unfinished() && (n == 0 || j.kept.Answer == 0 || j.kept.Answer > meta.Position) {
		// The question was not written down whole: as if it had never been asked.
		j.kept.Messages, j.kept.Finish = j.kept.Messages[:max(n-1, 0)], decode.FinishCancel
	}
	return j, nil
}

// unfinished reports whether the last answer was cut.
func (j *journal) unfinished() bool { return j.kept.Finish == "" }

// linkID is the session's id at the cloud.
func (j *journal) linkID() (id wire.SessionID, err error) {
	b, err := hex.DecodeString(j.kept.Link)
	if err != nil || copy(id[:], b) != len(id) {
		return id, fmt.Errorf("session %s: its id at the cloud is damaged (begin another session)", j.log.ID())
	}
	return id, nil
}

// common returns how many tokens the prompt and the journal begin with alike.
func (j *journal) common(prompt []int32) (same int, err error) {
	tokens, err := j.log.Tokens()
	for same < min(len(tokens), len(prompt)) && tokens[same] == prompt[same] {
		same++
	}
	return same, err
}

// begin writes down the question and its options before the first token, in
// place of what the journal holds from position same on. The cloud must have
// been told before to forget its rows from there, on the given branch.
func (j *journal) begin(messages []engine.Message, prompt []int32, same int, branch uint32, o decode.Options) error {
	k := j.kept
	k.Messages, k.Options, k.Answer, k.Finish = messages, o, len(prompt), ""
	if options, err := json.Marshal(k); err != nil {
		return err
	} else if len(options) > longestKept {
		return fmt.Errorf("session %s: the conversation is too long to be kept: begin another session", j.log.ID())
	}
	meta, err := j.log.Meta()
	if err != nil {
		return err
	}
	if same < meta.Position { // each truncation costs the cloud's rows of a branch before it
		if err := j.log.Truncate(same); err != nil {
			return err
		}
	}
	if err := j.log.Append(same, prompt[same:]); err != nil {
		return err
	}
	j.kept = k
	return j.save(func(m *storage.SessionMeta) { m.Branch = max(m.Branch, branch) })
}

// longestKept leaves room for an answer in what the database keeps of a session.
const longestKept = 48 << 10

// resume returns the prompt and options of the answer that was cut.
func (j *journal) resume() (prompt []int32, o decode.Options, err error) {
	tokens, err := j.log.Tokens()
	if err != nil {
		return nil, o, err
	}
	o = j.kept.Options
	o.Said = slices.Clone(tokens[j.kept.Answer:])
	return tokens[:j.kept.Answer], o, nil
}

// say appends a token at its position; the first failure is kept for the end,
// since the answer itself need not stop for it.
func (j *journal) say(pos int, id int32) {
	j.failed = cmp.Or(j.failed, j.log.Append(pos, []int32{id}))
}

// finish writes down how the answer ended. One that was stopped or lost stays
// open, to be gone on with, unless giveUp follows.
func (j *journal) finish(f decode.Finish, text string) error {
	if f == decode.FinishStop || f == decode.FinishLength {
		j.kept.Finish = f
		j.kept.Messages = append(j.kept.Messages, engine.Message{Role: "assistant", Content: text})
	}
	return errors.Join(j.failed, j.save(nil))
}

// giveUp ends an answer that was stopped, for good and as it is.
func (j *journal) giveUp(text string) error {
	if !j.unfinished() {
		return nil
	}
	j.kept.Finish = decode.FinishCancel
	j.kept.Messages = append(j.kept.Messages, engine.Message{Role: "assistant", Content: text})
	return j.save(nil)
}

// save writes the session's description down, durably.
func (j *journal) save(change func(*storage.SessionMeta)) error {
	options, err := json.Marshal(j.kept)
	if err != nil {
		return err
	}
	meta, err := j.log.Meta()
	if err != nil {
		return err
	}
	meta.Options, meta.Mode = options, string(j.kept.Options.Mode)
	if change != nil {
		change(&meta)
	}
	if err := j.log.SetMeta(meta); err != nil {
		return err
	}
	return j.log.Sync()
}

// branchRoom is how far apart the branch numbers of two processes lie; the link
// leaves that many out.
const branchRoom = 1 << 16

// resumeLink has the link go on with the session that the journal's earlier
// process had at the cloud: what lies below the journal's end is the same there.
// The number from which this process counts its branches is written down first,
// so that the next one leaves them out.
func (j *journal) resumeLink(opt *cloudlink.SessionOptions) error {
	id, err := j.linkID()
	if err != nil {
		return err
	}
	meta, err := j.log.Meta()
	if err != nil {
		return err
	}
	opt.ID = id
	if meta.Position == 0 {
		return nil
	}
	opt.Position, opt.Branch = meta.Position, meta.Branch
	return j.save(func(m *storage.SessionMeta) { m.Branch += branchRoom })
}
