package main

// usage is what skerry --help says; kong indents the examples by two more, and 80
// columns are to hold them.
const usage = `skerry makes a small board answer like the large model it cannot hold.

The board runs the first blocks of a language model and says a token itself where
an early exit is confident; otherwise a cloud partition finishes the pass.

Examples:
  skerry run "What is a lighthouse for?"    answer with the default model, and
                                            with a cloud that is started here
  skerry run --mode standalone "Hello"      never ask the cloud
  skerry run --threshold 1.1 --json "Hello" every token from the cloud; JSON
  skerry run --link rtt=80ms,rate=2mbit "Hi"
                                            with a slow link before the cloud
  echo "Hello" | skerry run                 the prompt from stdin
  skerry run --session trip "Plan a trip"   keep it: after a crash the same
                                            command goes on in mid-answer
  skerry serve                              the daemon: page and APIs on
                                            http://127.0.0.1:7537/
  skerry cloud --listen 127.0.0.1:7537      serve the tail stage to boards
  skerry cloud init                         make certificates, to serve boards
                                            on other machines
  skerry cloud invite --name shed           a code for one of them; there:
  skerry enroll CODE                        make this board known to its cloud
  skerry link test                          what works on the way to the cloud
  skerry model split model.gguf -o DIR      prepare another model
  skerry status --watch                     how the daemon is, live
  skerry sessions                           the conversations that it keeps
  skerry doctor                             what is wrong, and what to do
`

// Help is shown above the flags.
func (c *runCmd) Help() string {
	return `Examples:
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
}
