#!/usr/bin/env bash
# Runs a command inside a Debian root folder (tools/root-folder.sh), in the folder it is called from. This tree, NuGet's packages and .NET
# are there at their own paths. The mounts belong to this call alone and go with it, so that the folder can be removed at any time.
#   tools/in-root.sh DIR COMMAND [ARGUMENT...]
set -euo pipefail
dir=$(realpath "${1:?usage: tools/in-root.sh DIR COMMAND...}")
shift
root=$(realpath "$(dirname "$0")/..")
packages=${NUGET_PACKAGES:-$HOME/.nuget/packages}
dotnet=$(dirname "$(realpath "$(command -v dotnet || echo /nowhere/dotnet)")")
[ "$(id -u)" = 0 ] || { echo "in-root: chroot needs root; run it with sudo" >&2; exit 1; }
for shared in "$root" "$packages" "$dotnet"; do
  [ ! -d "$shared" ] || mkdir -p "$dir$shared"
done
exec unshare --mount --propagation private bash -c '
  dir=$1 root=$2 packages=$3 dotnet=$4 here=$PWD
  shift 4
  for system in proc sys dev; do mount --rbind "/$system" "$dir/$system"; done
  for shared in "$root" "$packages" "$dotnet"; do [ ! -d "$shared" ] || mount --bind "$shared" "$dir$shared"; done
  [ -d "$dir$here" ] || here=/
  exec chroot "$dir" env HOME=/root LC_ALL=C.UTF-8 DOTNET_ROOT="$dotnet" DOTNET_SYSTEM_GLOBALIZATION_INVARIANT=1 \
    PATH="/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:$dotnet" sh -c "cd \"\$0\" && exec \"\$@\"" "$here" "$@"
' in-root "$dir" "$root" "$packages" "$dotnet" "$@"
