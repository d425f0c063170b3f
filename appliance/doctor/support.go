package doctor

import (
	"archive/tar"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"skerry/appliance/status"
)

// SupportBundle is what a report of a problem needs: an archive without keys,
// certificates, tickets, prompts or answers, in which sessions are numbered and not
// named. Everything goes through add, which scrubs it.
type SupportBundle struct {
	host  string
	at    time.Time
	Files []SupportFile
}

// SupportFile is a file of the archive.
type SupportFile struct {
	Name string
	What string // what is in it, for people
	Data []byte
}

// Support gathers what is packed, and first goes through the checks. version is what
// skerry version --json prints.
func (d *Doctor) Support(ctx context.Context, version any) *SupportBundle {
	b := &SupportBundle{at: time.Now().UTC()}
	b.host, _ = os.Hostname()
	b.gather(ctx, d, version)
	return b
}

// stamp tells one archive from the next.
func (b *SupportBundle) stamp() string { return b.at.Format("20060102-150405") }

// Name is what the archive's file is called by default.
func (b *SupportBundle) Name() string {
	return fmt.Sprintf("skerry-support-%s-%s.tar.gz", b.host, b.stamp())
}

// Contents lists what is inside, for people.
func (b *SupportBundle) Contents() string {
	lines := []string{"Inside:"}
	for _, f := range b.Files {
		lines = append(lines, fmt.Sprintf("  %-16s %8s  %s", f.Name, status.Bytes(len(f.Data)), f.What))
	}
	return strings.Join(append(lines, "No keys, certificates, tickets, prompts or answers; look before you send it."), "\n")
}

func (b *SupportBundle) add(name, what string, data []byte) {
	b.Files = append(b.Files, SupportFile{name, what, scrub(data)})
}

// addOr adds what f yields, or why it could not be had.
func (b *SupportBundle) addOr(name, what string, f func() ([]byte, error)) {
	data, err := f()
	if err != nil {
		data = []byte("not to be had: " + status.OneLine(err) + "\n")
		what += " (not to be had)"
	}
	b.add(name, what, data)
}

func (b *SupportBundle) gather(ctx context.Context, d *Doctor, version any) {
	b.add("doctor.txt", "what skerry doctor finds", findingsText(d.Look(ctx, nil)))
	b.addOr("version.json", "version, kernels, devices", func() ([]byte, error) { return indented(version) })
	b.add("system.txt", "the machine and its kernel", systemText(d))
	b.addOr("config.toml", "the settings in force", func() ([]byte, error) { return d.settings(ctx) })
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
	b.addOr("log.txt", "the daemon's newest log lines", func() ([]byte, error) { return d.logText(ctx, p) })
}

// Write writes the archive, a gzipped tar.
func (b *SupportBundle) Write(w io.Writer) error {
	z := gzip.NewWriter(w)
	t := tar.NewWriter(z)
	dir := "skerry-support-" + b.stamp()
	for _, f := range b.Files {
		h := &tar.Header{Name: filepath.Join(dir, f.Name), Mode: 0o600, Size: int64(len(f.Data)), ModTime: b.at, Typeflag: tar.TypeReg}
		if err := t.WriteHeader(h); err != nil {
			return err
		}
		if _, err := t.Write(f.Data); err != nil {
			return err
		}
	}
	if err := t.Close(); err != nil {
		return err
	}
	return z.Close()
}
