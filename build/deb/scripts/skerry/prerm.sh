#!/bin/sh
set -e
if [ "$1" = remove ] && [ -d /run/systemd/system ]; then
  deb-systemd-invoke stop skerry-fleet.timer skerry-fleet.service skerry.service skerry.socket skerry-update.service >/dev/null || true
  systemctl stop 'skerry-console@*.service' || true
fi
