#!/usr/bin/env bash
# Builds the operators for Windows with MinGW into build/windows/artifacts; installs the compiler where it is missing.
set -euo pipefail
cd "$(dirname "$0")/.."
compiler=g++-mingw-w64-x86-64-posix build=build/windows
if ! command -v x86_64-w64-mingw32-g++-posix >/dev/null; then
  echo "windows-ops: installing $compiler" >&2
  apt-get update -qq
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $compiler >/dev/null
fi
[ -f $build/native/build.ninja ] || cmake -S native -B $build/native -G Ninja -DCMAKE_TOOLCHAIN_FILE="$PWD/native/mingw.cmake" \
  -DLONGFORMER_BUILD_TESTS=OFF -Dartifacts="$PWD/$build/artifacts" >/dev/null
ninja -C $build/native --quiet longformer_ops
