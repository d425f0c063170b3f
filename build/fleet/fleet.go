// Package fleet has the files with which an operator runs a cloud of several workers with an
// etcd: a compose file and a manifest for Kubernetes, beside README.md, which tells the steps,
// and the units of systemd. It reads them as those who run them do, for tests that hold them
// against the program.
package fleet

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/types"
)

// Container is what one container, pod or service runs.
type Container struct {
	File, Name, Image string
	Command           []string // Command[0] is the program, "" for the image's own
	Env               map[string]string
	Mounts            []Mount
	Ports             []string // inside, as "7537/udp"
	Probes            []Probe
	Grace             time.Duration // from SIGTERM to SIGKILL
	ReadOnly          bool          // the root file system
	Profile           string        // "" where it is always started
}

// Mount is a directory from outside.
type Mount struct {
	Source string // a volume, or a directory where Bind is set
	Sub    string // directory within the volume
	Target string
	Bind   bool
	Write  bool
}

// Probe is what is asked of a container by HTTP to know how it is.
type Probe struct {
	Kind, Path, Port string
}

// Of reports whether the container is of Skerry's image.
func (c *Container) Of(image string) bool { return strings.Contains(c.Image, image) }

// Args are the arguments of Skerry's program, "cloud" before what skerry-cloud is given.
func (c *Container) Args() []string { return append([]string{"cloud"}, c.Command[1:]...) }

// Flag is the value of an argument --name=value, or of the one after --name.
func (c *Container) Flag(name string) string {
	for i, a := range c.Command {
		if v, ok := strings.CutPrefix(a, "--"+name+"="); ok {
			return v
		}
		if a == "--"+name && i+1 < len(c.Command) {
			return c.Command[i+1]
		}
	}
	return ""
}

// Compose reads compose.yaml in dir by compose's own rules, with these variables.
func Compose(dir string, env map[string]string) ([]Container, error) {
	path := filepath.Join(dir, "compose.yaml")
	var set []string
	for k, v := range env {
		set = append(set, k+"="+v)
	}
	opt, err := cli.NewProjectOptions([]string{path}, cli.WithEnv(set), cli.WithProfiles([]string{"*"}), cli.WithWorkingDirectory(dir))
	if err != nil {
		return nil, err
	}
	p, err := opt.LoadProject(context.Background())
	if err != nil {
		return nil, err
	}
	var all []Container
	for _, name := range slices.Sorted(maps.Keys(p.Services)) {
		s := p.Services[name]
		c := Container{
			File: "compose.yaml", Name: name, Image: s.Image, Env: map[string]string{}, ReadOnly: s.ReadOnly, Command: s.Command,
			Profile: strings.Join(s.Profiles, ","),
		}
		if !strings.HasPrefix(s.Command[0], "/") {
			c.Command = append([]string{""}, s.Command...)
		}
		for k, v := range s.Environment {
			if v != nil {
				c.Env[k] = *v
			}
		}
		if s.StopGracePeriod != nil {
			c.Grace = time.Duration(*s.StopGracePeriod)
		}
		for _, v := range s.Volumes {
			m := Mount{Source: v.Source, Target: v.Target, Bind: v.Type == types.VolumeTypeBind, Write: !v.ReadOnly}
			if v.Volume != nil {
				m.Sub = v.Volume.Subpath
			}
			c.Mounts = append(c.Mounts, m)
		}
		for _, port := range s.Ports {
			c.Ports = append(c.Ports, fmt.Sprintf("%d/%s", port.Target, port.Protocol))
		}
		if s.HealthCheck != nil {
			c.Probes = append(c.Probes, Probe{Kind: "command", Path: strings.Join(s.HealthCheck.Test[1:], " ")})
		}
		all = append(all, c)
	}
	return all, nil
}

// Unit reads the units and drop-ins of a service of systemd, the later over the earlier, with
// these variables.
func Unit(env map[string]string, paths ...string) (Container, error) {
	c := Container{File: filepath.Base(paths[len(paths)-1]), Name: "service", Env: env, Grace: 90 * time.Second}
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			return c, err
		}
		for line := range strings.Lines(string(text)) {
			key, value, _ := strings.Cut(strings.TrimSpace(line), "=")
			switch key {
			case "ExecStart":
				c.Command = nil
				for _, word := range strings.Fields(value) {
					c.Command = append(c.Command, expand(word, env)...)
				}
			case "TimeoutStopSec":
				if c.Grace, err = time.ParseDuration(value + "s"); err != nil {
					return c, fmt.Errorf("%s: %w", path, err)
				}
			case "LoadCredential":
				name, from, _ := strings.Cut(value, ":")
				c.Mounts = append(c.Mounts, Mount{Source: from, Target: name, Bind: true})
			}
		}
	}
	return c, nil
}

// expand is a word of a command line as systemd has it: ${NAME} within a word, $NAME alone split
// into words.
func expand(word string, env map[string]string) []string {
	if name, ok := strings.CutPrefix(word, "$"); ok && !strings.HasPrefix(name, "{") {
		return strings.Fields(env[name])
	}
	return []string{os.Expand(word, func(name string) string { return env[name] })}
}
