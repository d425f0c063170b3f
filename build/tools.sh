#!/usr/bin/env bash
# Sees that the tests of packages, of releases and of the page have their tools; those that are
# not to be had are named, and their tests skip.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
SAY=test
. "$here/../cross/need.sh"
for t in lintian:lintian minisign:minisign shellcheck:shellcheck mmdebstrap:mmdebstrap systemd-nspawn:systemd-container chromium-headless-shell:chromium-headless-shell; do
  need "${t%:*}" "${t#*:}" || echo "test: no ${t%:*} to be had: what needs it is not tried (apt-get install ${t#*:})" >&2
done
