package main

import (
	"log/slog"
	"time"

	"skerry/appliance/cli"
	"skerry/appliance/cli/target"
	"skerry/appliance/config"
	"skerry/appliance/httpd"
)

// keyCmd works on the file itself, under a lock. A running daemon notices, so no
// daemon is needed to make the key without which it would not start.
type keyCmd struct {
	New   keyNewCmd   `cmd:"" help:"Make a key, and show it once."`
	Ls    keyLsCmd    `cmd:"" aliases:"list" help:"List the keys."`
	Scope keyScopeCmd `cmd:"" help:"Change what a key is for."`
	Rm    keyRmCmd    `cmd:"" help:"Remove a key: it is refused from then on."`
}

// Help is shown above the commands.
func (c *keyCmd) Help() string {
	return `Clients on the LAN need a key; on this machine none is needed. They send it as
"Authorization: Bearer KEY" (OpenAI's libraries: api_key) or "X-Api-Key: KEY"; in a
browser it is asked for. Only its hash is stored. A running daemon takes up changes
at once.

Its scopes say what a key is for:
  ask     questions, and the sessions that the key itself has made
  read    the whole status, metrics, the log, everybody's sessions
  admin   everything: control, power, models, everybody's sessions

Examples:
  skerry key new laptop                     make one that may ask; it is shown this once
  skerry key new grafana --scope read       one for monitoring
  skerry key new owner --scope admin        one that may do everything
  skerry key scope laptop ask,read          the laptop sees the whole page, too
  skerry key ls                             whose keys there are, what for, when used
  skerry key rm laptop                      the laptop is out
  skerry key rm laptop && skerry key new laptop
                                            rotate it
`
}

// keyStore is where a key verb finds the keys: where the daemon of the same
// configuration does.
type keyStore struct {
	target.Settings
	State string `help:"Change the keys in this state directory of a daemon. Without it that is where the configuration says." placeholder:"DIR" type:"path"`
}

func (s *keyStore) open() (*httpd.Keys, error) {
	dir := s.State
	if dir == "" {
		cfg, _, err := s.Load()
		if err != nil {
			return nil, err
		}
		if dir, err = config.StateDir(cfg.State); err != nil {
			return nil, err
		}
	}
	return httpd.OpenKeys(dir, time.Now, slog.New(slog.DiscardHandler))
}

type keyScopeCmd struct {
	keyStore
	Name  string `arg:"" help:"Change the key of this name."`
	Scope string `arg:"" help:"Make it good for ask, read or admin from now on, or for several with commas between."`
}

func (c *keyScopeCmd) Run(out *cli.Console) error {
	scopes, err := httpd.ParseScopes(c.Scope)
	if err != nil {
		return cli.Usagef("%w", err)
	}
	keys, err := c.open()
	if err != nil {
		return err
	}
	if err := keys.SetScopes(c.Name, scopes); err != nil {
		return err
	}
	out.Note("key %s is for %s", c.Name, scopes)
	return nil
}

type keyRmCmd struct {
	keyStore
	Name string `arg:"" help:"Remove the key of this name."`
}

func (c *keyRmCmd) Run(out *cli.Console) error {
	keys, err := c.open()
	if err != nil {
		return err
	}
	if err := keys.Remove(c.Name); err != nil {
		return err
	}
	out.Note("key %s is removed", c.Name)
	return nil
}
