#!/usr/bin/env bash
# Restores NuGet's libtorch for the processor (its version: Directory.Packages.props), and prints where it is.
#   tools/libtorch.sh [linux-x64|win-x64]
# artifacts/libtorch is then a link to that of Linux, which is where a clone's programs look for one.
set -euo pipefail
cd "$(dirname "$0")/.."
platform=${1:-linux-x64}
case $platform in
  linux-x64) file=libtorch_cpu.so link=artifacts/libtorch ;;
  win-x64) file=torch_cpu.dll link=build/libtorch-win-x64 ;;
  *) echo "usage: tools/libtorch.sh [linux-x64|win-x64]" >&2; exit 2 ;;
esac
version=$(sed -nE 's:.*<LibtorchVersion>(.*)</LibtorchVersion>.*:\1:p' Directory.Packages.props)
found=$(readlink -f "$link" 2>/dev/null || true)
if [[ $found != */"$version"/* || ! -f $found/$file ]]; then
  echo "libtorch: restoring libtorch-cpu-$platform $version from NuGet (once, a few minutes)" >&2
  properties=(-p:LibtorchPlatform="$platform" -p:ArtifactsPath="$PWD/build/libtorch/$platform")
  dotnet restore tools/libtorch "${properties[@]}" -v quiet >&2
  found=$(dotnet msbuild tools/libtorch "${properties[@]}" -getProperty:LibtorchFolder)
  [ -f "$found/$file" ] || { echo "libtorch: expected $file in $found, where there is none" >&2; exit 1; }
  mkdir -p "$(dirname "$link")"
  ln -sfn "$found" "$link"
fi
echo "$found"
