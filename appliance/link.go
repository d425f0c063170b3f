package main

type linkCmd struct {
	Status linkStatusCmd `cmd:"" help:"Show how the daemon's link is, and was in the last hour."`
	Test   linkTestCmd   `cmd:"" help:"Check every part of the link to the cloud, and say what to do where one fails."`
	Retry  linkRetryCmd  `cmd:"" help:"Have the daemon dial the cloud now."`
}

// Help is shown above the commands.
func (c *linkCmd) Help() string {
	return `Examples:
  skerry link status                        how the daemon's link is
  skerry link test                          what of the way to the cloud works
  skerry link test --cloud 10.0.0.2:7537    of the way to another
  skerry link retry                         dial now, as when a network is back
`
}
