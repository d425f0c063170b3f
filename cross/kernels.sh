#!/usr/bin/env bash
# Builds CPU kernel variants into the user's cache, once for each state of sources
# and compiler, and links OUT to them: the one this machine will choose, or with
# ARCH (amd64, arm64) all that packages for ARCH carry.
#   kernels.sh MODULE OUT JOBS [ARCH]
# Without ARCH it succeeds where cmake and ninja are neither there nor to be had:
# the program then runs on the portable kernels linked into it, and says so. With
# ARCH it exits 3.
set -euo pipefail
module=$1 out=$2 jobs=$3 arch=${4:-}
here=$(cd "$(dirname "$0")" && pwd)
SAY=kernels
. "$here/need.sh"
. "$here/variants.sh"

case $(uname -m) in
  x86_64)        own=amd64 ;;
  aarch64|arm64) own=arm64 ;;
  *)             own=$(uname -m) ;;
esac
if [ -n "$arch" ]; then variants=$(all_variants "$arch"); else arch=$own variants=$(own_variant "$own"); fi
if [ -z "$variants" ]; then echo "kernels: no variants for this $arch: using the portable kernels" >&2; exit 0; fi

cc=${CC:-cc} cxx=${CXX:-c++} flags=()
if [ "$arch" != "$own" ]; then
  . "$here/compiler.sh" "$arch" || exit 3
  flags=(-DCMAKE_SYSTEM_NAME=Linux -DCMAKE_SYSTEM_PROCESSOR="$machine")
fi
flags+=(-DCMAKE_C_COMPILER="$cc" -DCMAKE_CXX_COMPILER="$cxx")

key=$({ cat "$here/CMakeLists.txt" "$here"/kernels/*; basename "$module"; echo "$variants"; $cc --version | head -1; echo "$arch"; } | sha256sum | cut -c1-16)
dir=$cache/kernels/$key
link() { mkdir -p "$(dirname "$out")"; ln -sfn "$dir" "$out"; }
if [ -e "$dir/.complete" ]; then link; exit 0; fi

if ! need cmake cmake 3.31.6 || ! need ninja ninja-build 1.11.1.4; then
  if [ $# -gt 3 ]; then echo "kernels: no cmake or ninja to be had (install cmake and ninja-build)" >&2; exit 3; fi
  echo "kernels: no cmake or ninja to be had: using the portable kernels, several times slower (install cmake and ninja-build, then make again)" >&2
  exit 0
fi

echo "kernels: building $arch $variants with $jobs jobs (once; each about half a minute of processor time)" >&2
mkdir -p "$cache/kernels"
work=$(mktemp -d "$cache/kernels/.build-XXXXXX")
trap 'rm -rf "$work"' EXIT
cmake -G Ninja -S "$here" -B "$work/b" -DMODULE="$module" "${flags[@]}" >"$work/log" 2>&1 || { tail -20 "$work/log" >&2; exit 1; }
targets=ggml-base
for v in $variants; do targets="$targets ggml-cpu-$v"; done
# shellcheck disable=SC2086
ninja -C "$work/b" -j "$jobs" $targets >"$work/log" 2>&1 || { tail -40 "$work/log" >&2; exit 1; }
mkdir "$work/lib"
cp -P "$work"/b/lib/libggml-*.so* "$work/lib/"
touch "$work/lib/.complete"
mv -T "$work/lib" "$dir" 2>/dev/null || [ -e "$dir/.complete" ]  # another build may have been first
link
