package main

import (
	"archive/tar"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/google/renameio/v2"

	"skerry/appliance/control"
	"skerry/appliance/status"
)

type supportBundleCmd struct {
	daemonFlags
	settingsFlags
	Output string `short:"o" help:"The archive; - for stdout. Default: skerry-support-HOST-TIME.tar.gz here." placeholder:"FILE"`
}

// Help is shown above the flags.
func (c *supportBundleCmd) Help() string {
	return `It packs status, log, settings, versions, what the doctor finds, the link's last hour
and the sizes of files. Keys, certificates, tickets, prompts and answers stay here;
sessions are numbered, not named. Read it before you send it.

Examples:
  skerry support-bundle                     for a report of a problem
  skerry support-bundle -o /tmp/b.tar.gz && tar tzf /tmp/b.tar.gz
  sudo skerry support-bundle                with what this user may not read
`
}

func (c *supportBundleCmd) Run(ctx context.Context, out *console) error {
	b := &supportBundle{at: time.Now().UTC()}
	b.host, _ = os.Hostname()
	d := &doctor{ctx: ctx, host: thisHost()}
	if err := d.settle(&doctorCmd{daemonFlags: c.daemonFlags, settingsFlags: c.settingsFlags}); err != nil {
		return err
	}
	defer d.daemon.Close()
	b.gather(ctx, d)
	if err := ctx.Err(); err != nil {
		return err
	}
	if c.Output == "-" {
		if err := b.write(out.stdout); err != nil {
			return err
		}
		b.list(out)
		return nil
	}
	path := c.Output
	if path == "" {
		path = fmt.Sprintf("skerry-support-%s-%s.tar.gz", b.host, b.at.Format("20060102-150405"))
	}
	f, err := renameio.NewPendingFile(path, renameio.WithPermissions(0o600))
	if err != nil {
		return fmt.Errorf("%w (give -o FILE in a directory that this user may write)", err)
	}
	defer f.Cleanup()
	if err := b.write(f); err != nil {
		return err
	}
	if err := f.CloseAtomicallyReplace(); err != nil {
		return err
	}
	b.list(out)
	fmt.Fprintln(out.stdout, path)
	return nil
}

// supportBundle is what is packed. Everything goes through add, which scrubs it.
type supportBundle struct {
	host  string
	at    time.Time
	files []supportFile
}

type supportFile struct {
	name string
	what string // for people
	data []byte
}

func (b *supportBundle) add(name, what string, data []byte) {
	b.files = append(b.files, supportFile{name, what, scrub(data)})
}

// addOr adds what f yields, or why it could not be had.
func (b *supportBundle) addOr(name, what string, f func() ([]byte, error)) {
	data, err := f()
	if err != nil {
		data = []byte("not to be had: " + oneLine(err) + "\n")
		what += " (not to be had)"
	}
	b.add(name, what, data)
}

func (b *supportBundle) gather(ctx context.Context, d *doctor) {
	d.run()
	b.add("doctor.txt", "what skerry doctor finds", doctorText(d))
	b.addOr("version.json", "version, kernels, devices", versionJSON)
	b.add("system.txt", "the machine and its kernel", systemText(d))
	b.addOr("config.toml", "the settings in force", func() ([]byte, error) { return settings(ctx, d) })
	b.add("environment.txt", "variables that skerry reads", environment(os.Environ()))
	b.add("sizes.txt", "sizes of the files skerry keeps", sizes(d))
	if d.status == nil {
		b.add("status.txt", "no daemon answers", []byte("no daemon answers; see doctor.txt\n"))
		return
	}
	p := newPseudonyms(d.status.Sessions)
	s := p.status(*d.status)
	b.addOr("status.json", "the status", func() ([]byte, error) { return indented(s) })
	b.addOr("status.txt", "the same, to be read", func() ([]byte, error) { return statusText(s) })
	b.add("link.csv", "the link, minute by minute", linkCSV(s.Link.Hour))
	b.addOr("log.txt", "the daemon's newest log lines", func() ([]byte, error) { return logText(ctx, d.daemon, p) })
}

func (b *supportBundle) write(w io.Writer) error {
	z := gzip.NewWriter(w)
	t := tar.NewWriter(z)
	dir := fmt.Sprintf("skerry-support-%s", b.at.Format("20060102-150405"))
	for _, f := range b.files {
		h := &tar.Header{Name: filepath.Join(dir, f.name), Mode: 0o600, Size: int64(len(f.data)), ModTime: b.at, Typeflag: tar.TypeReg}
		if err := t.WriteHeader(h); err != nil {
			return err
		}
		if _, err := t.Write(f.data); err != nil {
			return err
		}
	}
	if err := t.Close(); err != nil {
		return err
	}
	return z.Close()
}

// list says what is inside.
func (b *supportBundle) list(out *console) {
	out.note("Inside:")
	for _, f := range b.files {
		out.note("  %-16s %8s  %s", f.name, status.Bytes(len(f.data)), f.what)
	}
	out.note("No keys, certificates, tickets, prompts or answers; look before you send it.")
}

func logText(ctx context.Context, d *control.Client, p pseudonyms) ([]byte, error) {
	lines, err := d.Logs(ctx, 0)
	if err != nil {
		return nil, err
	}
	var text []byte
	for _, r := range lines {
		text = fmt.Appendf(text, "%s %s\n", r.Time.Format("2006-01-02T15:04:05.000Z"), p.record(r))
	}
	return text, nil
}
