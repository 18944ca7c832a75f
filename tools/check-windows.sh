#!/usr/bin/env bash
# Builds the operators with MinGW, publishes the command line and the unit tests as Windows programs, and runs them and every golden under
# Wine, with NuGet's libtorch for Windows. Needs root. The last line is "N passed, N failed".
#   tools/check-windows.sh DIR [TEST...]     DIR: a Debian trixie root folder, made where it is missing, for its Wine 10: under Debian 12's
#                                            Wine 8 an exception hangs or ends the .NET runtime. TEST: only these, such as Torch.Tests or parity
# The C library is not built for Windows: NativeAOT compiles for Windows on Windows alone.
set -euo pipefail
usage="usage: tools/check-windows.sh DIR [TEST...]"
dir=${1:?$usage}
shift
cd "$(dirname "$0")/.."
tests=("$@")
[ ${#tests[@]} -gt 0 ] || tests=(Tokenizers.Tests Torch.Tests Checkpoints.Tests Models.Tests Tasks.Tests Training.Tests parity)
build=build/windows
logs=$build/logs
. tools/counting.sh

if [ "${INSIDE_ROOT:-}" = yes ]; then
  # Here the shell runs in the root folder, with this tree at its own path.
  windows() { printf 'Z:%s' "$PWD/$1" | tr / '\\'; }
  # Wine has no GetNumaNodeProcessorMaskEx, which Intel's OpenMP asks for where it is to bind threads to processors.
  export WINEDEBUG=-all KMP_AFFINITY=disabled LONGFORMER_NATIVE_DIR LIBTORCH
  # Wine 10 loses the upper halves of 64-byte registers where .NET stops a thread to collect garbage: of strings that were copied while others
  # collected, one in seven had 16 characters of zero.
  export DOTNET_EnableAVX512=0
  # Wine does not ask Linux for the tile registers of AMX, which the oneDNN in libtorch uses where the processor has them: an illegal instruction.
  export ONEDNN_MAX_CPU_ISA=AVX512_CORE_BF16
  LONGFORMER_NATIVE_DIR=$(windows $build/artifacts)
  LIBTORCH=$(printf 'Z:%s' "$(readlink -f build/libtorch-win-x64)" | tr / '\\')
  wineboot --init >/dev/null 2>&1
  # As .NET 10 asks for.
  wine reg add 'HKCU\Software\Wine' /v Version /d win10 /f >/dev/null 2>&1
  for name in "${tests[@]}"; do
    case $name in
      parity) counted parity parity_counts wine $build/out/longformer.exe parity --attention all "$(windows parity-tests/goldens)" ;;
      *)
        counted "$name" platform_counts wine "$build/out/LongformerInterop.$name.exe" --no-ansi --progress off
        grep -aE '^skipped ' "$logs/$name.log" || true
        ;;
    esac
  done
  wineserver -k
  close
  exit
fi

tools/root-folder.sh "$dir" trixie wine wine64
tools/libtorch.sh win-x64 >/dev/null

tools/windows-ops.sh

publish() { # project: all of them into one folder, since they bring the same runtime
  dotnet publish "$1" -r win-x64 --self-contained -p:ArtifactsPath="$PWD/$build" -o $build/out -v quiet --nologo
}
for name in "${tests[@]}"; do
  case $name in
    parity) publish src/Cli ;;
    *) publish "tests/$name" ;;
  esac
done
INSIDE_ROOT=yes exec tools/in-root.sh "$dir" tools/check-windows.sh "$dir" "${tests[@]}"
