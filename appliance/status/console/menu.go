package console

import (
	"context"
	"strings"

	"skerry/appliance/status"
)

// entry of the menu.
type entry struct {
	key, name, help string
	do              func(*Console) error
}

var menu = []entry{
	{"1", "status", "the state of the daemon", (*Console).showStatus},
	{"2", "tokens", "live: how fast it answers and where tokens come from, or the text", (*Console).showTokens},
	{"3", "link", "live: the link to the cloud, until a key is pressed", (*Console).showLink},
	{"4", "logs", "live: the log", (*Console).showLogs},
	{"5", "network", "addresses of this board and of its page", (*Console).showNetwork},
	{"6", "restart", "restart the daemon; answers under way go on afterwards", (*Console).restart},
	{"7", "shut down", "shut the board down", (*Console).shutDown},
}

func init() {
	menu = append(menu, entry{"h", "help", "this list", (*Console).help})
}

const hint = "Type a number from 1 to 7 and Enter, or h for help."

// choose does what a typed line says, and reports whether it said anything. An
// empty line shows the menu.
func (c *Console) choose(typed string) (known bool, err error) {
	if typed == "" {
		c.menu()
		return true, c.err
	}
	typed = strings.ToLower(strings.Join(strings.Fields(typed), " "))
	for _, e := range menu {
		if typed == e.key || strings.HasPrefix(e.name, typed) || typed == "?" && e.key == "h" {
			return true, e.do(c)
		}
	}
	c.line(hint)
	return false, c.err
}

func (c *Console) menu() {
	var names []string
	for _, e := range menu {
		names = append(names, e.key+" "+e.name)
	}
	c.lines(strings.Join(names, "  "))
}

func (c *Console) help() error {
	for _, e := range menu {
		c.line(e.key + "  " + e.name + strings.Repeat(" ", 11-len(e.name)) + e.help)
	}
	c.line("Ctrl-C leaves what is being typed, any key a live view, Ctrl-D the console.")
	return c.err
}

// fetch asks for the status, and says so where there is none.
func (c *Console) fetch() (status.Status, error) {
	st, err := c.status()
	if err != nil {
		c.lines(away(err))
	}
	return st, err
}

// order has the daemon do something, and says how it went.
func (c *Console) order(do func(context.Context) error, done string) error {
	ctx, cancel := context.WithTimeout(c.ctx, orderTime)
	defer cancel()
	if err := do(ctx); err != nil {
		done = "Not done: " + err.Error()
	}
	c.lines(done)
	return c.err
}

func (c *Console) restart() error {
	ok, err := c.confirmed("This restarts the daemon. Answers of kept sessions go on afterwards.", "restart")
	if !ok {
		return err
	}
	return c.order(c.Daemon.Restart, "The daemon restarts; a message here says when it is back.")
}

func (c *Console) shutDown() error {
	ok, err := c.confirmed("This shuts the board down. Only its power switch brings it back.", "shut down")
	if !ok {
		return err
	}
	return c.order(c.Daemon.PowerOff, "The board shuts down. Wait until its light is off before you unplug it.")
}
