package main

type benchCmd struct {
	Decode     benchDecodeCmd     `cmd:"" help:"Time chained stages and exits against the whole model and against llama.cpp as its own people build it."`
	Strategies benchStrategiesCmd `cmd:"" help:"Measure ways of answering over an emulated link, or simulate them on a cloud of given cost."`
	Quality    benchQualityCmd    `cmd:"" help:"Hold the answers of each mode against what is right and what the whole model says."`
	Fleet      benchFleetCmd      `cmd:"" help:"Simulate a fleet of cloud workers and its boards, and the death of some."`
	Partition  benchPartitionCmd  `cmd:"" hidden:""`
	Sandbox    benchSandboxCmd    `cmd:"" hidden:""`
}

// Help is shown above the commands.
func (c *benchCmd) Help() string {
	return `Examples:
  skerry bench decode --quick               stages and exits against the whole
                                            model and llama.cpp's own build
  skerry bench strategies --link rtt=40ms,rate=20mbit --prompts prompts.txt
                                            ways of answering over that link
  skerry bench quality --task yesno --limit 10
                                            how good their answers are
  skerry bench fleet --workers 100 --boards 100000 --kill 10%
                                            what comes of workers that die
`
}
