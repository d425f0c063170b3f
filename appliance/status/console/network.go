package console

import (
	"net"
	"strings"
)

func (c *Console) showNetwork() error {
	c.interfaces()
	st, err := c.fetch()
	if err != nil {
		return c.err
	}
	for _, u := range st.URLs {
		c.lines("Page   " + u)
	}
	if l := st.Link; l.Wanted {
		c.lines(strings.Join(strings.Fields("Cloud  "+l.Cloud+", "+l.State+" "+l.Transport+" "+l.WhyThat), " "))
	} else {
		c.lines("Cloud  none: this board answers alone")
	}
	return c.err
}

// interfaces lists this machine's, which are known without the daemon too.
func (c *Console) interfaces() {
	all, err := net.Interfaces()
	if err != nil {
		c.lines("Interfaces are not known: " + err.Error())
	}
	for _, f := range all {
		if f.Flags&net.FlagLoopback != 0 {
			continue
		}
		words := []string{f.Name, "down"}
		if f.Flags&net.FlagRunning != 0 {
			words[1] = "up"
		}
		addrs, _ := f.Addrs()
		for _, a := range addrs {
			words = append(words, a.String())
		}
		c.lines(strings.Join(words, " "))
	}
}
