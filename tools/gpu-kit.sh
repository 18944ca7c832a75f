#!/usr/bin/env bash
# The command line, published by NativeAOT, and the operators into build/gpu-kit, for benchmarks/gpu.sh on a machine with a GPU and without
# .NET and compilers. The rest of what travels there is the tree itself; libtorch is there already.
set -euo pipefail
cd "$(dirname "$0")/.."
# A separate folder: a restore for one processor would undo the ordinary one.
dotnet publish src/Cli -c Release -r linux-x64 -p:PublishAot=true -p:ArtifactsPath="$PWD/build/aot" -v quiet --nologo
mkdir -p build/gpu-kit
install -m 755 build/aot/publish/LongformerInterop.Cli/release_linux-x64/longformer build/gpu-kit/longformer
install -m 755 artifacts/liblongformer_ops.so build/gpu-kit/liblongformer_ops.so
tree=$(git ls-files -z | du -cb --files0-from=- | tail -n 1 | cut -f 1)
kit=$(du -sb build/gpu-kit | cut -f 1)
echo "build/gpu-kit: $((kit / 1048576)) MiB; with the tree, $(((kit + tree) / 1048576)) MiB travel (64 at most)"
