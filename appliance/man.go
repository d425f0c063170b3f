package main

import (
	"github.com/alecthomas/kong"

	"skerry/appliance/cli"
)

type manCmd struct {
	Verb string `arg:"" optional:"" enum:"cloud," default:"" help:"Print the page of skerry-cloud, the program that is the verb cloud alone, where this is cloud."`
}

// Help is shown above the flags.
func (c *manCmd) Help() string {
	return `Examples:
  skerry man | man -l -                     read it
  skerry man cloud | man -l -               that of skerry-cloud
  skerry man | sudo tee /usr/local/share/man/man1/skerry.1 >/dev/null
                                            have man skerry find it
`
}

func (c *manCmd) Run(k *kong.Kong, out *cli.Console) error {
	m := cli.Manual{Version: version, Tail: manTail}
	if c.Verb == "" {
		return m.Page(out.Stdout, k.Model)
	}
	return m.VerbPage(out.Stdout, k.Model, c.Verb)
}

// What the page says beside the commands and their flags.
const manTail = `.SH EXIT STATUS
.TP 5
0
All is well.
.TP
1
It failed; one line on stderr says why, and what to do.
.TP
2
The command line is wrong.
.TP
3
The daemon is not running, or this user may not use its socket.
.TP
4
There is an answer, but not all is well: the cloud was lost, or the status names a
problem.
.TP
130
Interrupted.
.SH ENVIRONMENT
.TP
SKERRY_SOCKET
The daemon's socket.
.TP
SKERRY_STATE
The state directory: keys, certificates, the database.
.TP
SKERRY_CACHE
Where models are kept.
.TP
SKERRY_KERNELS
Where the kernels built for processors are.
.TP
SKERRY_*
Each setting of the configuration has one, as SKERRY_CLOUD_ADDRESS for cloud.address.
.TP
NO_COLOR
Set to anything: no colours.
.SH FILES
.TP
/etc/skerry/skerry.toml
The configuration, and what lies beside it in conf.d.
.TP
/etc/skerry/update.pub
Public keys that updates may be signed with, as minisign prints them.
.TP
/run/skerry/skerry.sock
The socket of the daemon that systemd started.
.TP
/var/lib/skerry
Its state directory; that of a user's own is ~/.local/state/skerry.
.TP
/var/lib/skerry-program
The versions that updates have brought, and the record of them.
`
