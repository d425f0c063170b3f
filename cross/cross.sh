#!/usr/bin/env bash
# Builds the program for ARCH (amd64, arm64) and all kernel variants of packages:
# OUT/bin/skerry, and OUT/bin/kernels beside it, where the program looks.
#   cross.sh ARCH OUT MODULE JOBS VERSION
# Heavy parts are cached: the variants by kernels.sh, llama.cpp by go. Nothing of
# what it builds names a path of this machine. It exits 3, leaving nothing, where
# a compiler is neither there nor to be had.
set -euo pipefail
arch=$1 out=$2 module=$3 jobs=$4 version=$5
here=$(cd "$(dirname "$0")" && pwd)
SAY=cross
. "$here/need.sh"
go=${GO:-go}

cc=${CC:-cc} cxx=${CXX:-c++}
if [ "$arch" != "$("$go" env GOHOSTARCH)" ]; then
  . "$here/compiler.sh" "$arch" || { rm -rf "$out"; exit 3; }
fi
"$here/kernels.sh" "$module" "$out/bin/kernels" "$jobs" "$arch" || { code=$?; rm -rf "$out"; exit $code; }
[ -x "$out/bin/skerry" ] || echo "cross: building $out/bin/skerry (the first time compiles llama.cpp: about 6 minutes of processor time)" >&2
CGO_ENABLED=1 GOARCH=$arch CC=$cc CXX=$cxx "$go" build -trimpath -buildvcs=false -p "$jobs" \
  -ldflags "-s -w -X main.version=$version${UPDATE_KEYS:+ -X 'main.updateKeys=$UPDATE_KEYS'}" -o "$out/bin/skerry" "$here/../appliance"
