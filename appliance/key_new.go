package main

import (
	"fmt"

	"skerry/appliance/cli"
	"skerry/appliance/httpd"
)

type keyNewCmd struct {
	keyStore
	Name  string `arg:"" help:"Call the key this, after whose it is, as laptop. A name has letters, digits and - _ . @ in it."`
	Scope string `help:"Make the key good for ask, read or admin, or for several with commas between." default:"ask" placeholder:"SCOPE"`
	JSON  bool   `name:"json" help:"Print the result as JSON."`
}

func (c *keyNewCmd) Run(out *cli.Console) error {
	if err := httpd.CheckName(c.Name); err != nil {
		return cli.Usagef("%w", err)
	}
	scopes, err := httpd.ParseScopes(c.Scope)
	if err != nil {
		return cli.Usagef("--scope: %w", err)
	}
	keys, err := c.open()
	if err != nil {
		return err
	}
	secret, err := keys.New(c.Name, scopes...)
	if err != nil {
		return err
	}
	if c.JSON {
		return out.JSON(struct {
			Name   string       `json:"name"`
			Key    string       `json:"key"`
			Scopes httpd.Scopes `json:"scopes"`
		}{c.Name, secret, scopes})
	}
	out.Note("key %s for %s, of which %s has the hash; it is not shown again:", c.Name, scopes, keys.Path())
	fmt.Fprintln(out.Stdout, secret)
	return nil
}
