package main

import (
	"skerry/appliance/bundle/plan"
	"skerry/appliance/cli"
)

type modelRecommendCmd struct {
	plan.Wants
	JSON bool `name:"json" help:"Print the result as JSON."`
}

// Help is shown above the flags.
func (c *modelRecommendCmd) Help() string {
	return `Examples:
  skerry model recommend                    for this board, by its memory and speed
  skerry model recommend --memory 8 --bandwidth 9
                                            for a board of 8 GB that reads 9 GB/s
`
}

func (c *modelRecommendCmd) Run(out *cli.Console) error {
	r, err := plan.Recommend(c.Wants, modelRoom())
	if err != nil {
		return cli.Usagef("%w", err)
	}
	if c.JSON {
		return out.JSON(r)
	}
	return r.Text(out.Stdout, cli.Table)
}
