# Sourced with ARCH: sets cc, cxx and machine to the cross compiler for it,
# installing it if need be; fails where it is not to be had.
case $1 in
  arm64) machine=aarch64 package=aarch64-linux-gnu ;;
  amd64) machine=x86_64 package=x86-64-linux-gnu ;;
  *) echo "$SAY: no cross compiler is known for $1" >&2; return 1 ;;
esac
cc=$machine-linux-gnu-gcc cxx=$machine-linux-gnu-g++
if ! need "$cc" "gcc-$package" || ! need "$cxx" "g++-$package"; then
  echo "$SAY: no $cc or $cxx to be had (apt-get install gcc-$package g++-$package)" >&2
  return 1
fi
