#!/usr/bin/env bash
# Builds a newer llama.cpp than the Go module's as shared libraries into the user's
# cache, once for each state of sources and compiler, laid out as an installed one,
# and prints the directory of its llama.pc for PKG_CONFIG_PATH:
#   libllama.sh JOBS
# The sources are the git bundle in a pinned npm package. Without npm, git, cmake,
# ninja or pkg-config, or without the network, it prints only the reason, on stderr, and
# succeeds.
set -euo pipefail
jobs=$1
package=node-llama-cpp version=3.22.1 llama=0.5.0
sha512=6e5b488a9b9699cd76dc7eed30880318a4ac4ab866865418795502e3c5d38d55bb5c624988927209d95333343f2e25a83e4183a5c2f816f883a60c3ba9f4e20f
cache=${SKERRY_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/skerry}

skip() { echo "libllama: $*" >&2; exit 0; }
case $(uname -m) in
  x86_64)        variants="x64 haswell icelake" ;;
  aarch64|arm64) variants="armv8.0_1 armv8.2_2 armv8.6_1" ;;
  *) skip "no variants for $(uname -m)" ;;
esac
key=$({ sed -n '/^tar /,$p' "$0"; echo "$sha512 $variants"; ${CC:-cc} --version | head -1; uname -m; } | sha256sum | cut -c1-16)
dir=$cache/libllama/$llama-$key
if [ -e "$dir/.complete" ]; then echo "$dir/lib/pkgconfig"; exit 0; fi

# cmake and ninja may be those that kernels.sh has put into the cache.
tools=$cache/tools
export PATH=$tools/cmake/bin:$tools/ninja/bin:$PATH
export PYTHONPATH=$tools/cmake:$tools/ninja${PYTHONPATH:+:$PYTHONPATH}
for t in git cmake ninja pkg-config; do
  command -v $t >/dev/null || skip "$t is not installed (on Debian: apt install git cmake ninja-build pkgconf)"
done

tgz=$cache/npm/$package-$version.tgz
intact() { [ "$(sha512sum <"$1" | cut -d' ' -f1)" = "$sha512" ]; }
mkdir -p "$cache/libllama" "$cache/npm"
work=$(mktemp -d "$cache/libllama/.build-XXXXXX")
trap 'rm -rf "$work"' EXIT
if ! { [ -e "$tgz" ] && intact "$tgz"; }; then
  command -v npm >/dev/null || skip "npm is not installed (on Debian: apt install npm)"
  echo "libllama: fetching $package $version (36 MB)" >&2
  (cd "$work" && npm pack "$package@$version" --ignore-scripts --loglevel=error --cache "$work/npm" >"$work/log" 2>&1) ||
    skip "npm cannot fetch $package $version: $(grep -m1 . "$work/log")"
  intact "$work/$package-$version.tgz" || { echo "libllama: $package $version was altered: its sha512 is not the pinned one" >&2; exit 1; }
  mv "$work/$package-$version.tgz" "$tgz"
fi

echo "libllama: building llama.cpp $llama with $jobs jobs (once; about 7 minutes of processor time)" >&2
tar -xzf "$tgz" -C "$work" package/llama/gitRelease.bundle
git -c advice.detachedHead=false clone --quiet "$work/package/llama/gitRelease.bundle" "$work/src" >"$work/log" 2>&1
# Its one commit is not upstream's: without it, the libraries name the release alone.
rm -rf "$work/src/.git"
export GIT_CEILING_DIRECTORIES=$work
# Of the kernel variants only these are built: with all of them it takes twice the time.
sed -i -E "/^ +ggml_add_cpu_backend_variant\(/{/\((${variants// /|})[ )]/!d}" "$work/src/ggml/src/CMakeLists.txt"
cmake -G Ninja -S "$work/src" -B "$work/b" -DCMAKE_BUILD_TYPE=Release -DCMAKE_INSTALL_PREFIX="$dir" -DCMAKE_INSTALL_LIBDIR=lib \
  -DCMAKE_BUILD_RPATH='$ORIGIN' -DCMAKE_BUILD_WITH_INSTALL_RPATH=ON -DCMAKE_INSTALL_RPATH='$ORIGIN' \
  -DLLAMA_BUILD_IS_DEV=OFF -DBUILD_SHARED_LIBS=ON -DGGML_BACKEND_DL=ON -DGGML_NATIVE=OFF -DGGML_CPU_ALL_VARIANTS=ON -DGGML_CPU_REPACK=ON -DGGML_OPENMP=OFF \
  -DLLAMA_OPENSSL=OFF -DLLAMA_BUILD_COMMON=OFF -DLLAMA_BUILD_TESTS=OFF -DLLAMA_BUILD_TOOLS=OFF -DLLAMA_BUILD_EXAMPLES=OFF \
  -DLLAMA_BUILD_SERVER=OFF -DLLAMA_BUILD_APP=OFF >"$work/log" 2>&1 || { tail -20 "$work/log" >&2; exit 1; }
ninja -C "$work/b" -j "$jobs" llama ggml >"$work/log" 2>&1 || { tail -40 "$work/log" >&2; exit 1; }

out=$work/out
cmake --install "$work/b" --prefix "$out" >"$work/log" 2>&1 || { tail -20 "$work/log" >&2; exit 1; }
cp "$work/src/LICENSE" "$out/"
mv "$out"/bin/libggml-cpu-* "$out/lib/"
# Programs find the libraries where they lie, as they would those of the system.
sed -i 's|^Libs:.*|& -Wl,-rpath,${libdir}|' "$out/lib/pkgconfig/llama.pc"
touch "$out/.complete"
mv -T "$out" "$dir" 2>/dev/null || [ -e "$dir/.complete" ]  # another build may have been first
echo "$dir/lib/pkgconfig"
