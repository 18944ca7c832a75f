#!/usr/bin/env bash
# Puts TorchSharp's native library and links to libtorch where a program built in this clone finds them.
#   tools/torchsharp.sh LIBRARY FOLDER      LIBRARY as the package has it, FOLDER the program's runtimes/linux-x64/native
# TorchSharp is built with GCC 13: it asks for one symbol version that libstdc++ has since then (GLIBCXX_3.4.32), for a function that does nothing
# but be there. Where libstdc++ is older (Debian 12) a copy is mended: the symbol loses its version, the version becomes one that may be missing, and
# a library beside it defines the symbol. Newer systems take the file as it is.
set -euo pipefail
library=$(readlink -f "$1") folder=$(mkdir -p "$2" && cd "$2" && pwd)
cd "$(dirname "$0")/.."
libtorch=$(tools/libtorch.sh)
for file in "$libtorch"/*.so "$libtorch"/*.so.*; do
  [ ! -e "$file" ] || ln -sfn "$file" "$folder/$(basename "$file")"
done

version=GLIBCXX_3.4.32 symbol=_ZSt21ios_base_library_initv
if grep -qa "$version" "$(c++ -print-file-name=libstdc++.so.6)"; then
  cp --remove-destination "$library" "$folder/libLibTorchSharp.so"
  exit 0
fi
mended=build/torchsharp
if [ ! -f "$mended/libLibTorchSharp.so" ] || [ "$library" -nt "$mended/libLibTorchSharp.so" ]; then
  command -v patchelf >/dev/null || { echo "torchsharp: this system's libstdc++ is older than TorchSharp needs; install patchelf, which mends a copy (tools/setup.sh all)" >&2; exit 1; }
  part=$(mktemp -d)
  trap 'rm -rf "$part"' EXIT
  echo "void $symbol(void) {}" | cc -x c -shared -fPIC -Wl,-soname,libtorchsharp_compat.so -o "$part/libtorchsharp_compat.so" -
  cp "$library" "$part/libLibTorchSharp.so"
  patchelf --clear-symbol-version "$symbol" --add-needed libtorchsharp_compat.so "$part/libLibTorchSharp.so"
  python3 - "$part/libLibTorchSharp.so" "$version" <<'PYTHON'
import struct, sys
path, version = sys.argv[1], sys.argv[2].encode()
h = 0
for c in version:  # the hash of ELF
    h = (h << 4) + c
    h = (h ^ (h & 0xF0000000) >> 24) & 0x0FFFFFFF
data = bytearray(open(path, "rb").read())
at = data.find(struct.pack("<IH", h, 0))  # vna_hash, vna_flags of Elf64_Vernaux
assert at >= 0, f"{path} does not ask for {sys.argv[2]}"
struct.pack_into("<H", data, at + 4, 2)  # VER_FLG_WEAK
open(path, "wb").write(data)
PYTHON
  mkdir -p "$mended"
  mv "$part"/*.so "$mended/"
fi
cp --remove-destination "$mended"/*.so "$folder/"
