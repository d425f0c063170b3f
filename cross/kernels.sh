#!/usr/bin/env bash
# Builds the CPU kernel variants for this machine's architecture into the user's
# cache, once for each state of sources and compiler, and links OUT to them.
#   kernels.sh MODULE OUT JOBS
# Without cmake, ninja and a way to get them it says so and succeeds: the program
# then runs on the portable kernels linked into it, and says that too.
set -euo pipefail
module=$1 out=$2 jobs=$3
here=$(cd "$(dirname "$0")" && pwd)
cache=${SKERRY_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/skerry}

case $(uname -m) in
  x86_64)        variants="haswell icelake" ;;
  aarch64|arm64) variants="armv8.0_1 armv8.2_2 armv8.6_1" ;;
  *) echo "kernels: no variants for $(uname -m): using the portable kernels" >&2; exit 0 ;;
esac

key=$({ cat "$here/CMakeLists.txt"; basename "$module"; echo "$variants"; ${CC:-cc} --version | head -1; uname -m; } | sha256sum | cut -c1-16)
dir=$cache/kernels/$key
link() { mkdir -p "$(dirname "$out")"; ln -sfn "$dir" "$out"; }
if [ -e "$dir/.complete" ]; then link; exit 0; fi

# need TOOL DEBIAN-PACKAGE VERSION: finds a build tool, or installs it: by apt as
# root, else by pip, each into a directory of the cache that is its own.
tools=$cache/tools
export PATH=$tools/cmake/bin:$tools/ninja/bin:$PATH
export PYTHONPATH=$tools/cmake:$tools/ninja${PYTHONPATH:+:$PYTHONPATH}
need() {
  command -v "$1" >/dev/null && return
  echo "kernels: $1 is missing, installing it" >&2
  if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    { apt-get install -y --no-install-recommends "$2" || { apt-get update && apt-get install -y --no-install-recommends "$2"; }; } >/dev/null 2>&1 || true
    command -v "$1" >/dev/null && return
  fi
  rm -rf "${tools:?}/$1"
  python3 -m pip install --quiet --disable-pip-version-check --target "$tools/$1" "$1==$3" >&2 || true
  command -v "$1" >/dev/null
}
if ! need cmake cmake 3.31.6 || ! need ninja ninja-build 1.11.1.4; then
  echo "kernels: no cmake or ninja to be had: using the portable kernels, several times slower (install cmake and ninja-build, then make again)" >&2
  exit 0
fi

echo "kernels: building $variants with $jobs jobs (once; about 1.5 minutes of processor time)" >&2
mkdir -p "$cache/kernels"
work=$(mktemp -d "$cache/kernels/.build-XXXXXX")
trap 'rm -rf "$work"' EXIT
cmake -G Ninja -S "$here" -B "$work/b" -DMODULE="$module" >"$work/log" 2>&1 || { tail -20 "$work/log" >&2; exit 1; }
targets=ggml-base
for v in $variants; do targets="$targets ggml-cpu-$v"; done
# shellcheck disable=SC2086
ninja -C "$work/b" -j "$jobs" $targets >"$work/log" 2>&1 || { tail -40 "$work/log" >&2; exit 1; }
mkdir "$work/lib"
cp -P "$work"/b/lib/libggml-*.so* "$work/lib/"
touch "$work/lib/.complete"
mv -T "$work/lib" "$dir" 2>/dev/null || [ -e "$dir/.complete" ]  # another build may have been first
link
