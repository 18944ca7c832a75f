#!/usr/bin/env bash
# Installs what the build needs on a bare Debian 12 machine and says clearly what is missing where it cannot.
# Does nothing, quickly, where everything is there.
set -euo pipefail

# OpenBLAS: without it ATen's own matrix products (loop, chunks, gradients) fall to the reference BLAS, thirty times slower.
# clang and pkg-config: the tests of the C library use it as its users do.
packages=(g++ clang cmake ninja-build pkg-config libtorch-dev libopenblas0-openmp libdnnl-dev libgtest-dev)
if [ -n "${LIBTORCH:-}" ]; then
  [ -f "$LIBTORCH/lib/libtorch_cpu.so" ] || { echo "setup: LIBTORCH='$LIBTORCH' has no lib/libtorch_cpu.so (expected the folder of a libtorch or of a Python torch package)" >&2; exit 1; }
  packages=(g++ clang cmake ninja-build pkg-config libdnnl-dev libgtest-dev)
fi
# The Python module and its tests: Debian's own packages, since nothing is downloaded from elsewhere.
packages+=(python3-venv python3-numpy python3-setuptools python3-wheel python3-pytest python3-hypothesis python3-tqdm mypy
  python3-nbconvert python3-ipykernel python3-matplotlib)
# Debian's PyTorch is the libtorch above, so the operators can be tested in it.
[ -n "${LIBTORCH:-}" ] || packages+=(python3-torch)

if ! command -v dotnet >/dev/null; then
  echo "setup: the .NET SDK 10 is not on PATH; install it first (package dotnet-sdk-10.0 of your distribution's or Microsoft's feed)" >&2
  exit 1
fi

missing=()
for package in "${packages[@]}"; do
  dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q '^install ok installed$' || missing+=("$package")
done
[ ${#missing[@]} -eq 0 ] && exit 0

if ! command -v apt-get >/dev/null; then
  echo "setup: missing ${missing[*]} and there is no apt-get here; install their equivalents by hand" >&2
  exit 1
fi
if [ "$(id -u)" -eq 0 ]; then
  as_root=()
elif command -v sudo >/dev/null && sudo -n true 2>/dev/null; then
  as_root=(sudo -n)
elif command -v sudo >/dev/null && [ -t 0 ]; then
  as_root=(sudo)
else
  echo "setup: missing packages: ${missing[*]}" >&2
  echo "setup: installing them needs root; run once as root:  apt-get install -y --no-install-recommends ${missing[*]}" >&2
  exit 1
fi

echo "setup: installing ${missing[*]}" >&2
export DEBIAN_FRONTEND=noninteractive
install() { "${as_root[@]}" apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null; }
"${as_root[@]}" apt-get update -qq
install || { "${as_root[@]}" apt-get update -qq; install; }
