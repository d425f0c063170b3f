#!/bin/sh
# What runs has the library open, and is started again without it.
set -e
if [ "$1" = remove ] && [ -d /run/systemd/system ]; then
  systemctl --system daemon-reload >/dev/null || true
  for unit in skerry.service skerry-cloud.service; do
    systemctl try-restart "$unit" >/dev/null 2>&1 || true
  done
fi
