#!/usr/bin/env bash
# Fetches the Debian packages that images are made of, for ARCH (amd64, arm64) of the
# Debian that this machine's apt knows, into the user's cache, and prints their paths.
# Nothing is installed, and nothing for another processor runs.
#   debs.sh ARCH
# It exits 3 where they are not to be had.
set -euo pipefail
arch=$1
cache=${SKERRY_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/skerry}
packages="libc6 libgcc-s1 libstdc++6 gcc-12-base ca-certificates"
dir=$cache/oci/$arch-$(echo "$packages" | sha256sum | cut -c1-12)
if [ ! -e "$dir/.complete" ]; then
  command -v apt-get >/dev/null || { echo "oci: no apt-get here to fetch packages with" >&2; exit 3; }
  mkdir -p "$cache/oci"
  work=$(mktemp -d "$cache/oci/.fetch-XXXXXX")
  trap 'rm -rf "$work"' EXIT
  mkdir -p "$work/state/lists/partial" "$work/cache/archives/partial" "$work/debs"
  touch "$work/status"
  cat >"$work/apt.conf" <<CONF
APT::Architecture "$arch";
APT::Architectures { "$arch"; };
APT::Sandbox::User "";
Acquire::Languages "none";
Dir::State "$work/state";
Dir::State::status "$work/status";
Dir::Cache "$work/cache";
CONF
  export APT_CONFIG=$work/apt.conf
  # shellcheck disable=SC2086
  (apt-get update && cd "$work/debs" && apt-get download $packages) >"$work/log" 2>&1 ||
    { echo "oci: Debian's packages are not to be had: $(grep -m1 '^[EW]:' "$work/log")" >&2; exit 3; }
  touch "$work/debs/.complete"
  mv -T "$work/debs" "$dir" 2>/dev/null || [ -e "$dir/.complete" ]
fi
ls "$dir"/*.deb
