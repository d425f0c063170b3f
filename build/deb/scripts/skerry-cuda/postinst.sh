#!/bin/sh
# What runs is started again with the library, and with leave to use the GPU.
set -e
if [ "$1" = configure ] && [ -d /run/systemd/system ]; then
  systemctl --system daemon-reload >/dev/null || true
  for unit in skerry.service skerry-cloud.service; do
    systemctl try-restart "$unit" >/dev/null 2>&1 || true
  done
fi
