#!/usr/bin/env bash
# Publishes the C library by NativeAOT and lays it out.
#   tools/capi.sh             into artifacts/, where the two native libraries are already
#   tools/capi.sh DIR         an installed copy below DIR: lib/, include/, lib/cmake, lib/pkgconfig (what is in artifacts/)
set -euo pipefail
cd "$(dirname "$0")/.."
version=$(sed -nE 's:.*<Version>(.*)</Version>.*:\1:p' Directory.Build.props)

lay_out() { # prefix, folder of the libraries below it ("" or "/lib")
  mkdir -p "$1/include" "$1/lib/cmake/longformer" "$1/lib/pkgconfig"
  install -m 644 bindings/c/include/longformer.h "$1/include/"
  install -m 644 bindings/c/cmake/longformerConfig.cmake "$1/lib/cmake/longformer/"
  sed "s:@VERSION@:$version:" bindings/c/cmake/longformerConfigVersion.cmake.in > "$1/lib/cmake/longformer/longformerConfigVersion.cmake"
  sed "s:@VERSION@:$version:; s:@LIBDIR@:$2:" bindings/c/cmake/longformer.pc.in > "$1/lib/pkgconfig/longformer.pc"
  ln -sfn liblongformer.so.1 "$1$2/liblongformer.so"
}

if [ $# -eq 0 ]; then
  dotnet publish src/CApi -c Release -v quiet --nologo
  mkdir -p artifacts
  # Replaced, not overwritten: a process may have the old one mapped.
  install -m 755 build/dotnet/publish/LongformerInterop.CApi/release_linux-x64/liblongformer.so artifacts/liblongformer.so.new
  mv -f artifacts/liblongformer.so.new artifacts/liblongformer.so.1
  lay_out artifacts ""
else
  prefix=$1
  mkdir -p "$prefix/lib"
  install -m 755 artifacts/liblongformer.so.1 artifacts/liblongformer_ops.so "$prefix/lib/"
  lay_out "$prefix" /lib
  # The model in the box, which a NULL folder means.
  if [ -f models/default/config.json ]; then
    mkdir -p "$prefix/share/longformer/models"
    cp -r models/default "$prefix/share/longformer/models/"
  fi
fi
