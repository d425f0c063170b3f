#!/bin/sh
# Installs Skerry on a board or machine with Debian, Raspberry Pi OS or Ubuntu, by apt:
#
#   sudo sh install.sh          the appliance, for a board
#   sudo sh install.sh cloud    the cloud partition, for a larger machine
#
# SKERRY_URL says where the release is: a web address, or a directory, as on a stick. It
# need not be given where this script lies in the release, wherever that stick is mounted.
#
# It fetches the list of sums, checks with openssl that the key below has signed it, picks
# the package for this processor, compares its sum, and has apt install it. Nothing is
# installed before both are right, and nothing but the package and what that needs.
set -eu

key=${SKERRY_KEY:-@KEY@} # minisign's public key of releases
from=${SKERRY_URL:-@URL@}

fail() {
  echo "install: $*" >&2
  exit 1
}

case "$#${1:-}" in
  0) package=skerry ;;
  1cloud) package=skerry-cloud ;;
  *) fail "it takes no argument, or cloud: sudo sh install.sh [cloud]" ;;
esac

here=$(dirname "$0")
case $from in file:///*) from=${from#file://} ;; esac
case $from in
  http://* | https://*) ;;
  *) [ -n "${SKERRY_URL:-}" ] || [ -e "$from/SHA256SUMS" ] || [ ! -e "$here/SHA256SUMS" ] || from=$here ;;
esac
case $from in @*) fail "SKERRY_URL is not set: sudo SKERRY_URL=X sh install.sh, with X the address, or the directory, of a release" ;; esac
case $from in http://* | https://* | /*) ;; *) from=$PWD/$from ;; esac # the directory is changed below
case $key in @*) fail "this copy has no key: take the install.sh of a release, or set SKERRY_KEY" ;; esac
command -v apt-get >/dev/null || fail "this system has no apt: Debian, Raspberry Pi OS and Ubuntu have; elsewhere take the container"
case $from in http*) command -v curl >/dev/null || command -v wget >/dev/null || fail "neither curl nor wget is installed, and one of them fetches: sudo apt-get install curl" ;; esac
command -v openssl >/dev/null || fail "openssl is not installed, and checks the signature: sudo apt-get install openssl"
[ "$(id -u)" = 0 ] || fail "only root may install: sudo sh install.sh"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
chmod 755 "$work" # apt reads the package as a user of its own

# get NAME has a file of the release be in $work.
get() {
  case $from in
    http://* | https://*)
      if command -v curl >/dev/null; then
        curl -fsSL --retry 3 -o "$work/$1" "$from/$1" 2>/dev/null
      else
        wget -q -O "$work/$1" "$from/$1" 2>/dev/null
      fi || fail "$from/$1 cannot be fetched: is the network up, and the address right?"
      ;;
    *) cp "$from/$1" "$work/$1" 2>/dev/null || fail "$from/$1 cannot be read: is that the directory of a release?" ;;
  esac
}

get SHA256SUMS
get SHA256SUMS.minisig
cd "$work"
# The second line has two letters for the kind, 8 bytes of the key's number, and a signature
# by Ed25519: of the file itself (Ed), or of its BLAKE2b sum (ED). The bytes before the key
# say that it is one, in DER.
sed -n 2p SHA256SUMS.minisig | base64 -d >signature 2>/dev/null || true
case $(head -c 2 signature | tr -d '\0') in
  Ed) cp SHA256SUMS signed ;;
  ED) openssl dgst -blake2b512 -binary SHA256SUMS >signed ;;
  *) fail "SHA256SUMS.minisig is no signature of minisign: fetch the release again" ;;
esac
{ printf '\060\052\060\005\006\003\053\145\160\003\041\000' && echo "$key" | base64 -d | tail -c 32; } >key.der
tail -c 64 signature >signature.raw
openssl pkeyutl -verify -rawin -pubin -keyform DER -inkey key.der -in signed -sigfile signature.raw >/dev/null 2>&1 ||
  fail "the signature of $from/SHA256SUMS is not by the key of this script: do not install this release"

arch=$(dpkg --print-architecture)
deb=$(sed -n "s/^[0-9a-f]\{64\}  \(${package}_[^/]*_$arch\.deb\)\$/\1/p" SHA256SUMS)
[ -n "$deb" ] || fail "the release has no package for $arch: a 64-bit system is needed, on ARM (arm64) or a PC (amd64)"
get "$deb"
grep -F "  $deb" SHA256SUMS | sha256sum -c --status || fail "$deb is not what was signed: fetch the release again"

echo "install: $deb is signed and whole; apt installs it" >&2
apt-get install -y "./$deb" || fail "apt could not install $deb, and says why above: sudo apt-get update, and try again"

if [ "$package" = skerry ]; then
  echo "install: the page: http://127.0.0.1:7537/, on this board; for others in the house, see listen in /etc/skerry/skerry.toml" >&2
else
  echo "install: the cloud partition wants a name that boards reach it by, and is started then:" >&2
  echo "install:   sudo systemd-run -P -p User=skerry-cloud -p StateDirectory=skerry-cloud -p DynamicUser=yes skerry-cloud init --name NAME" >&2
  echo "install:   sudo systemctl enable --now skerry-cloud" >&2
fi
echo "install: to remove it: sudo apt purge $package" >&2
