#!/bin/sh
# Nothing is enabled: the cloud wants certificates first. A running one is restarted
# by an upgrade.
set -e
if [ "$1" = configure ] && [ -d /run/systemd/system ]; then
  systemctl --system daemon-reload >/dev/null || true
  [ -z "$2" ] || systemctl try-restart skerry-cloud.service || true
fi
