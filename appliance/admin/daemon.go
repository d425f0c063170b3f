package admin

import (
	"context"
	"errors"

	"skerry/appliance/infer"
	"skerry/appliance/status"
)

// Errors of a Daemon, and of a cloud, that the client sees as such again.
var (
	ErrNotFound = errors.New("not found")   // 404: no such session
	ErrConflict = errors.New("in use")      // 409: as a session that is being answered
	ErrRefused  = errors.New("not allowed") // 403: as powering off without the right to

	ErrBadRequest  = errors.New("not understood") // 400: as a name that cannot be one
	ErrUnavailable = errors.New("not running")    // 503: as the load of a cloud that does not run
)

// Daemon is what the handlers need of it. Its methods may be called concurrently,
// also while the model is still loading; errors are one line that says what to do
// next, and wrap one of the above where that is what happened.
type Daemon interface {
	// Sessions kept and under way, the newest first: limit of them (0: all) behind the place
	// after, which is the Next of the list before or "". An after that is none is ErrBadRequest.
	Sessions(ctx context.Context, after string, limit int) (status.SessionList, error)
	// Session in full, or ErrNotFound.
	Session(ctx context.Context, id string) (Session, error)
	// Delete forgets a session; one that is being answered is ErrConflict.
	Delete(ctx context.Context, id string) error
	// Cancel ends the answer under way in a session, for good and as it is; where none is
	// nothing happens.
	Cancel(ctx context.Context, id string) error

	// Reload reads the configuration again and puts in force what can change live.
	Reload(ctx context.Context) (Reloaded, error)
	// Config is the configuration in force, as TOML without secrets.
	Config(ctx context.Context) (string, error)
	// RetryLink dials the cloud now and not at the next turn.
	RetryLink(ctx context.Context) error
	// Power ends the process or the machine, after the answers under way. It returns
	// before, with ErrRefused where it is not allowed to.
	Power(ctx context.Context, what Power) error
}

// Power is an order to end something.
type Power string

// The orders.
const (
	Restart  Power = "restart"  // the daemon, which comes back
	Shutdown Power = "shutdown" // the daemon, which does not
	Reboot   Power = "reboot"   // the machine
	PowerOff Power = "poweroff" // the machine
)

// Session in full.
type Session struct {
	status.Session
	Model    string          `json:"model,omitempty"`
	Bundle   string          `json:"bundle,omitempty"` // its id, hex
	Bytes    int64           `json:"bytes"`            // that the journal holds of it
	Messages []infer.Message `json:"messages"`         // the conversation so far
	// Unfinished says that the last message is an answer that is under way, or was
	// cut and will be gone on with.
	Unfinished bool `json:"unfinished,omitempty"`
	// Unkept says that the conversation was too long for its messages to be kept.
	Unkept bool `json:"unkept,omitempty"`
	// Known to the program alone that has opened the board itself: Tools of the last question,
	// which the next may use, too, and whether several at once; and that the last answer is
	// whole and was not written to its reader's end.
	Tools         []infer.Tool `json:"-"`
	ParallelTools bool         `json:"-"`
	Undelivered   bool         `json:"-"`
}

// Reloaded says what came of reading the configuration again. Each is one line, as
// "threads: 2 -> 3".
type Reloaded struct {
	Changed []string `json:"changed"` // in force now
	Restart []string `json:"restart"` // read, and in force after a restart
}
