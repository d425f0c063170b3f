#!/usr/bin/env bash
# Sees that the tools that an image is made with are there, or, with the argument qemu, those
# that it is tried with.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
SAY=image
. "$here/../../cross/need.sh"
export PATH=$PATH:/usr/sbin:/sbin
tools="mkfs.erofs:erofs-utils mcopy:mtools mkfs.vfat:dosfstools mke2fs:e2fsprogs sfdisk:fdisk depmod:kmod"
[ "${1-}" != qemu ] || tools="qemu-system-aarch64:qemu-system-arm mcopy:mtools ssh:openssh-client /usr/share/AAVMF:qemu-efi-aarch64 fdtput:device-tree-compiler"
for t in $tools; do
  [ -d "${t%:*}" ] || need "${t%:*}" "${t#*:}" || [ -d "${t%:*}" ] ||
    { echo "image: no ${t%:*} to be had (apt-get install ${t#*:})" >&2; exit 3; }
done
