#!/bin/sh
# Removal keeps the settings and the state, purging removes them. Versions that updates
# have brought are programs, and go with the package.
set -e
if [ -d /run/systemd/system ]; then systemctl --system daemon-reload >/dev/null || true; fi
case "$1" in remove | purge) rm -rf /var/lib/skerry-program ;; esac
if [ "$1" = purge ]; then
  if command -v deb-systemd-helper >/dev/null; then
    deb-systemd-helper purge skerry.socket skerry.service >/dev/null || true
  fi
  rm -rf /var/lib/skerry /var/cache/skerry /run/skerry /etc/skerry
fi
