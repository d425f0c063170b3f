package main

// part is one of the packages: what it installs, beside the program, its kernels
// and its licences.
type part struct {
	summary, description string
	program, kernels     string            // where they go
	links                map[string]string // path to target
	files                []source
	suggests             []string
}

// source is a file of the repository, or of the generated documents where its name
// begins with "docs/", and where it goes.
type source struct {
	from, to string
	config   bool // a conffile: what its owner changed stays
}

const units = "/usr/lib/systemd/system/"

var parts = map[string]part{
	"skerry": {
		summary: "language models on a small board, with a cloud behind it",
		description: `The appliance: a daemon that answers OpenAI's and Ollama's clients, a status
page and a console. The board runs the first blocks of a model and says a
token itself where an early exit is confident; otherwise a cloud partition
finishes the pass. The kernels for this processor are chosen at run time.`,
		program: "/usr/bin/skerry", kernels: "/usr/lib/skerry/kernels/",
		files: []source{
			{from: "systemd/skerry.service", to: units + "skerry.service"},
			{from: "systemd/skerry.socket", to: units + "skerry.socket"},
			{from: "systemd/skerry-update.service", to: units + "skerry-update.service"},
			{from: "systemd/skerry-fleet.service", to: units + "skerry-fleet.service"},
			{from: "systemd/skerry-fleet.timer", to: units + "skerry-fleet.timer"},
			{from: "systemd/skerry-console@.service", to: units + "skerry-console@.service"},
			{from: "systemd/skerry.sysusers.conf", to: "/usr/lib/sysusers.d/skerry.conf"},
			{from: "systemd/skerry.tmpfiles.conf", to: "/usr/lib/tmpfiles.d/skerry.conf"},
			{from: "systemd/skerry.rules", to: "/usr/share/polkit-1/rules.d/skerry.rules"},
			{from: "systemd/skerry.toml", to: "/etc/skerry/skerry.toml", config: true},
			{from: "systemd/skerry.avahi.service", to: "/usr/share/doc/skerry/examples/skerry.avahi.service"},
			{from: "docs/skerry.1.gz", to: "/usr/share/man/man1/skerry.1.gz"},
			{from: "docs/bash", to: "/usr/share/bash-completion/completions/skerry"},
			{from: "docs/zsh", to: "/usr/share/zsh/vendor-completions/_skerry"},
			{from: "docs/fish", to: "/usr/share/fish/vendor_completions.d/skerry.fish"},
		},
		suggests: []string{"python3-pip", "avahi-daemon", cudaName},
	},
	"skerry-cloud": {
		summary: "cloud partition of language models that begin on boards",
		description: `Finishes the passes that boards with the package skerry have begun. It has a
program and kernels of its own, so that board and cloud may share a machine.`,
		program: "/usr/lib/skerry-cloud/skerry", kernels: "/usr/lib/skerry-cloud/kernels/",
		links: map[string]string{"/usr/bin/skerry-cloud": "../lib/skerry-cloud/skerry"},
		files: []source{
			{from: "systemd/skerry-cloud.service", to: units + "skerry-cloud.service"},
			{from: "systemd/skerry-cloud.socket", to: units + "skerry-cloud.socket"},
			{from: "systemd/skerry-cloud.default", to: "/etc/default/skerry-cloud", config: true},
			{from: "systemd/skerry-cloud-fleet.conf", to: "/usr/share/skerry-cloud/fleet/worker.conf"},
			{from: "build/fleet/README.md", to: "/usr/share/skerry-cloud/fleet/README.md"},
			{from: "build/fleet/compose.yaml", to: "/usr/share/skerry-cloud/fleet/compose.yaml"},
			{from: "build/fleet/kubernetes.yaml", to: "/usr/share/skerry-cloud/fleet/kubernetes.yaml"},
			{from: "appliance/cloudnode/grafana/dashboard.json", to: "/usr/share/skerry-cloud/grafana/skerry-cloud.json"},
			{from: "appliance/cloudnode/grafana/provisioning.yaml", to: "/usr/share/doc/skerry-cloud/examples/grafana-dashboards.yaml"},
			{from: "docs/skerry-cloud.1.gz", to: "/usr/share/man/man1/skerry-cloud.1.gz"},
		},
		suggests: []string{"python3-pip", cudaName},
	},
}
