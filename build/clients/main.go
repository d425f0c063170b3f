// Command clients has the clients that people use talk to a daemon, unmodified: each does
// real tasks on the 0.5B model, and a table says which went well.
//
//	go run ./build/clients -bin bin/skerry [-only openai,aider] [-out build/out/clients.txt]
//
// A client's packages are pinned, and installed once into the cache: Python's into virtual
// environments, npm's beside their lock files. What cannot be had is skipped with the reason.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
)

func main() {
	bin := flag.String("bin", "bin/skerry", "the program")
	model := flag.String("model", "qwen2.5-coder-0.5b", "the model that is asked, as skerry model fetch knows it")
	only := flag.String("only", "", "clients, with commas between them; all if empty")
	out := flag.String("out", "", "file that the table is written to as well")
	url := flag.String("url", "", "a daemon that runs, as http://127.0.0.1:7537, in place of one that is started")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	failed, err := run(ctx, *bin, *model, *url, *only, *out)
	if err != nil {
		fmt.Fprintln(os.Stderr, "clients:", err)
	}
	if err != nil || failed > 0 {
		stop()
		os.Exit(1)
	}
}

// run goes through the clients and returns how many tasks have failed.
func run(ctx context.Context, bin, model, url, only, out string) (failed int, err error) {
	chosen, err := choose(only)
	if err != nil {
		return 0, err
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return 0, err
	}
	work, err := os.MkdirTemp("", "skerry-clients-")
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(work)
	if url == "" {
		d, err := startDaemon(ctx, bin, model, work)
		if err != nil {
			return 0, err
		}
		defer func() { err = errors.Join(err, d.stop()) }()
		url = d.url
	}
	name, err := firstModel(ctx, url)
	if err != nil {
		return 0, err
	}
	h := &harness{url: url, model: name, work: work, cache: filepath.Join(cache, "skerry", "clients")}
	return h.all(ctx, chosen, out)
}

// choose returns the clients of these names, all for "".
func choose(only string) ([]client, error) {
	if only == "" {
		return clients, nil
	}
	var chosen []client
	for _, name := range strings.Split(only, ",") {
		at := -1
		for i, c := range clients {
			if c.name == name {
				at = i
			}
		}
		if at < 0 {
			return nil, fmt.Errorf("there is no client %q: choose of %s", name, names())
		}
		chosen = append(chosen, clients[at])
	}
	return chosen, nil
}

func names() string {
	var all []string
	for _, c := range clients {
		all = append(all, c.name)
	}
	return strings.Join(all, ", ")
}

// tail is the end of what a command printed, on one line.
func tail(r io.Reader) string {
	text, _ := io.ReadAll(r)
	line := strings.Join(strings.Fields(string(text)), " ")
	if len(line) > 300 {
		line = "…" + strings.ToValidUTF8(line[len(line)-300:], "")
	}
	return line
}
