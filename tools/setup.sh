#!/usr/bin/env bash
# Installs what a bare Debian machine lacks, and says clearly what is missing where it cannot. Does nothing, quickly, where all is there.
#   tools/setup.sh          what the command line is built with
#   tools/setup.sh all      what the tests of every language need besides
# libtorch comes from NuGet (tools/libtorch.sh), and nothing else is needed to run.
set -euo pipefail

packages=(g++ cmake ninja-build)
# clang and pkg-config: the tests of the C library use it as its users do. patchelf: tools/torchsharp.sh, for TorchSharp on Debian 12. Python: Debian's own packages, nothing is downloaded from elsewhere.
[ "${1:-}" != all ] || packages+=(clang libclang-rt-dev pkg-config patchelf libgtest-dev python3-venv python3-numpy python3-setuptools python3-wheel
  python3-pytest python3-hypothesis python3-tqdm mypy python3-nbconvert python3-ipykernel python3-matplotlib
  python3-distributed python3-pandas)

if ! command -v dotnet >/dev/null; then
  echo "setup: the .NET SDK 10 is not on PATH; install it first (package dotnet-sdk-10.0 of your distribution's or Microsoft's feed)" >&2
  exit 1
fi

# NVRTC compiles the CUDA kernels in a test, without a GPU. Debian has it in its non-free section, which few machines list:
# asked for at the archive of the machine's own sources, with lists apart from the machine's. Nothing fails without it; the
# test then says that it was skipped. Tried once a day where it cannot be had.
nvrtc_is_here() { /sbin/ldconfig -p | grep -q 'libnvrtc\.so\.1[1-9]'; }
install_nvrtc() {
  local folder codename tried="${XDG_CACHE_HOME:-$HOME/.cache}/longformer-interop/no-nvrtc"
  [ -z "$(find "$tried" -mtime -1 2>/dev/null)" ] || return 0
  codename=$(. /etc/os-release && echo "${VERSION_CODENAME:-}")
  folder=$(mktemp -d)
  mkdir -p "$folder/parts" "$folder/lists/partial" "$folder/cache/archives/partial"
  # The archive's paragraph (or line) of this release, for it and for trixie, whose version 12 needs no more than libc.
  { cat /etc/apt/sources.list.d/*.sources 2>/dev/null || true; } | awk -v RS= -v ORS='\n\n' -v release="$codename" '
    $0 ~ "(^|\n)Types:[^\n]*deb" && $0 ~ "(^|\n)Suites:([^\n]* )?" release "( |\n|$)" && /(^|\n)Components:[^\n]*main/ {
      sub(/Suites:[^\n]*/, "Suites: " release (release == "trixie" ? "" : " trixie"))
      sub(/Components:[^\n]*/, "Components: non-free")
      print
    }' >"$folder/parts/non-free.sources"
  { cat /etc/apt/sources.list /etc/apt/sources.list.d/*.list 2>/dev/null || true; } | awk -v release="$codename" '
    /^deb / && $0 ~ " " release " .*main" {
      sub(" " release " .*", " " release " non-free"); print
      if (release != "trixie") { sub(" " release " ", " trixie "); print }
    }' >"$folder/parts/non-free.list"
  local apt=("${as_root[@]}" apt-get -qq -o Dir::Etc::sourcelist=/dev/null -o "Dir::Etc::sourceparts=$folder/parts"
    -o "Dir::State::lists=$folder/lists" -o "Dir::Cache=$folder/cache" -o APT::Sandbox::User=root)
  if grep -q . "$folder"/parts/* && "${apt[@]}" update >/dev/null 2>&1 &&
    { "${apt[@]}" install -y --no-install-recommends libnvrtc12 || "${apt[@]}" install -y --no-install-recommends libnvrtc11.2; } >/dev/null 2>&1; then
    echo "setup: installed NVRTC for the test of the CUDA kernels" >&2
  else
    echo "setup: no NVRTC here (Debian: libnvrtc12 of the section non-free); the test that compiles the CUDA kernels is skipped" >&2
    { mkdir -p "$(dirname "$tried")" && touch "$tried"; } 2>/dev/null || true
  fi
  "${as_root[@]}" rm -rf "$folder"
}

missing=()
for package in "${packages[@]}"; do
  dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q '^install ok installed$' || missing+=("$package")
done
[ "${1:-}" != all ] || nvrtc_is_here || want_nvrtc=yes
if [ ${#missing[@]} -eq 0 ]; then
  [ -n "${want_nvrtc:-}" ] && command -v apt-get >/dev/null && [ "$(id -u)" -eq 0 ] || exit 0
fi

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

export DEBIAN_FRONTEND=noninteractive
if [ ${#missing[@]} -gt 0 ]; then
  echo "setup: installing ${missing[*]}" >&2
  install() { "${as_root[@]}" apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null; }
  "${as_root[@]}" apt-get update -qq
  install || { "${as_root[@]}" apt-get update -qq; install; }
fi
[ -z "${want_nvrtc:-}" ] || install_nvrtc
