package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"

	"skerry/build/ask"
)

// machine is an emulated board with its card.
type machine struct {
	dir      string
	pi       bool // a Raspberry Pi
	starts   *int // how often it was switched on
	qemu     *exec.Cmd
	gone     chan struct{} // closed once qemu has ended
	page     string        // address of the page, here
	sshPort  string
	key      string // of the page, as the console shows it
	welcomed time.Time
}

const (
	firmware = "/usr/share/AAVMF/AAVMF_CODE.fd"
	settings = "/usr/share/AAVMF/AAVMF_VARS.fd"
	// patience is how long a start may take; emulated, on a busy machine, it takes many
	// minutes.
	patience = time.Hour
)

// newCard writes the image to the card of a board, with a key for ssh on its boot partition.
func (t *try) newCard(m *machine) error {
	if err := os.MkdirAll(m.dir, 0o755); err != nil {
		return err
	}
	disk := filepath.Join(m.dir, "card.img")
	id := filepath.Join(t.dir, "id")
	if _, err := os.Stat(id); errors.Is(err, fs.ErrNotExist) {
		if err := tool("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "image-test", "-f", id); err != nil {
			return err
		}
	}
	for _, args := range [][]string{
		{"cp", "--sparse=always", t.image, disk},
		{"truncate", "-s", fmt.Sprintf("%dM", t.cardSize()), disk},
		{"cp", settings, filepath.Join(m.dir, "vars.fd")},
		// The boot partition is the first one, at 1 MiB.
		{"mcopy", "-i", disk + "@@1M", id + ".pub", "::/authorized_keys"},
	} {
		if err := tool(args[0], args[1:]...); err != nil {
			return err
		}
	}
	if m.pi {
		return m.piLoads(disk)
	}
	return nil
}

// cardSize is in MB.
func (t *try) cardSize() int64 {
	if t.card.pi {
		return piCard
	}
	return t.size
}

func tool(name string, args ...string) error {
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %.200s", name, err, out)
	}
	return nil
}

// start switches the board on.
func (m *machine) start(ctx context.Context) error {
	*m.starts++
	m.key, m.welcomed = "", time.Time{}
	monitor := filepath.Join(m.dir, "monitor")
	if err := os.Remove(monitor); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	of := m.arguments
	if m.pi {
		of = m.piArguments
	}
	args, err := of()
	if err != nil {
		return err
	}
	args = append(args, "-display", "none", "-no-user-config", "-no-reboot",
		"-netdev", "user,id=n,hostfwd=tcp:127.0.0.1:0-:7537,hostfwd=tcp:127.0.0.1:0-:22",
		"-serial", "file:"+filepath.Base(m.log()), "-qmp", "unix:monitor,server=on,wait=off")
	cmd := exec.Command("qemu-system-aarch64", args...)
	cmd.Dir = m.dir
	said, err := os.Create(filepath.Join(m.dir, "qemu.log"))
	if err != nil {
		return err
	}
	cmd.Stdout, cmd.Stderr = said, said
	err = cmd.Start()
	said.Close()
	if err != nil {
		return err
	}
	gone := make(chan struct{})
	m.qemu, m.gone = cmd, gone
	go func() {
		cmd.Wait() // how it ended is in its log
		close(gone)
	}()
	forwarded, err := m.monitor(ctx, "info usernet")
	if err != nil {
		return err
	}
	ports := portsOf(forwarded)
	if m.sshPort = ports["22"]; ports["7537"] == "" || m.sshPort == "" {
		return fmt.Errorf("qemu forwards no ports: %s", forwarded)
	}
	m.page = "http://127.0.0.1:" + ports["7537"]
	return nil
}

// slow is of the kernel's command line: emulated, on a busy machine, everything takes longer than
// systemd waits.
const slow = "systemd.default_timeout_start_sec=1800s systemd.default_device_timeout_sec=1800s"

// arguments are qemu's of a board with UEFI.
func (m *machine) arguments() ([]string, error) {
	return []string{"-M", "virt", "-cpu", "cortex-a72", "-smp", "2", "-m", "2048", "-nodefaults",
		"-drive", "if=pflash,format=raw,readonly=on,file=" + firmware, "-drive", "if=pflash,format=raw,file=vars.fd",
		"-drive", "if=virtio,format=raw,file=card.img,cache=writeback", "-device", "virtio-net-pci,netdev=n,romfile=",
		"-device", "virtio-rng-pci", "-device", "i6300esb", "-watchdog-action", "none",
		"-smbios", "type=11,value=io.systemd.stub.kernel-cmdline-extra=" + slow}, nil
}

// log is what the serial line of the last start has said.
func (m *machine) log() string {
	return filepath.Join(m.dir, fmt.Sprintf("console-%d.txt", *m.starts))
}

// monitor gives qemu's monitor a command, and returns what it says.
func (m *machine) monitor(ctx context.Context, command string) (string, error) {
	for {
		c, err := net.Dial("unix", filepath.Join(m.dir, "monitor"))
		if err == nil {
			defer c.Close()
			return order(c, command)
		}
		if err := m.pause(ctx, 50*time.Millisecond); err != nil {
			return "", err
		}
	}
}

// order speaks QMP, see qemu's docs/interop/qmp-spec.rst.
func order(c io.ReadWriter, command string) (string, error) {
	text, err := json.Marshal(map[string]any{"execute": "human-monitor-command", "arguments": map[string]string{"command-line": command}})
	if err != nil {
		return "", err
	}
	if _, err := io.WriteString(c, `{"execute":"qmp_capabilities"}`+string(text)); err != nil {
		return "", err
	}
	for d := json.NewDecoder(c); ; {
		var reply struct {
			Return any
			Error  any
		}
		if err := d.Decode(&reply); err != nil {
			return "", err
		}
		if reply.Error != nil {
			return "", fmt.Errorf("qemu says %v", reply.Error)
		}
		if text, ok := reply.Return.(string); ok {
			return text, nil
		}
	}
}

var aForward = regexp.MustCompile(`(?m)HOST_FORWARD\]\s+\S+\s+\S+\s+([0-9]+)\s+\S+\s+([0-9]+)\s`)

// portsOf are the ports here by those of the board, as qemu's info usernet has them.
func portsOf(text string) map[string]string {
	ports := map[string]string{}
	for _, f := range aForward.FindAllStringSubmatch(text, -1) {
		ports[f[2]] = f[1]
	}
	return ports
}

// kill cuts the power.
func (m *machine) kill() {
	if m.qemu == nil {
		return
	}
	m.qemu.Process.Kill() // it may have ended
	<-m.gone
	m.qemu = nil
}

// remove removes the card, but not what its consoles said.
func (m *machine) remove() {
	m.kill()
	for _, name := range []string{"card.img", "vars.fd", "kernel8.img", "initrd"} {
		os.Remove(filepath.Join(m.dir, name)) // where it stays it takes some room
	}
}

// pause waits a moment, or for the end of qemu, which is an error.
func (m *machine) pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-m.gone:
		text, _ := os.ReadFile(filepath.Join(m.dir, "qemu.log"))
		return fmt.Errorf("qemu has ended: %.200s (%s has what the board said)", text, m.log())
	case <-time.After(d):
		return nil
	}
}

// computed is how much processor time qemu has taken. A busy machine changes less of how far
// a board has come in that time than it does of the time by the clock.
func (m *machine) computed() (time.Duration, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", m.qemu.Process.Pid))
	if err != nil {
		return 0, err
	}
	return processorTime(string(text))
}

// processorTime is the sum of a process's fields utime and stime, which proc_pid_stat(5) has
// in hundredths of a second, after the name in brackets.
func processorTime(stat string) (time.Duration, error) {
	f := strings.Fields(stat[strings.LastIndexByte(stat, ')')+1:])
	if len(f) < 13 {
		return 0, fmt.Errorf("%.60q is no line of /proc/PID/stat", stat)
	}
	var sum int64
	for _, ticks := range f[11:13] {
		n, err := strconv.ParseInt(ticks, 10, 64)
		if err != nil {
			return 0, err
		}
		sum += n
	}
	return time.Duration(sum) * 10 * time.Millisecond, nil
}

// runUntil lets the board run until qemu has taken some processor time.
func (m *machine) runUntil(ctx context.Context, want time.Duration) error {
	for {
		if is, err := m.computed(); err != nil || is >= want {
			return err
		}
		if err := m.pause(ctx, 100*time.Millisecond); err != nil {
			return err
		}
	}
}

var aKey = regexp.MustCompile(`Its key:\s+(\S+)\s`)

// shownKey is the key that the console shows, "" where it has shown none yet.
func (m *machine) shownKey() string {
	if f := aKey.FindStringSubmatch(m.console()); f != nil {
		return f[1]
	}
	return ""
}

// console is what the serial line has said since the last start.
func (m *machine) console() string {
	text, _ := os.ReadFile(m.log()) // nothing yet
	return string(text)
}

// ready waits until the console has shown the key and the daemon answers questions.
func (m *machine) ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, patience, fmt.Errorf("it was not ready within %s (%s has what the board said)", patience, m.log()))
	defer cancel()
	for {
		if m.key == "" {
			if m.key = m.shownKey(); m.key != "" {
				m.welcomed = time.Now()
			}
		} else if m.answers(ctx) {
			return nil
		}
		if err := m.pause(ctx, time.Second); err != nil {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			return err
		}
	}
}

// answers says whether the daemon would answer a question. Before the board has a network
// a connection is taken here, by qemu, and nothing comes; it is not waited for long.
func (m *machine) answers(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, 15*time.Second)
	defer cancel()
	_, err := m.get(ctx, "/readyz", m.key)
	return err == nil
}

// client has a connection for each request, as each start has ports of its own.
var client = &http.Client{Timeout: 10 * time.Minute, Transport: &http.Transport{DisableKeepAlives: true}}

// get returns the body of a page; any status but 200 is an error.
func (m *machine) get(ctx context.Context, path, key string) (string, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, m.page+path, nil)
	if err != nil {
		return "", err
	}
	r.Header.Set("Accept", "text/html, application/json, */*")
	if key != "" {
		r.Header.Set("Authorization", "Bearer "+key)
	}
	reply, err := client.Do(r)
	if err != nil {
		return "", err
	}
	defer reply.Body.Close()
	text, err := io.ReadAll(bufio.NewReader(reply.Body))
	if err == nil && reply.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %w", path, &ask.Refusal{Status: reply.StatusCode, Text: string(text)})
	}
	return string(text), err
}

// daemon is where questions go.
func (m *machine) daemon() ask.Daemon { return ask.Daemon{URL: m.page, Key: m.key, Client: client} }

// whole asks until the answer is whole, or qemu has ended.
func (m *machine) whole(ctx context.Context, q *ask.Question) error {
	return q.Whole(ctx, m.daemon(), func(error) error { return m.pause(ctx, time.Second) })
}

// export is a session as a file.
func (m *machine) export(ctx context.Context, session string) (string, error) {
	return m.get(ctx, "/api/v1/sessions/"+session+"/export?format=jsonl", m.key)
}

// ssh runs a command on the board, as root.
func (m *machine) ssh(ctx context.Context, command string) (string, error) {
	out, err := m.command(ctx, command).CombinedOutput()
	if err != nil {
		err = fmt.Errorf("%w: %.200s", err, strings.TrimSpace(string(out)))
	}
	return strings.TrimSpace(string(out)), err
}

// command is a command on the board.
func (m *machine) command(ctx context.Context, command string) *exec.Cmd {
	return exec.CommandContext(ctx, "ssh", "-i", filepath.Join(filepath.Dir(m.dir), "id"), "-p", m.sshPort, "-o", "BatchMode=yes", "-o", "ConnectTimeout=300",
		"-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR", "root@127.0.0.1", command)
}
