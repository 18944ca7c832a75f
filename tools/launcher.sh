#!/usr/bin/env bash
# Runs the command line that `make` built beside this file.
root=$(cd "$(dirname "$(readlink -f "$0")")" && pwd)
exec dotnet "$root/build/dotnet/bin/LongformerInterop.Cli/release/longformer.dll" "$@"
