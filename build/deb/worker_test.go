package main

import (
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"skerry/build/ask"
)

var withEtcd = flag.Bool("fleet", false, "install a worker of several beside a real etcd, which is built for it")

// TestWorkerInstalled makes the service of a cloud one of several workers as systemd/README.md
// and the drop-in tell it, with a real etcd that lets nobody in without a certificate.
func TestWorkerInstalled(t *testing.T) {
	if !*withEtcd {
		t.Skip("skipped: -fleet runs it")
	}
	cloud, board := own(t, "skerry-cloud", "1.0"), own(t, "skerry", "1.0")
	i := boot(t)
	for _, p := range []Package{cloud, board} {
		if err := p.WriteFile(filepath.Join(i.Root, "srv", p.Name+".deb")); err != nil {
			t.Fatal(err)
		}
	}
	i.tiny()
	build := exec.CommandContext(i.ctx, "go", "build", "-o", filepath.Join(i.Root, "usr/local/bin/etcd"), "go.etcd.io/etcd/server/v3")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("etcd: %v\n%s", err, out)
	}
	i.must("dpkg", "-i", "/srv/skerry-cloud.deb")
	if state := i.property("skerry-cloud.service", "UnitFileState") + " " + i.property("skerry-cloud.service", "ActiveState"); state != "disabled inactive" {
		t.Errorf("the package has made the cloud's service %s", state)
	}
	said := i.must("skerry-cloud", "init", "--state", "/srv/cloud", "--fleet", "127.0.0.1", "--name", "127.0.0.1")
	i.step("skerry-cloud init --fleet", said)

	i.must("sh", "-c", "useradd -r etcd && install -d -o etcd /etc/etcd /var/lib/etcd && install -o etcd -m 600 /srv/cloud/fleet/etcd/* /etc/etcd/")
	i.must("systemd-run", "--unit=etcd", "-p", "User=etcd", "-p", "EnvironmentFile=/etc/etcd/127.0.0.1.env", "-p", "Type=notify", "--setenv=ETCD_DATA_DIR=/var/lib/etcd/data", "/usr/local/bin/etcd")
	i.step("etcd with the settings that were written for it")

	i.write("/etc/default/skerry-cloud", "SKERRY_CLOUD_OPTS=--bundle /srv/tiny --threads 1 --sessions 4 --context 512\nSKERRY_ADVERTISE=127.0.0.1:7538\n")
	i.write("/etc/systemd/system/skerry-cloud.socket.d/port.conf", "[Socket]\nListenDatagram=\nListenStream=\nListenDatagram=127.0.0.1:7538\nListenStream=127.0.0.1:7538\n")
	i.must("sh", "-c", "install -d -m 700 /etc/skerry-cloud/fleet && install -m 600 /srv/cloud/fleet/worker/* /etc/skerry-cloud/fleet/")
	i.must("install", "-Dm", "644", "/usr/share/skerry-cloud/fleet/worker.conf", "/etc/systemd/system/skerry-cloud.service.d/fleet.conf")
	i.must("systemctl", "daemon-reload")
	i.must("systemctl", "enable", "--now", "skerry-cloud.socket", "skerry-cloud.service")
	load := i.must("skerry-cloud", "load", "--state", "/var/lib/skerry-cloud")
	if !strings.Contains(load, "1 worker, 0 boards here; etcd answers") {
		t.Errorf("the worker says\n%s", load)
	}
	i.step("the service is a worker: its files are root's, and it is not", load,
		i.must("sh", "-c", "ls -l /etc/skerry-cloud/fleet; ps -o user:20,args -p $(systemctl show --value -p MainPID skerry-cloud)"))

	i.write("/etc/skerry/conf.d/10-test.toml", settings)
	i.must("dpkg", "-i", "/srv/skerry.deb")
	code := strings.Fields(i.must("sh", "-c", "skerry-cloud invite --state /var/lib/skerry-cloud --name shed --may hidden 2>/dev/null"))
	enrolled := i.must(append([]string{"runuser", "-u", "skerry", "--", "skerry", "enroll", "--state", "/var/lib/skerry"}, code...)...)
	i.write("/etc/skerry/conf.d/30-cloud.toml", "threshold = [1.1]\n[cloud]\naddress = \"127.0.0.1:7538\"\n")
	i.must("systemctl", "restart", "skerry")
	i.ready()
	i.until("the link is up", func() bool { return i.state().Link.Connected })
	q := ask.New("together", 30)
	if err := i.whole(q); err != nil || q.Sources["cloud"] == 0 {
		t.Errorf("no token of the cloud: %v %+v", err, q)
	}
	i.step("a board enrols by a code that names the worker where it is advertised, and is answered", enrolled)

	i.must("skerry-cloud", "drain", "--state", "/var/lib/skerry-cloud")
	i.until("the service stays stopped", func() bool { return i.property("skerry-cloud.service", "ActiveState") == "inactive" })
	i.step("skerry-cloud drain: the service has ended, and is not started again", lastLines(i.journal(10, "-u", "skerry-cloud"), 4))

	i.must("dpkg", "-r", "skerry-cloud")
	if _, err := os.Stat(filepath.Join(i.Root, "etc/skerry-cloud/fleet/worker.key")); err != nil {
		t.Errorf("removal has not kept it: %v", err)
	}
	i.must("dpkg", "--purge", "skerry-cloud")
	if _, err := os.Stat(filepath.Join(i.Root, "etc/skerry-cloud")); err == nil {
		t.Error("purging leaves the keys of a worker")
	}
}
