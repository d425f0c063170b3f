#!/usr/bin/env bash
# Sees that the tools that an image is made with are there.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
SAY=image
. "$here/../../cross/need.sh"
export PATH=$PATH:/usr/sbin:/sbin
for t in mkfs.erofs:erofs-utils mcopy:mtools mkfs.vfat:dosfstools mke2fs:e2fsprogs sfdisk:fdisk depmod:kmod; do
  need "${t%:*}" "${t#*:}" || { echo "image: no ${t%:*} to be had (apt-get install ${t#*:})" >&2; exit 3; }
done
