#!/bin/sh
# Removal keeps the authority, the record of boards and what a worker knows etcd by; purging
# removes them.
set -e
if [ -d /run/systemd/system ]; then systemctl --system daemon-reload >/dev/null || true; fi
if [ "$1" = purge ]; then
  rm -rf /var/lib/skerry-cloud /var/lib/private/skerry-cloud /var/cache/skerry-cloud /var/cache/private/skerry-cloud /etc/skerry-cloud
fi
