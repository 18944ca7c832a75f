#!/usr/bin/env bash
# Builds native/ from this source against another libtorch, the PyTorch 2.x of a Debian root folder, and runs its ctest there;
# where a .NET SDK is at hand, the tests of the Torch room too. Needs root. Not part of the tests: the root folder takes 3 GB.
#   tools/check-torch2.sh DIR     DIR: the root folder, with python3-torch or libtorch-dev installed or installable
set -euo pipefail
dir=$(realpath "${1:?usage: tools/check-torch2.sh DIR (a Debian root folder with PyTorch 2.x)}")
root=$(realpath "$(dirname "$0")/..")
[ "$(id -u)" = 0 ] || { echo "check-torch2: chroot needs root; run it with sudo" >&2; exit 1; }
[ -x "$dir/usr/bin/apt-get" ] || { echo "check-torch2: $dir is no Debian root folder" >&2; exit 1; }
inside=/root/longformer-check
in_root() { chroot "$dir" env HOME=/root LC_ALL=C.UTF-8 "$@"; }

need=()
for package in libtorch-dev g++ cmake ninja-build libgtest-dev libdnnl-dev; do
  in_root dpkg -s "$package" >/dev/null 2>&1 || need+=("$package")
done
if [ ${#need[@]} -gt 0 ]; then
  echo "check-torch2: installing ${need[*]} in $dir"
  in_root apt-get -o Acquire::Check-Valid-Until=false update -qq
  in_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${need[@]}" >/dev/null
fi

# Only what the build reads, so that a build folder of another libtorch is never mixed in.
mkdir -p "$dir$inside"
rm -rf "${dir:?}$inside/native"
# With their times, so that a second run builds only what changed.
cp -a "$root/native" "$dir$inside/native"
in_root cmake -S $inside/native -B $inside/build -G Ninja -Dartifacts=$inside/artifacts
in_root ninja -C $inside/build
# One thread for each test and the tests side by side: spinning OpenMP threads make a busy machine crawl.
in_root env OMP_NUM_THREADS=1 ctest --test-dir $inside/build --output-on-failure -j "$(nproc)"

dotnet=$(command -v dotnet || true)
if [ -z "$dotnet" ]; then
  echo "check-torch2: no dotnet here, the tests of the Torch room are left out"
  exit 0
fi
dotnet_folder=$(dirname "$(realpath "$dotnet")")
"$dotnet" build -c Release --nologo -v quiet "$root/tests/Torch.Tests"
rm -rf "${dir:?}$inside/tests"
cp -r "$root/build/dotnet/bin/LongformerInterop.Torch.Tests/release" "$dir$inside/tests"
mkdir -p "$dir$inside/dotnet"
mount --bind -o ro "$dotnet_folder" "$dir$inside/dotnet"
trap 'umount "$dir$inside/dotnet"' EXIT
# The root folder has no ICU and needs none.
in_root env DOTNET_ROOT=$inside/dotnet DOTNET_SYSTEM_GLOBALIZATION_INVARIANT=1 DOTNET_CLI_TELEMETRY_OPTOUT=1 \
  LONGFORMER_NATIVE_DIR=$inside/artifacts $inside/dotnet/dotnet vstest $inside/tests/LongformerInterop.Torch.Tests.dll
