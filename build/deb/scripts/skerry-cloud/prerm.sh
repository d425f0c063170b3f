#!/bin/sh
set -e
if [ "$1" = remove ] && [ -d /run/systemd/system ]; then
  systemctl disable --now skerry-cloud.service skerry-cloud.socket || true
fi
