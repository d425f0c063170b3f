package main

// What the help of a verb says beside its flags, where its own file does not; kong
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
	serveHelp = `With no configuration it serves the default model, alone, with the page and the
APIs on loopback. Flags overrule the settings of the same names; every setting is
shown by skerry config show.

Examples:
  skerry serve                              then: http://127.0.0.1:7537/
  skerry serve --cloud 10.0.0.2:7537        ask that cloud where unsure
  skerry serve --bundle DIR --mode standalone
                                            another model, and never ask
  skerry key new laptop && skerry serve --listen :7537
                                            for the whole network, by key
  skerry status --watch                     how it is, from another terminal

Signals: SIGHUP reads the configuration again; SIGTERM lets answers finish for the
grace time, and journals the rest.
`
	linkHelp = `Examples:
  skerry link status                        how the daemon's link is
  skerry link test                          what of the way to the cloud works
  skerry link test --cloud 10.0.0.2:7537    of the way to another
  skerry link retry                         dial now, as when a network is back
`
	enrollHelp = `Examples:
  skerry enroll 1AB2C-3DE4F-...             with the code of skerry cloud invite
  skerry enroll CODE --may hidden           no text goes up, hidden states do
  skerry enroll --renew                     the certificate; it renews by itself
                                            while the board reaches its cloud
`
	modelHelp = `Examples:
  skerry model fetch                        the default model, into the cache
  skerry model split model.gguf -o DIR      make a bundle of another
  skerry model calibrate DIR                fit its exits; more tokens stay here
  skerry model inspect DIR                  what it is made of
  skerry model verify DIR                   whether every file is whole
`
	benchHelp = `Examples:
  skerry bench decode --quick               stages and exits against the whole
                                            model and llama.cpp's own build
  skerry bench strategies --link rtt=40ms,rate=20mbit --prompts prompts.txt
                                            ways of answering over that link
`
	versionHelp = `Examples:
  skerry version
  skerry version --json | jq .kernels       whether the fast kernels are in use
`
)

// Help is shown above the flags.
func (c *runCmd) Help() string { return runHelp }

// Help is shown above the commands; kong lists no flags of serving itself there.
func (c *cloudCmd) Help() string { return cloudHelp }

// Help is shown above the flags.
func (c *serveCmd) Help() string { return serveHelp }

// Help is shown above the commands.
func (c *linkCmd) Help() string { return linkHelp }

// Help is shown above the flags.
func (c *enrollCmd) Help() string { return enrollHelp }

// Help is shown above the commands.
func (c *modelCmd) Help() string { return modelHelp }

// Help is shown above the commands.
func (c *benchCmd) Help() string { return benchHelp }

// Help is shown above the flags.
func (c *versionCmd) Help() string { return versionHelp }
