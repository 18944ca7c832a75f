#!/usr/bin/env bash
# Makes the packages in artifacts/ from what `make` built: NuGet packages, the Python wheel, the C tarball.
#   tools/pack.sh [nuget|wheel|tarball]...     by default all
set -euo pipefail
cd "$(dirname "$0")/.."
kinds=("$@")
[ ${#kinds[@]} -gt 0 ] || kinds=(nuget wheel tarball)
version=$(sed -nE 's:.*<Version>(.*)</Version>.*:\1:p' Directory.Build.props)
tools/symbols.sh artifacts/liblongformer_ops.so artifacts/liblongformer.so.1

nuget() {
  tools/windows-ops.sh
  rm -f artifacts/LongformerInterop*.nupkg artifacts/LongformerInterop*.snupkg
  for project in LongformerInterop LongformerInterop-cpu; do
    dotnet pack "tools/nuget/$project.csproj" -o artifacts -v quiet --nologo
  done
  # The model in the box, where there is one, in a package of its own.
  [ ! -f models/default/config.json ] || dotnet pack tools/nuget/LongformerInterop.DefaultModel.csproj -o artifacts -v quiet --nologo
  # Beside it, each with a dependency on it.
  for project in TorchSharp Extensions; do
    dotnet pack "src/$project" -p:ForPackage=true -o artifacts -v quiet --nologo
  done
  # The command line as a .NET tool, with the libraries of both systems inside; its libtorch is LIBTORCH's (docs/cli.md).
  dotnet pack src/Cli -p:PackAsTool=true -o artifacts -v quiet --nologo
}

wheel() {
  rm -f artifacts/longformer_interop-*.whl
  .venv/bin/python -m pip --quiet --disable-pip-version-check wheel --no-index --no-build-isolation --no-deps --wheel-dir artifacts .
}

tarball() {
  local name=longformer-$version-linux-x64 folder
  folder=$(mktemp -d)
  tools/capi.sh "$folder/$name" >/dev/null
  mkdir -p "$folder/$name/share/longformer"
  cp -r bindings/c/examples "$folder/$name/share/longformer/"
  cp LICENSE docs/c.md "$folder/$name/"
  rm -f artifacts/longformer-*-linux-x64.tar.gz
  tar -C "$folder" --sort=name --owner=0 --group=0 --numeric-owner -czf "artifacts/$name.tar.gz" "$name"
  rm -rf "$folder"
}

for kind in "${kinds[@]}"; do "$kind"; done
ls -l artifacts/*.nupkg artifacts/*.snupkg artifacts/*.whl artifacts/*.tar.gz 2>/dev/null | awk '{ printf "%8.1f MB  %s\n", $5 / 1e6, $NF }'
