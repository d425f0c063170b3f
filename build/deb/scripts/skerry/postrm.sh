#!/bin/sh
# Removal keeps the settings and the state, purging removes them.
set -e
if [ -d /run/systemd/system ]; then systemctl --system daemon-reload >/dev/null || true; fi
if [ "$1" = purge ]; then
  if command -v deb-systemd-helper >/dev/null; then
    deb-systemd-helper purge skerry.socket skerry.service >/dev/null || true
  fi
  rm -f /etc/systemd/system/skerry.service.d/jetson.conf
  rm -rf /var/lib/skerry /var/cache/skerry /run/skerry /etc/skerry
fi
