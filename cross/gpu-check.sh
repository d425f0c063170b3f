#!/usr/bin/env bash
# Sees whether a GPU computes what the processor does, and how fast: answers of the whole model,
# of slices chained over a cloud partition, and of drafts that the whole model checks, each on
# the processor and on the GPU; T, m and tokens a second of both. It takes less than ten minutes
# and writes a table:
#   gpu-check.sh [-b BUNDLE] [-n TOKENS] [-o TABLE] [PROGRAM]
# PROGRAM is skerry, with its kernels beside it or in SKERRY_KERNELS, and the library of
# skerry-cuda or of make cuda in a directory cuda12 or cuda13 there. Without BUNDLE the default
# model is fetched and split. It prints SKIP and why where no GPU is in use, and exits 1 where
# the GPU says something else than the processor by more than a near-tie.
set -euo pipefail
bundle='' tokens=48 table=gpu-check.txt
while getopts b:n:o: option; do
  case $option in
    b) bundle=$OPTARG ;;
    n) tokens=$OPTARG ;;
    o) table=$OPTARG ;;
    *) exit 2 ;;
  esac
done
shift $((OPTIND - 1))
here=$(cd "$(dirname "$0")" && pwd)
program=${1:-$here/../bin/skerry}
[ -x "$program" ] || program=$(command -v "${1:-skerry}") || { echo "SKIP: there is no program skerry: make build, or install the package"; exit 0; }
command -v python3 >/dev/null || { echo "SKIP: python3 is not installed, which reads the results: apt-get install python3"; exit 0; }
"$program" run --help | grep -q -e --gpu-layers || { echo "SKIP: $program has no --gpu-layers: it is older than the kernels for GPUs"; exit 0; }
export BUNDLE=$bundle TOKENS=$tokens TABLE=$table PROGRAM=$program
exec python3 - <<'PYTHON'
import json, os, signal, subprocess, sys, tempfile, time, urllib.request

program, bundle, tokens, table = (os.environ[k] for k in ("PROGRAM", "BUNDLE", "TOKENS", "TABLE"))
began, limit = time.monotonic(), 580
NEAR_TIE = 0.5  # a margin below it may be decided either way, as between two processors

signal.signal(signal.SIGTERM, lambda *_: sys.exit("gpu-check: ended"))  # so that the cloud ends too

def left():
    return max(1, limit - (time.monotonic() - began))

def skerry(*args):
    out = subprocess.run([program, *args], stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=left())
    if out.returncode != 0:
        last = (out.stderr.decode(errors="replace").strip().splitlines() or ["no reason given"])[-1]
        sys.exit(f"gpu-check: skerry {' '.join(args[:2])} failed: {last}")
    return out.stdout

version = json.loads(skerry("version", "--json"))
gpu = version.get("gpu") or {}
if not gpu.get("name"):
    print("SKIP: no GPU is in use:", gpu.get("not") or "there is no library for one beside the kernels: install skerry-cuda, or make cuda")
    sys.exit(0)
given = ["--bundle", bundle] if bundle else []

class Cloud:
    """A cloud partition for this machine alone, which ends with its standard input."""
    def __init__(self, layers):
        self.state = tempfile.TemporaryDirectory(prefix="gpu-check-")
        self.log = open(os.path.join(self.state.name, "log"), "w+")
        self.process = subprocess.Popen([program, "cloud", "--json", "--attached", "--whole", "--metrics", "127.0.0.1:0", "--sessions", "2", "--context", "2048", "--gpu-layers", layers,
            "--listen", "127.0.0.1:0", "--state", self.state.name, *given], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.log)
        signal.signal(signal.SIGALRM, lambda *_: sys.exit("gpu-check: the cloud partition has not started in time"))
        signal.alarm(int(left()))
        line = self.process.stdout.readline()
        signal.alarm(0)
        if not line:
            self.process.wait()
            self.log.seek(0)
            sys.exit("gpu-check: the cloud partition does not start: " + self.log.read().strip())
        self.address = json.loads(line)["listening"]
    def costs(self):
        """T of the whole model, and what a further position takes, in seconds."""
        self.log.seek(0)
        address = next(line["address"] for line in map(json.loads, self.log) if line.get("msg") == "metrics")
        text = urllib.request.urlopen(address, timeout=left()).read().decode()
        gauge = lambda name: float(next((line.split()[-1] for line in text.splitlines() if line.startswith(f"skerry_cloud_{name}{{") and 'whole="true"' in line), 0))
        return gauge("pass_seconds"), gauge("position_seconds")
    def close(self):
        self.process.stdin.close()
        self.process.wait()
        self.log.close()
        self.state.cleanup()

def say(cloud, board_layers, prompt, *args):
    # The certificates of a trial, which the cloud has made, are in its state directory.
    return json.loads(skerry("run", "--json", "--context", "2048", "--gpu-layers", board_layers, "--cloud", cloud.address, "--on-loss", "wait",
        "--state", cloud.state.name, "--ignore-end", *given, *args, prompt))

SHORT = "Write the line 'The lamp burns all night.' four times, and then say what a lighthouse is for."
LONG = " ".join(f"On day {i} the keeper lit the lamp at dusk, counted {3 * i + 1} ships and wrote the wind down." for i in range(1, 31)) + " How many days are there?"
ANSWERS = {
    "whole model": ("--mode", "cloud-only", "--draft", "off", "--max-tokens", tokens),
    "slices, chained": ("--mode", "collaborative", "--threshold", "1.1", "--draft", "off", "--max-tokens", tokens),
    "drafts, checked": ("--mode", "cloud-only", "--draft", "lookup", "--max-tokens", tokens),
}

def measure(board_layers, cloud_layers):
    cloud = Cloud(cloud_layers)
    try:
        said = {name: say(cloud, board_layers, SHORT, *args) for name, args in ANSWERS.items()}
        said["long prompt"] = say(cloud, board_layers, LONG, "--mode", "cloud-only", "--draft", "off", "--max-tokens", "2")
        return said, cloud.costs()
    finally:
        cloud.close()

def compare(a, b):
    """Where two answers part, and by what margin; None for equal ones."""
    for i, (x, y) in enumerate(zip(a["tokens"], b["tokens"])):
        if x["id"] != y["id"]:
            return i, max(x.get("margin", 0), y.get("margin", 0))
    return None

def worded(parted, itself):
    if parted is None:
        return "" if itself else "equal"
    i, margin = parted
    return f"parts at token {i + 1}, margin {margin:.3f}" + (" (a near-tie)" if margin < NEAR_TIE else " (WRONG)")

runs = {"CPU": measure("0", "0"), "GPU": measure("all", "all"), "CPU board, GPU cloud": measure("0", "all")}
lines, wrong = [], 0

def row(*cells):
    lines.append(cells)

row("answers of " + tokens + " tokens", "against the whole model on the same", "against the whole model on the CPU")
whole = runs["CPU"][0]["whole model"]
for where, (said, _) in runs.items():
    for name in ANSWERS:
        pair = [(compare(said[name], other), said[name] is other) for other in (said["whole model"], whole)]
        wrong += sum(parted is not None and parted[1] >= NEAR_TIE for parted, _ in pair)
        row(f"{name}, {where}", *(worded(*p) for p in pair))
row("", "", "")
row("speed", "CPU", "GPU")

def both(name, value, form):
    row(name, *(form.format(v) if v else "-" for v in (value("CPU"), value("GPU"))))

def prompt_speed(where):
    d = runs[where][0]["long prompt"]
    return d["usage"]["prompt_tokens"] / d["timings"]["first_token_s"] if d["timings"]["first_token_s"] else 0

both("prompt, tokens a second", prompt_speed, "{:.0f}")
for name in ANSWERS:
    both(f"{name}, tokens a second", lambda where: runs[where][0][name]["timings"]["tokens_per_s"], "{:.1f}")
both("T, a pass of one position of the whole model, ms", lambda where: runs[where][1][0] * 1e3, "{:.2f}")
both("m, a further position as a share of T", lambda where: runs[where][1][1] / (runs[where][1][0] or 1), "{:.3f}")

widths = [max(len(r[i]) for r in lines) for i in range(3)]
text = f"skerry {version['version']} {version['platform']}, kernels {version['kernels']['variant']}, GPU {gpu['name']} with {gpu.get('total', 0) / 1e9:.1f} GB, model {whole['model']}\n"
text += f"library {gpu.get('library', '')}\n\n"
text += "\n".join("  ".join(c.ljust(w) for c, w in zip(r, widths)).rstrip() for r in lines)
text += f"\n\n{time.monotonic() - began:.0f} s; near-tie: a margin below {NEAR_TIE}\n"
with open(table, "w") as f:
    f.write(text)
print(text, end="")
if wrong:
    sys.exit(f"gpu-check: {wrong} answers are wrong; {table} says which")
PYTHON
