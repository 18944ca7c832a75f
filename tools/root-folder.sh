#!/usr/bin/env bash
# Makes a Debian root folder of another release, for what is tested outside this machine's own Debian. Needs root; the folder is kept.
#   tools/root-folder.sh DIR RELEASE [PACKAGE...]   makes it, or adds the packages that it lacks; quick where nothing is missing
set -euo pipefail
dir=${1:?usage: tools/root-folder.sh DIR RELEASE [PACKAGE...]}
release=${2:?usage: tools/root-folder.sh DIR RELEASE [PACKAGE...]}
shift 2
[ "$(id -u)" = 0 ] || { echo "root-folder: making a root folder needs root; run it with sudo" >&2; exit 1; }

if [ ! -x "$dir/usr/bin/apt-get" ]; then
  command -v debootstrap >/dev/null || { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends debootstrap >/dev/null; }
  # The archive that this machine's own packages come from.
  mirror=${DEBIAN_MIRROR:-$(sed -nE 's/^(URIs:|deb) *(\[[^]]*\] *)?(https?:[^ ]*debian\/?)( .*)?$/\3/p' \
    /etc/apt/sources.list /etc/apt/sources.list.d/*.sources /etc/apt/sources.list.d/*.list 2>/dev/null | head -1 || true)}
  [ -n "$mirror" ] || { echo "root-folder: no Debian archive in /etc/apt; set DEBIAN_MIRROR" >&2; exit 1; }
  echo "root-folder: making $dir, Debian $release" >&2
  log=$(mktemp)
  # The remains of a run that was cut off are no root folder.
  rm -rf "${dir:?}.part"
  mkdir -p "$dir.part"
  debootstrap --variant=minbase --include=ca-certificates "$release" "$dir.part" "$mirror" >"$log" 2>&1 || { tail -20 "$log" >&2; exit 1; }
  rm -rf "${dir:?}" "$log"
  mv "$dir.part" "$dir"
fi

missing=()
for package in "$@"; do
  chroot "$dir" dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q '^install ok installed$' || missing+=("$package")
done
[ ${#missing[@]} -eq 0 ] && exit 0
echo "root-folder: installing ${missing[*]} in $dir" >&2
install() {
  # Sid's lists are often older than their own date says.
  "$(dirname "$0")/in-root.sh" "$dir" bash -c 'apt-get -o Acquire::Check-Valid-Until=false update -qq &&
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@"' - "${missing[@]}" >"$dir/var/log/longformer.log" 2>&1
}
install || install || { tail -20 "$dir/var/log/longformer.log" >&2; exit 1; }
