#!/usr/bin/env bash
# Sees that programs for arm64 can be tried here: qemu-user, and the C library for
# it, which comes with the cross compiler. Exits 3 where they are not to be had.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
SAY=emulate
. "$here/need.sh"
need qemu-aarch64-static qemu-user-static || {
  echo "emulate: no qemu-aarch64-static to be had: arm64 is not tried (apt-get install qemu-user-static)" >&2
  exit 3
}
