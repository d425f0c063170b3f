#!/usr/bin/env bash
# Tries the README's first command as a new user in a clean Debian 12 root file
# system: nothing but Go, gcc, g++, make, git and python3 with pip, empty caches,
# once as root and once as a normal user. Needs root and debootstrap, and the
# network that make needs. The root file system is cached; the homes are new.
set -euo pipefail
here=$(cd "$(dirname "$0")/.." && pwd)
cache=${SKERRY_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/skerry}
root=$cache/debian12
users=${*:-root newcomer}

[ "$(id -u)" = 0 ] || { echo "newuser: needs root for chroot" >&2; exit 1; }
command -v debootstrap >/dev/null || apt-get install -y --no-install-recommends debootstrap >/dev/null
if [ ! -e "$root/.complete" ]; then
  rm -rf "$root"; mkdir -p "$root"
  debootstrap --variant=minbase --include=gcc,g++,make,git,python3,python3-pip,ca-certificates bookworm "$root" >"$root.log" 2>&1 || { tail -5 "$root.log" >&2; exit 1; }
  chroot "$root" useradd -m newcomer
  touch "$root/.complete"
fi

# A copy over the cached tree, thrown away at the end.
work=$(mktemp -d "${TMPDIR:-/tmp}/newuser-XXXXXX")
cleanup() {
  for m in proc dev usr/local/go; do mountpoint -q "$work/$m" && umount "$work/$m"; done
  rm -rf --one-file-system "$work"
}
trap cleanup EXIT
cp -a "$root/." "$work"
mkdir -p "$work/usr/local/go"
mount --bind "$(go env GOROOT)" "$work/usr/local/go"
mount --bind /dev "$work/dev"
mount -t proc proc "$work/proc"
cp /etc/resolv.conf "$work/etc/resolv.conf"
# The network's own certificate authorities, where it has some.
cp -L /etc/ssl/certs/ca-certificates.crt "$work/etc/ssl/certs/ca-certificates.crt"

for user in $users; do
  home=$(chroot "$work" getent passwd "$user" | cut -d: -f6)
  rm -rf "$work$home/skerry"
  git clone -q "$here" "$work$home/skerry"
  chroot "$work" chown -R "$user" "$home"
  as() { chroot "$work" su "$user" -c "cd ~/skerry && env -i HOME=$home USER=$user PATH=/usr/local/go/bin:/usr/bin:/bin:/usr/sbin:/sbin TERM=dumb $*"; }
  for round in first second; do
    start=$(date +%s.%N)
    as make run 2>&1 | sed -u "s/^/$user $round: /"
    echo "$user: $round make run took $(echo "$(date +%s.%N) $start" | awk '{printf "%.1f", $1-$2}') s"
  done
  as ./bin/skerry version | sed "s/^/$user: /"
done
