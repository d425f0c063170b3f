package sandbox

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"skerry/appliance/node/nodetest"
	"skerry/build/testshort"
)

// What the test binary is where it is started with these: the child, and a program that may
// have no namespaces.
const (
	enterArg   = "-enter-sandbox"
	refusedArg = "-refused-namespaces"
)

func TestMain(m *testing.M) {
	if len(os.Args) == 2 && os.Args[1] == enterArg {
		fmt.Fprintln(os.Stderr, Enter(os.Stdin))
		os.Exit(1)
	}
	if len(os.Args) == 2 && os.Args[1] == refusedArg {
		refused()
		return
	}
	os.Exit(m.Run())
}

// open opens a sandbox with the usual limits, but for the time, of which a busy machine may
// need much to start an interpreter.
func open(t *testing.T, unconfined bool) *Sandbox {
	t.Helper()
	if t.Name() != "TestWritingOutside" {
		testshort.Skip(t, "each starts interpreters")
	}
	o := Options{Limits: Usual(), Unconfined: unconfined, Args: []string{enterArg}}
	o.Limits.Time = 10 * time.Minute
	s, err := Open(t.Context(), o)
	if errors.Is(err, ErrConfine) && !unconfined {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func runs(t *testing.T, s *Sandbox, want Verdict, code string) Result {
	t.Helper()
	r, err := s.Run(t.Context(), code)
	if err != nil {
		t.Fatal(err)
	}
	if r.Verdict != want {
		t.Fatalf("%s, want %s: %q", r.Verdict, want, r.Output)
	}
	return r
}

func TestVerdicts(t *testing.T) {
	for _, unconfined := range []bool{false, true} {
		t.Run(fmt.Sprint("unconfined ", unconfined), func(t *testing.T) {
			s := open(t, unconfined)
			if r := runs(t, s, Passed, "import math, collections, re\nprint(math.gcd(12, 18))"); r.Output != "6\n" {
				t.Errorf("it printed %q", r.Output)
			}
			for what, code := range map[string]string{
				"a test that fails":           "assert 1 == 2",
				"no Python":                   "def f(:",
				"leaves with success":         "import sys\nsys.exit(0)",
				"leaves without cleaning up":  "import os\nos._exit(0)",
				"kills itself":                "import os, signal\nos.kill(os.getpid(), signal.SIGSEGV)\nraise SystemExit",
				"input":                       "input()",
				"an unbounded recursion":      "def f(): return f()\nf()",
				"hides what follows it":       "'''",
				"the end of another's output": "import os\nprint('passed', flush=True)\nos._exit(0)",
			} {
				if r, err := s.Run(t.Context(), code, "print('tests')"); err != nil || r.Verdict != Failed {
					t.Errorf("%s: %+v, %v", what, r, err)
				}
			}
		})
	}
}

func TestEndlessLoop(t *testing.T) {
	for _, unconfined := range []bool{false, true} {
		s := open(t, unconfined)
		s.limits.Time = time.Second
		runs(t, s, OutOfTime, "while True: pass")
		runs(t, s, OutOfTime, "import signal, time\nfor n in range(1, 32):\n try: signal.signal(n, signal.SIG_IGN)\n except (OSError, ValueError): pass\ntime.sleep(600)")
	}
}

// What takes no time on the clock of the parent, takes it on that of the processor.
func TestProcessorTime(t *testing.T) {
	s := open(t, false)
	s.limits.Processor = 1
	runs(t, s, Failed, "while True: pass")
}

func TestMemoryBomb(t *testing.T) {
	for _, unconfined := range []bool{false, true} {
		s := open(t, unconfined)
		if r := runs(t, s, Failed, "x = [bytearray(10_000_000) for _ in range(10_000)]"); !strings.Contains(r.Output, "MemoryError") {
			t.Errorf("%q", r.Output)
		}
	}
}

func TestFilesAreBounded(t *testing.T) {
	s := open(t, false)
	if r := runs(t, s, Passed, `
import errno, os
for i in range(3):
    with open("a%d" % i, "w") as f: f.write("x" * 500_000)
try:
    with open("large", "wb") as f: f.write(bytes(2_000_000))
except OSError as e: print(e.errno == errno.EFBIG)
try:
    for i in range(100):
        with open("b%d" % i, "wb") as f: f.write(bytes(900_000))
except OSError as e: print(e.errno == errno.ENOSPC)
`); r.Output != "True\nTrue\n" {
		t.Errorf("%q", r.Output)
	}
	if r := runs(t, s, Failed, "x = [open('task.py') for _ in range(1000)]"); !strings.Contains(r.Output, "Too many open files") {
		t.Errorf("%q", r.Output)
	}
}

// The program changes nothing of this machine, and sees only what it needs.
func TestWritingOutside(t *testing.T) {
	s := open(t, false)
	dir := t.TempDir()
	secret := filepath.Join(dir, "secret")
	if err := os.WriteFile(secret, []byte("a secret"), 0o666); err != nil {
		t.Fatal(err)
	}
	os.Chmod(dir, 0o777)
	os.Chmod(secret, 0o666)
	r := runs(t, s, Passed, fmt.Sprintf(`
import ctypes, os
dir = %q
def attempt(what, f):
    try: f()
    except (OSError, AttributeError): return
    print("it could:", what)
attempt("read", lambda: open(dir + "/secret").read())
attempt("create", lambda: open(dir + "/new", "w"))
for d in ["/", "/tmp", "/usr", "/etc", "/root", "/home", "/var/tmp", "/dev", "/dev/shm", "/run", "..", os.path.dirname(os.__file__)]:
    attempt("create in " + d, lambda: open(d + "/skerry-was-here", "w"))
    attempt("make a directory in " + d, lambda: os.mkdir(d + "/skerry-was-here.d"))
attempt("see processes", lambda: os.listdir("/proc"))
attempt("see passwords", lambda: open("/etc/passwd").read())
libc = ctypes.CDLL(None, use_errno=True)
for name, args in {"mount": (b"", b"/usr", b"", 32 | 4096, None), "chroot": (b"/work",), "unshare": (0x10000000,), "umount2": (b"/usr", 2), "sethostname": (b"x", 1)}.items():
    if getattr(libc, name)(*args) == 0: print("it could:", name)
print(os.getpid(), sorted(os.listdir(".")), dict(os.environ).keys() - {"LC_CTYPE"}, os.getuid())
`, dir))
	if want := "1 ['task.py'] set() 0\n"; r.Output != want {
		t.Errorf("%s", r.Output)
	}
	if text, err := os.ReadFile(secret); string(text) != "a secret" || err != nil {
		t.Errorf("%q, %v", text, err)
	}
	if files, _ := os.ReadDir(dir); len(files) != 1 {
		t.Errorf("%v", files)
	}
}

// There is no network: neither that of this machine nor what listens on its loopback, by
// address or by an abstract name.
func TestSocket(t *testing.T) {
	s := open(t, false)
	tcp, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer tcp.Close()
	name := "@" + filepath.Base(t.TempDir()) + fmt.Sprint(os.Getpid())
	abstract, err := net.Listen("unix", name)
	if err != nil {
		t.Fatal(err)
	}
	defer abstract.Close()
	dir := t.TempDir()
	file, err := net.Listen("unix", filepath.Join(dir, "s"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	os.Chmod(dir, 0o777)
	os.Chmod(filepath.Join(dir, "s"), 0o777)
	code := fmt.Sprintf(`
import socket
def attempt(kind, address):
    try:
        with socket.socket(kind, socket.SOCK_STREAM) as s:
            s.settimeout(5)
            s.connect(address)
        print("reached", address)
    except OSError: pass
attempt(socket.AF_INET, ("127.0.0.1", %d))
attempt(socket.AF_INET, ("192.0.2.1", 80))
attempt(socket.AF_UNIX, "\0" + %q)
attempt(socket.AF_UNIX, %q)
print([n for _, n in socket.if_nameindex()])
`, tcp.Addr().(*net.TCPAddr).Port, name[1:], filepath.Join(dir, "s"))
	if r := runs(t, s, Passed, code); r.Output != "['lo']\n" {
		t.Errorf("%s", r.Output)
	}
	// Without the walls the same program reaches all that listens here: the attempts are real.
	code = strings.Replace(code, `attempt(socket.AF_INET, ("192.0.2.1", 80))`, "", 1)
	if r := runs(t, open(t, true), Passed, code); strings.Count(r.Output, "reached") != 3 {
		t.Errorf("unconfined: %s", r.Output)
	}
}

// A program that starts itself over and over gets a few processes, and none outlives it.
func TestForkBomb(t *testing.T) {
	s := open(t, false)
	mark := fmt.Sprintf("bomb-%d", os.Getpid())
	r := runs(t, s, Passed, fmt.Sprintf(`
import ctypes, os, time
ctypes.CDLL(None).prctl(15, %q.encode(), 0, 0, 0)
n = 0
try:
    while n < 1000:
        if os.fork() == 0:
            os.setsid()
            time.sleep(600)
        n += 1
except OSError as e: print(n, e.strerror)
`, mark))
	if r.Output != "3 Resource temporarily unavailable\n" {
		t.Errorf("%s", r.Output)
	}
	s.limits.Time = time.Second
	if r, err := s.Run(t.Context(), "import os\nwhile True:\n try: os.fork()\n except OSError: pass"); err != nil || r.Verdict == Passed {
		t.Errorf("%+v, %v", r, err)
	}
	if left := named(t, mark); len(left) > 0 {
		t.Errorf("processes %v are left", left)
	}
}

// named lists the processes that have named themselves so.
func named(t *testing.T, name string) (pids []string) {
	t.Helper()
	all, err := filepath.Glob("/proc/[0-9]*/comm")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range all {
		if text, _ := os.ReadFile(path); strings.TrimSpace(string(text)) == name {
			pids = append(pids, path)
		}
	}
	return pids
}

func TestOutputFlood(t *testing.T) {
	for _, unconfined := range []bool{false, true} {
		s := open(t, unconfined)
		if r := runs(t, s, OutOfOutput, "while True: print('x' * 1000)"); len(r.Output) != s.limits.Output {
			t.Errorf("%d bytes are kept", len(r.Output))
		}
	}
}

// What an unconfined program leaves in its group ends with it.
func TestUnconfinedGroupEnds(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	s := open(t, true)
	r := runs(t, s, Passed, "import os, time\npid = os.fork()\nif pid == 0: time.sleep(600)\nprint(pid, flush=True)")
	pid := 0
	if _, err := fmt.Sscan(r.Output, &pid); err != nil {
		t.Fatalf("%q: %v", r.Output, err)
	}
	// It has been killed, and ends as soon as the kernel gets to it; a zombie waits for
	// whoever inherited it.
	if !nodetest.Eventually(func() bool {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		return err != nil || strings.Contains(string(stat), ") Z ") || strings.Contains(string(stat), ") X ")
	}) {
		t.Fatalf("process %d is left", pid)
	}
	if dirs, _ := filepath.Glob(filepath.Join(os.TempDir(), "skerry-code-*")); len(dirs) > 0 {
		t.Errorf("%v are left", dirs)
	}
}

func TestCancelled(t *testing.T) {
	s := open(t, false)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.Run(ctx, "while True: pass"); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}

// Where a wall cannot be built nothing runs.
func TestNoWallNoRun(t *testing.T) {
	s := open(t, false)
	s.python.Dirs = []string{"/usr\x00"}
	if r, err := s.Run(t.Context(), "print('it runs')"); !errors.Is(err, ErrConfine) || strings.Contains(err.Error(), "\n") {
		t.Errorf("%+v, %v", r, err)
	}
}

// Where the kernel gives this user no namespaces Open says so, and gives a sandbox to whoever
// does without them. The user is one whom the test has forbidden them.
func TestRefused(t *testing.T) {
	cmd := exec.Command("/proc/self/exe", refusedArg)
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
	}
	out, err := cmd.CombinedOutput()
	if errors.Is(err, syscall.EPERM) || errors.Is(err, syscall.ENOSPC) {
		t.Skip("this machine refuses namespaces to this test")
	}
	first, second, _ := strings.Cut(strings.TrimSpace(string(out)), "\n")
	if err != nil || !strings.HasPrefix(first, ErrConfine.Error()+": the kernel gives this user no namespaces") || second != "<nil>" {
		t.Errorf("%v: %s", err, out)
	}
}

// refused is the process of TestRefused.
func refused() {
	if err := os.WriteFile("/proc/sys/user/max_user_namespaces", []byte("0"), 0); err != nil {
		fmt.Println(err)
	}
	for _, unconfined := range []bool{false, true} {
		_, err := Open(context.Background(), Options{Limits: Usual(), Unconfined: unconfined, Args: []string{enterArg}})
		fmt.Println(err)
	}
}

func TestNoPython(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	found, err := findPythons(t.Context())
	if len(found) == 0 && (err == nil || !strings.Contains(err.Error(), "python3 is not installed")) {
		t.Errorf("%v", err)
	}
}

// The interpreter's limits are those that were asked for, also the one on open files, which
// the Go runtime would restore.
func TestLimitsAreInForce(t *testing.T) {
	r := runs(t, open(t, false), Passed, `
from resource import *
print([getrlimit(l) for l in (RLIMIT_CORE, RLIMIT_CPU, RLIMIT_FSIZE, RLIMIT_NOFILE, RLIMIT_NPROC, RLIMIT_AS)])
`)
	l := Usual()
	want := fmt.Sprintf("[(0, 0), (%[1]d, %[1]d), (%[2]d, %[2]d), (%[3]d, %[3]d), (%[4]d, %[4]d), (%[5]d, %[5]d)]", l.Processor, l.File, l.Files, l.Processes, l.Memory)
	if r.Output != want+"\n" {
		t.Errorf("%s\nwant %s", r.Output, want)
	}
}

// Time that is over before there is a process is the program's, and no fault of the walls.
func TestOutOfTimeAtOnce(t *testing.T) {
	s := open(t, false)
	s.limits.Time = 1
	for range 10 {
		runs(t, s, OutOfTime, "print(1)")
	}
}
