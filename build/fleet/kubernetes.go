package fleet

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// object is what is read of an object of Kubernetes; its whole form is checked against the
// published schemas.
type object struct {
	Kind     string
	Metadata struct{ Name string }
	Spec     struct {
		Replicas int
		Template struct{ Spec pod }
	}
}

type pod struct {
	TerminationGracePeriodSeconds int `yaml:"terminationGracePeriodSeconds"`
	Containers                    []struct {
		Name, Image   string
		Command, Args []string
		Env           []struct {
			Name, Value string
		}
		Ports []struct {
			Name          string
			ContainerPort int `yaml:"containerPort"`
			Protocol      string
		}
		StartupProbe   probe `yaml:"startupProbe"`
		LivenessProbe  probe `yaml:"livenessProbe"`
		ReadinessProbe probe `yaml:"readinessProbe"`
		VolumeMounts   []struct {
			Name      string
			MountPath string `yaml:"mountPath"`
			ReadOnly  bool   `yaml:"readOnly"`
		} `yaml:"volumeMounts"`
		SecurityContext struct {
			ReadOnlyRootFilesystem bool `yaml:"readOnlyRootFilesystem"`
		} `yaml:"securityContext"`
	}
	Volumes []struct {
		Name   string
		Secret *struct {
			SecretName string `yaml:"secretName"`
		}
	}
}

type probe struct {
	HTTPGet struct{ Path, Port string } `yaml:"httpGet"`
}

// documents are those of kubernetes.yaml in dir.
func documents[T any](dir string) (all []T, err error) {
	text, err := os.ReadFile(filepath.Join(dir, "kubernetes.yaml"))
	if err != nil {
		return nil, err
	}
	for d := yaml.NewDecoder(bytes.NewReader(text)); ; {
		var v T
		switch err := d.Decode(&v); {
		case errors.Is(err, io.EOF):
			return all, nil
		case err != nil:
			return nil, err
		}
		all = append(all, v)
	}
}

// Kubernetes reads the pods of kubernetes.yaml in dir, one for each replica.
func Kubernetes(dir string) ([]Container, error) {
	objects, err := documents[object](dir)
	var all []Container
	for _, o := range objects {
		if o.Kind != "StatefulSet" {
			continue
		}
		for n := range o.Spec.Replicas {
			all = append(all, o.pod(fmt.Sprintf("%s-%d", o.Metadata.Name, n)))
		}
	}
	return all, err
}

// pod is the only container of one of the object's pods.
func (o *object) pod(name string) Container {
	p := o.Spec.Template.Spec
	k := p.Containers[0]
	env := map[string]string{"POD_NAME": name}
	// Kubernetes puts in only what an earlier variable says.
	expand := func(s string) string {
		for k, v := range env {
			s = strings.ReplaceAll(s, "$("+k+")", v)
		}
		return s
	}
	for _, v := range k.Env {
		if v.Value != "" {
			env[v.Name] = expand(v.Value)
		}
	}
	c := Container{
		File: "kubernetes.yaml", Name: name, Image: k.Image, Env: env, ReadOnly: k.SecurityContext.ReadOnlyRootFilesystem,
		Grace: time.Duration(p.TerminationGracePeriodSeconds) * time.Second, Command: k.Command,
	}
	if len(c.Command) == 0 {
		c.Command = []string{""}
	}
	for _, a := range k.Args {
		c.Command = append(c.Command, expand(a))
	}
	ports := map[string]string{}
	for _, port := range k.Ports {
		ports[port.Name] = fmt.Sprint(port.ContainerPort)
		c.Ports = append(c.Ports, fmt.Sprintf("%d/%s", port.ContainerPort, strings.ToLower(orTCP(port.Protocol))))
	}
	for kind, probe := range map[string]probe{"startup": k.StartupProbe, "liveness": k.LivenessProbe, "readiness": k.ReadinessProbe} {
		c.Probes = append(c.Probes, Probe{Kind: kind, Path: probe.HTTPGet.Path, Port: ports[probe.HTTPGet.Port]})
	}
	secrets := map[string]string{}
	for _, v := range p.Volumes {
		if v.Secret != nil {
			secrets[v.Name] = v.Secret.SecretName
		}
	}
	for _, m := range k.VolumeMounts {
		source := name + "-" + m.Name
		if s := secrets[m.Name]; s != "" {
			source = s
		}
		c.Mounts = append(c.Mounts, Mount{Source: source, Target: m.MountPath, Write: !m.ReadOnly})
	}
	return c
}

func orTCP(protocol string) string {
	if protocol == "" {
		return "TCP"
	}
	return protocol
}
