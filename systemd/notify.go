package systemd

import (
	"fmt"
	"os"
	"strings"
	"sync"

	"github.com/coreos/go-systemd/v22/daemon"
)

// Notifier tells systemd of the daemon's state. Its methods may be called
// concurrently; the zero value is ready to use.
type Notifier struct {
	mu     sync.Mutex // guards all following
	ready  bool
	status string
}

func notify(lines ...string) error {
	_, err := daemon.SdNotify(false, strings.Join(lines, "\n"))
	return err
}

// Ready says, once, that requests are answered, with a status text.
func (n *Notifier) Ready(status string) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.ready {
		return nil
	}
	n.ready, n.status = true, status
	return notify(daemon.SdNotifyReady, "STATUS="+line(status))
}

// Status is the line that systemctl status shows; one that has not changed is not
// sent again.
func (n *Notifier) Status(status string) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.status == status {
		return nil
	}
	n.status = status
	return notify("STATUS=" + line(status))
}

// Stopping says that the daemon is about to end.
func (n *Notifier) Stopping(status string) error {
	return notify(daemon.SdNotifyStopping, "STATUS="+line(status))
}

// Extend asks for more time to start or stop.
func (n *Notifier) Extend(seconds int) error {
	return notify(fmt.Sprintf("EXTEND_TIMEOUT_USEC=%d", seconds*1_000_000))
}

// Supervised reports whether systemd has started this process.
func Supervised() bool { return os.Getenv("INVOCATION_ID") != "" }

// line keeps a status within its one line.
func line(s string) string { return strings.Join(strings.Fields(s), " ") }
