#!/usr/bin/env bash
# Writes what packages document: man pages, compressed with the same bytes every
# time, and the completions of three shells.
#   docs.sh SKERRY OUT
set -euo pipefail
skerry=$1 out=$2
rm -rf "$out"
mkdir -p "$out"
"$skerry" man | gzip -9n >"$out/skerry.1.gz"
"$skerry" man cloud | gzip -9n >"$out/skerry-cloud.1.gz"
for shell in bash fish; do "$skerry" completion "$shell" >"$out/$shell"; done
# zsh finds its own by the first line, and runs it as a function of its completion.
cat >"$out/zsh" <<'ZSH'
#compdef skerry
local IFS=$'\n'
compadd -- $(COMP_LINE="${BUFFER[1,CURSOR]}" COMP_POINT=$CURSOR "${words[1]}" 2>/dev/null) || _files
ZSH
