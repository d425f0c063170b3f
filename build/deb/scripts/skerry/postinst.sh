#!/bin/sh
# The appliance is enabled and started; an upgrade restarts it, and one that its
# owner has disabled stays so.
set -e
if [ "$1" = configure ]; then
  systemd-sysusers skerry.conf
  systemd-tmpfiles --create skerry.conf || true
  # What is started from now on is what this package has brought; while an update is
  # being written, it says that this is done later.
  /usr/bin/skerry update seed
  for unit in skerry.socket skerry.service; do
    deb-systemd-helper unmask "$unit" >/dev/null || true
    if deb-systemd-helper --quiet was-enabled "$unit"; then
      deb-systemd-helper enable "$unit" >/dev/null || true
    else
      deb-systemd-helper update-state "$unit" >/dev/null || true
    fi
  done
  if [ -d /run/systemd/system ]; then
    systemctl --system daemon-reload >/dev/null || true
    if [ -n "$2" ]; then
      deb-systemd-invoke restart skerry.service >/dev/null 2>&1 || true
    else
      deb-systemd-invoke start skerry.socket skerry.service >/dev/null 2>&1 || true
    fi
    if systemctl --quiet is-enabled skerry.socket && ! systemctl --quiet is-active skerry.socket; then
      echo "skerry: port 7537 could not be opened; most likely another program has it (ss -ltnp names it)." >&2
      echo "skerry: stop that one, or choose another port (systemctl edit skerry.socket), then: systemctl restart skerry.socket skerry" >&2
    elif systemctl --quiet is-enabled skerry.service && ! systemctl --quiet is-active skerry.service; then
      echo "skerry: it does not run: systemctl status skerry says why" >&2
    fi
  fi
fi
