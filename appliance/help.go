package main

// What `skerry run --help` and `skerry cloud --help` say beside their flags; kong
// indents the examples by two more, and 80 columns are to hold them.
const (
	runHelp = `Examples:
  skerry run "What is a lighthouse for?"    one answer; starts a cloud here
  skerry run                                on a terminal, a chat
  skerry run --cloud 10.0.0.2:7537 "Hi"     ask that cloud; an enrolled board
                                            asks its own without --cloud
  skerry run --session trip "Plan a trip"   keep it: after a crash or Ctrl-C
                                            the same command goes on with it
  skerry run --session trip "By rail?"      the next question of that session
  skerry run --on-loss wait --events "Hi"   wait for a cloud that is lost;
                                            a line of JSON for each token
  skerry run --monthly-mb 500 --encoding q8 "Hi"
                                            a link that is paid by the byte

Exit codes: 0 answered, 1 failed, 2 wrong usage, 4 answered without the cloud it
was to have, 130 interrupted.
`
	cloudHelp = `Without a command it serves, with --listen ADDR, --state DIR, --bundle DIR and
what else skerry cloud serve --help explains. Boards reach it by UDP, and by TCP
on the same port where UDP does not pass.

Examples:
  skerry cloud                              serve boards on this machine
  skerry cloud init --name cloud.example    once: certificates for others
  skerry cloud                              now serve those too
  skerry cloud invite --name shed --may hidden
                                            a code for one board; there:
                                            skerry enroll CODE
  skerry cloud devices                      who is enrolled, and how they are
  skerry cloud revoke shed                  bar one at once
`
)

// Help is shown above the flags.
func (c *runCmd) Help() string { return runHelp }

// Help is shown above the commands; kong lists no flags of serving itself there.
func (c *cloudCmd) Help() string { return cloudHelp }
