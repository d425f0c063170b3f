# Sourced by the scripts here. need TOOL PACKAGE [VERSION] finds a build tool or
# installs it: by apt as root, else, with a version, from PyPI under the tool's
# name into a directory of the cache that is its own. SAY names the script.
cache=${SKERRY_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/skerry}
tools=$cache/tools
export PATH=$tools/cmake/bin:$tools/ninja/bin:$PATH
export PYTHONPATH=$tools/cmake:$tools/ninja${PYTHONPATH:+:$PYTHONPATH}

# get waits for whoever else is installing.
get() {
  apt-get -o DPkg::Lock::Timeout=600 install -y --no-install-recommends "$1"
}

need() {
  command -v "$1" >/dev/null && return
  echo "$SAY: $1 is missing, installing it" >&2
  if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    { get "$2" || { apt-get update && get "$2"; }; } >/dev/null 2>&1 || true
    command -v "$1" >/dev/null && return
  fi
  [ $# -gt 2 ] || return 1
  rm -rf "${tools:?}/$1"
  python3 -m pip install --quiet --disable-pip-version-check --target "$tools/$1" "$1==$3" >&2 || true
  command -v "$1" >/dev/null
}
