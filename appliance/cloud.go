package main

import "skerry/appliance/cloudnode"

// cloudCmd serves unless it is told otherwise.
type cloudCmd struct {
	Serve    cloudServeCmd          `cmd:"" default:"withargs" help:"Serve the cloud partition; this is what skerry cloud does by itself."`
	Init     cloudnode.InitVerb     `cmd:"" help:"Make the certificates with which boards know this cloud."`
	Invite   cloudnode.InviteVerb   `cmd:"" help:"Make a code with which a board enrolls."`
	Invites  cloudnode.InvitesVerb  `cmd:"" help:"List the invitations that are open."`
	Withdraw cloudnode.WithdrawVerb `cmd:"" help:"Take an invitation back that no board has used."`
	Devices  cloudnode.DevicesVerb  `cmd:"" help:"List the boards that are enrolled."`
	Revoke   cloudnode.RevokeVerb   `cmd:"" help:"Bar a board, at once."`
	Update   cloudnode.UpdateVerb   `cmd:"" help:"Offer the boards an update, to some of them first and at a time of day."`
	Load     cloudnode.LoadVerb     `cmd:"" help:"Show what the running cloud holds and computes, by board."`
	Top      cloudnode.TopVerb      `cmd:"" help:"Watch the workers: boards, sessions, queue, bundles, T and m."`
	Drain    cloudnode.DrainVerb    `cmd:"" help:"Finish what boards wait for, and end; other workers take the boards."`
	Evict    cloudnode.EvictVerb    `cmd:"" help:"Free the memory of contexts; nothing is lost."`
}

// Help is shown above the commands; kong lists no flags of serving itself there.
func (c *cloudCmd) Help() string {
	return `Without a command it serves, with --listen ADDR, --state DIR, --bundle DIR and
what else skerry cloud serve --help explains. Boards reach it by UDP, and by TCP
on the same port where UDP does not pass.

Examples:
  skerry cloud                              serve boards on this machine
  skerry cloud init --name cloud.example    once: certificates for others
  skerry cloud                              now serve those too
  skerry cloud invite --name shed --may hidden
                                            a code for one board; there:
                                            skerry enroll CODE
  skerry cloud invites                      codes that nobody has used yet
  skerry cloud devices                      who is enrolled, and how they are
  skerry cloud load                         memory, sessions, queue and times
  skerry cloud top                          the same at a glance, live
  skerry cloud revoke shed                  bar one at once
`
}
