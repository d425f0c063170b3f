package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"time"
)

// daemon is skerry serve, alone, on loopback.
type daemon struct {
	cmd *exec.Cmd
	url string
	log string
}

// listening is what the daemon prints first.
var listening = regexp.MustCompile(`^listening on (http://[^/\s]+)/`)

// readyWithin bounds how long a model may take to be split and loaded.
const readyWithin = 30 * time.Minute

// startDaemon fetches the model and serves it on loopback.
func startDaemon(ctx context.Context, bin, model, work string) (*daemon, error) {
	fmt.Fprintf(os.Stderr, "fetching %s\n", model)
	fetch := exec.CommandContext(ctx, bin, "model", "fetch", model)
	var problem bytes.Buffer
	fetch.Stderr = &problem
	path, err := fetch.Output()
	if err != nil {
		return nil, fmt.Errorf("%s cannot be fetched: %s", model, tail(&problem))
	}
	d := &daemon{log: filepath.Join(work, "daemon.log")}
	log, err := os.Create(d.log)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	d.cmd = exec.Command(bin, "serve", "--listen", "127.0.0.1:0", "--bundle", strings.TrimSpace(string(path)), "--split", "--mode", "unsplit",
		"--context", "8192", "--state", filepath.Join(work, "state"), "--socket", filepath.Join(work, "socket"))
	d.cmd.Stderr = log
	says, err := d.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := d.cmd.Start(); err != nil {
		return nil, err
	}
	line, err := bufio.NewReader(says).ReadString('\n')
	at := listening.FindStringSubmatch(line)
	if at == nil {
		return nil, errors.Join(fmt.Errorf("the daemon says no address: %q, %v", line, err), d.stop())
	}
	d.url = at[1]
	if err := d.await(ctx); err != nil {
		return nil, errors.Join(err, d.stop())
	}
	return d, nil
}

// await waits until the daemon can answer.
func (d *daemon) await(ctx context.Context) error {
	fmt.Fprintln(os.Stderr, "waiting for the daemon")
	ctx, cancel := context.WithTimeout(ctx, readyWithin)
	defer cancel()
	for {
		req, err := http.NewRequestWithContext(ctx, "GET", d.url+"/readyz", nil)
		if err != nil {
			return err
		}
		resp, err := http.DefaultClient.Do(req)
		if err == nil {
			resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return nil
			}
		}
		select {
		case <-time.After(time.Second):
		case <-ctx.Done():
			log, _ := os.ReadFile(d.log)
			return fmt.Errorf("the daemon is not ready: %s", tail(bytes.NewReader(log)))
		}
	}
}

// stop ends the daemon and waits for it.
func (d *daemon) stop() error {
	d.cmd.Process.Signal(syscall.SIGTERM)
	err := d.cmd.Wait()
	if exit := new(exec.ExitError); errors.As(err, &exit) && exit.Exited() {
		return fmt.Errorf("the daemon ended with %d", exit.ExitCode())
	}
	return nil
}

// firstModel is the name of the model that is loaded.
func firstModel(ctx context.Context, url string) (string, error) {
	req, err := http.NewRequestWithContext(ctx, "GET", url+"/v1/models", nil)
	if err != nil {
		return "", err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	var list struct {
		Data []struct {
			ID string `json:"id"`
		} `json:"data"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&list); err != nil || len(list.Data) == 0 {
		return "", fmt.Errorf("%s has no models: %v", url, err)
	}
	return list.Data[0].ID, nil
}
