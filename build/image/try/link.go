package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"skerry/build/ask"
)

// linkPort is where the cloud is. A board dials it as it dials any other; qemu passes that on.
const linkPort = "17537"

// link starts a new card with a code of enrolment and settings on its boot partition, and a cloud here
// that it joins. In the middle of an answer the cloud is killed: the answer goes on.
func (t *try) link(ctx context.Context) error {
	bundle, err := t.bundle(ctx)
	if err != nil {
		return err
	}
	t.card.kill() // two boards at once would take twice the time
	m := &machine{dir: filepath.Join(t.dir, "linked"), pi: t.card.pi, starts: new(int)}
	defer m.remove()
	if err := t.newCard(m); err != nil {
		return err
	}
	state := filepath.Join(t.dir, "cloud")
	if err := os.RemoveAll(state); err != nil {
		return err
	}
	if err := tool(t.program, "cloud", "init", "--state", state, "--name", host); err != nil {
		return err
	}
	code, err := exec.CommandContext(ctx, t.program, "cloud", "invite", "--state", state, "--name", "linked", "--may", "hidden", "--cloud", net.JoinHostPort(host, linkPort)).Output()
	if err != nil {
		return fmt.Errorf("cloud invite: %w", err)
	}
	for name, text := range map[string]string{"enrol.txt": string(code) + "\nmay hidden\n", "skerry.toml": "mode = \"collaborative\"\n"} {
		path := filepath.Join(t.dir, name)
		if err := errors.Join(os.WriteFile(path, []byte(text), 0o600), tool("mcopy", "-o", "-i", filepath.Join(m.dir, "card.img")+"@@1M", path, "::/"+name)); err != nil {
			return err
		}
	}
	cloud, ended, err := t.cloud(bundle, state)
	if err != nil {
		return err
	}
	defer func() {
		cloud.Process.Kill()
		<-ended
	}()
	began := time.Now()
	if err := m.start(ctx); err != nil {
		return err
	}
	if err := m.ready(ctx); err != nil {
		return err
	}
	// It joins once it is up, which it shows.
	for joined := m.console(); !strings.Contains(joined, "has joined the cloud"); joined = m.console() {
		if err := m.pause(ctx, time.Second); err != nil {
			return err
		}
	}
	t.note(nil, "enrol.txt and skerry.toml", "taken in, and the cloud joined after %.0f s", time.Since(began).Seconds())
	// The daemon starts anew with what it has joined; a question before that is answered without the cloud.
	var q *ask.Question
	for n := range 20 {
		q = ask.New(fmt.Sprintf("linked-%d", n), tokens)
		if err := m.whole(ctx, q); err != nil {
			return err
		}
		if q.Sources["cloud"] > 0 {
			break
		}
		if err := m.pause(ctx, 5*time.Second); err != nil {
			return err
		}
	}
	if q.Sources["cloud"] == 0 {
		err = errors.New("no token came from the cloud")
	}
	t.note(err, "an answer with the cloud", "tokens by source %v", q.Sources)
	cut := ask.New("cut-link", tokens)
	cut.Seen = func(count int) bool {
		if count == tokens/4 {
			cloud.Process.Kill() // it may have ended
		}
		return true
	}
	err = m.whole(ctx, cut)
	if err == nil && (cut.Sources["cloud"] == 0 || len(cut.Sources) < 2) {
		err = errors.New("it did not go from the cloud to the board")
	}
	if err == nil && cut.Text != q.Text {
		err = errors.New("the text is another than with the cloud")
	}
	t.note(err, "an answer, its link cut in the middle", "whole; tokens by source %v", cut.Sources)
	return nil
}

// bundle is a copy of the board's.
func (t *try) bundle(ctx context.Context) (dir string, err error) {
	dir = filepath.Join(t.dir, "bundle")
	if _, err := os.Stat(filepath.Join(dir, "manifest.json")); !errors.Is(err, fs.ErrNotExist) {
		return dir, err
	}
	if err := t.on(ctx); err != nil {
		return "", err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	pack := t.card.command(ctx, "tar -C /var/lib/board/bundles/current -cf - .")
	unpack := exec.CommandContext(ctx, "tar", "-C", dir, "-xf", "-")
	if unpack.Stdin, err = pack.StdoutPipe(); err != nil {
		return "", err
	}
	return dir, errors.Join(pack.Start(), unpack.Run(), pack.Wait())
}

// cloud serves the bundle. What it says is kept.
func (t *try) cloud(bundle, state string) (cmd *exec.Cmd, ended chan struct{}, err error) {
	said, err := os.Create(filepath.Join(t.dir, "cloud.txt"))
	if err != nil {
		return nil, nil, err
	}
	defer said.Close()
	cmd = exec.Command(t.program, "cloud", "--state", state, "--bundle", bundle, "--listen", "127.0.0.1:"+linkPort)
	cmd.Stdout, cmd.Stderr = said, said
	if err := cmd.Start(); err != nil {
		return nil, nil, err
	}
	ended = make(chan struct{})
	go func() {
		cmd.Wait() // how it ended is in its log
		close(ended)
	}()
	return cmd, ended, nil
}
