#!/usr/bin/env bash
# Builds the stand-in for a GPU and a library that lacks a symbol, both for tests, into the
# user's cache, once for each state of sources and compiler, and links OUT to them:
#   standin.sh MODULE KERNELS OUT
set -euo pipefail
module=$1 kernels=$2 out=$3
here=$(cd "$(dirname "$0")" && pwd)
cache=${SKERRY_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/skerry}
ggml=$module/ml/backend/ggml/ggml
base=$kernels/libggml-base.so.0
if [ ! -e "$base" ]; then echo "standin: no kernels in $kernels: no stand-in for a GPU (make kernels)" >&2; exit 0; fi

cc=${CC:-cc} cxx=${CXX:-c++}
key=$({ cat "$0" "$here"/standin/*; basename "$module"; readlink -f "$base"; $cxx --version | head -1; } | sha256sum | cut -c1-16)
dir=$cache/standin/$key
link() { mkdir -p "$(dirname "$out")"; ln -sfn "$dir" "$out"; }
if [ -e "$dir/.complete" ]; then link; exit 0; fi

mkdir -p "$cache/standin"
work=$(mktemp -d "$cache/standin/.build-XXXXXX")
trap 'rm -rf "$work"' EXIT
mkdir "$work/lib" "$work/lib/lacking"
"$cxx" -std=c++17 -O1 -shared -fPIC -fvisibility=hidden -DNDEBUG -DGGML_BACKEND_DL -DGGML_BACKEND_BUILD -DGGML_BACKEND_SHARED -DGGML_SHARED \
  -I"$ggml/include" -I"$ggml/src" -o "$work/lib/libggml-standin.so" "$here/standin/standin.cpp" "$base" -ldl
"$cc" -shared -fPIC -o "$work/lib/lacking/libggml-lacking.so" "$here/standin/lacking.c"
touch "$work/lib/.complete"
mv -T "$work/lib" "$dir" 2>/dev/null || [ -e "$dir/.complete" ]  # another build may have been first
link
