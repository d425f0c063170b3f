package main

import "skerry/appliance/update/verb"

// updateKeys are the public keys, as minisign prints them and with spaces between, that
// may sign updates. The linker sets them.
var updateKeys string

type updateCmd struct {
	Check    verb.Check    `cmd:"" help:"Look for updates at the configured address and on USB sticks."`
	Apply    verb.Apply    `cmd:"" help:"Install an update, and try it at once: it stays only if it works."`
	Rollback verb.Rollback `cmd:"" help:"Go back to the previous version."`
	Status   verb.Status   `cmd:"" help:"Show what is installed, and how the last update ended."`
	Clear    verb.Clear    `cmd:"" help:"Forget that the last update did not stick, so that it is no problem any more."`

	Start verb.Start `cmd:"" hidden:"" help:"Choose what the service starts; its unit calls this."`
	Seed  verb.Seed  `cmd:"" hidden:"" help:"Have the service start what the package has brought; the package calls this."`
	Fleet verb.Fleet `cmd:"" hidden:"" help:"Install what the cloud offers, if it is time; a timer calls this."`
	Watch verb.Watch `cmd:"" hidden:"" help:"Watch a version on trial until it is kept or not; a unit calls this."`
}

// Help is shown above the commands.
func (c *updateCmd) Help() string {
	return `An update is a directory or a file whose manifest is signed; one that is not signed
by a key in /etc/skerry/update.pub is never applied. It is written beside the
version that runs, and tried once: it stays after two minutes in which it was ready,
and one answered prompt. Otherwise the old version comes back, and skerry status
says why. A model bundle is updated in the same way, apart from the program: it stays
once it has answered a prompt.

Examples:
  skerry update check                       what there is, and for which board
  sudo skerry update apply                  the newest of that
  sudo skerry update apply /media/stick/skerry-1.3.0
  sudo skerry update apply https://example.org/skerry/arm64/
  sudo skerry update rollback               the version before
  sudo skerry update rollback --bundle      the model bundle before
  skerry update status                      what runs, and whether on trial
`
}
