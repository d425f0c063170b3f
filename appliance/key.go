package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"log/slog"
	"text/tabwriter"
	"time"

	"skerry/appliance/access"
)

// keyCmd works on the file itself, under a lock. A running daemon notices, so no
// daemon is needed to make the key without which it would not start.
type keyCmd struct {
	New keyNewCmd `cmd:"" help:"Make a key, and show it once."`
	Ls  keyLsCmd  `cmd:"" help:"List the keys."`
	Rm  keyRmCmd  `cmd:"" help:"Remove a key: it is refused from then on."`
}

// Help is shown above the commands.
func (c *keyCmd) Help() string {
	return `Clients on the LAN need a key; on this machine none is needed. They send it as
"Authorization: Bearer KEY" (OpenAI's libraries: api_key) or "X-Api-Key: KEY"; in a
browser it is asked for. Only its hash is stored. A running daemon takes up changes
at once.

Examples:
  skerry key new laptop                     make one; it is shown this once
  skerry key ls                             whose keys there are, when used
  skerry key rm laptop                      the laptop is out
  skerry key rm laptop && skerry key new laptop
                                            rotate it
`
}

// keyStore is where a key verb finds the keys: where the daemon of the same
// configuration does.
type keyStore struct {
	settingsFlags
	State string `help:"The daemon's state directory, where keys.json is. Default: as the configuration says." placeholder:"DIR" type:"path"`
}

func (s *keyStore) open() (*access.Keys, error) {
	dir := s.State
	if dir == "" {
		cfg, _, err := s.load()
		if err != nil {
			return nil, err
		}
		if dir, err = stateDir(cfg.State); err != nil {
			return nil, err
		}
	}
	return access.OpenKeys(dir, time.Now, slog.New(slog.DiscardHandler))
}

type keyNewCmd struct {
	keyStore
	Name string `arg:"" help:"Whose it is, as laptop; letters, digits and - _ . @"`
	JSON bool   `name:"json" help:"As JSON."`
}

func (c *keyNewCmd) Run(out *console) error {
	if err := access.CheckName(c.Name); err != nil {
		return usageError("%w", err)
	}
	keys, err := c.open()
	if err != nil {
		return err
	}
	secret, err := keys.New(c.Name)
	if err != nil {
		return err
	}
	if c.JSON {
		return json.NewEncoder(out.stdout).Encode(struct {
			Name string `json:"name"`
			Key  string `json:"key"`
		}{c.Name, secret})
	}
	out.note("key %s, of which %s has the hash; it is not shown again:", c.Name, keys.Path())
	fmt.Fprintln(out.stdout, secret)
	return nil
}

type keyLsCmd struct {
	keyStore
	JSON bool `name:"json" help:"As JSON."`
}

func (c *keyLsCmd) Run(out *console) error {
	keys, err := c.open()
	if err != nil {
		return err
	}
	list, err := keys.List()
	if err != nil {
		return err
	}
	if c.JSON {
		rows := []listedKey{}
		for _, k := range list {
			rows = append(rows, listedKey{k.Name, k.Created, k.Used})
		}
		e := json.NewEncoder(out.stdout)
		e.SetIndent("", "  ")
		return e.Encode(rows)
	}
	if len(list) == 0 {
		out.note("no keys in %s: make one with skerry key new NAME", keys.Path())
		return nil
	}
	w := tabwriter.NewWriter(out.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "NAME\tCREATED\tLAST USED")
	for _, k := range list {
		fmt.Fprintf(w, "%s\t%s\t%s\n", k.Name, k.Created.Format(time.DateOnly), cmp.Or(k.Used, "never"))
	}
	return w.Flush()
}

// listedKey is a key as ls --json has it: without its hash.
type listedKey struct {
	Name    string    `json:"name"`
	Created time.Time `json:"created"`
	Used    string    `json:"last_used,omitempty"`
}

type keyRmCmd struct {
	keyStore
	Name string `arg:"" help:"Of the key."`
}

func (c *keyRmCmd) Run(out *console) error {
	keys, err := c.open()
	if err != nil {
		return err
	}
	if err := keys.Remove(c.Name); err != nil {
		return err
	}
	out.note("key %s is removed", c.Name)
	return nil
}
