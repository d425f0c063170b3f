#!/bin/sh
# Units are neither enabled nor started; a running one is restarted by an upgrade.
set -e
if [ -d /run/systemd/system ]; then
  systemctl daemon-reload
  [ -z "$2" ] || systemctl try-restart skerry-cloud.service || true
fi
