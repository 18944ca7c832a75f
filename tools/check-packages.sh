#!/usr/bin/env bash
# Installs each package of artifacts/ (tools/pack.sh) somewhere clean and runs the README's example with it. Needs root for what runs in other
# Debian root folders. The last line is "N passed, N failed".
#   tools/check-packages.sh [TRIXIE [SID]]     the two root folders, made where they are missing
set -euo pipefail
cd "$(dirname "$0")/.."
root=$PWD
trixie=${1:-${TRIXIE:?usage: tools/check-packages.sh TRIXIE SID}}
sid=${2:-${SID:?usage: tools/check-packages.sh TRIXIE SID}}
logs=$root/build/package-logs
. tools/counting.sh
# Programs for a root folder are below this tree, which is mounted there; the others far from it, since programs of a clone use its build.
inside=$root/build/packages
if [ -z "${PART:-}" ]; then
  work=$(mktemp -d)
  trap 'rm -rf "$work"' EXIT
  export WORK=$work
  rm -rf "$inside"
else
  work=${WORK:-$(mktemp -d)}
fi
mkdir -p "$inside"
libtorch=$(tools/libtorch.sh)
version=$(sed -nE 's:.*<Version>(.*)</Version>.*:\1:p' Directory.Build.props)
wheel=$(echo artifacts/longformer_interop-"$version"-py3-none-manylinux_2_34_x86_64.whl)
tarball=artifacts/longformer-$version-linux-x64.tar.gz

# Each check is a call of this script by itself, so that its first failure ends it.
example() { # language: the README's block in it
  awk -v fence="\`\`\`$1" '$0 == fence { inside = 1; next } /^```$/ { if (inside) exit } inside' README.md
}

# The examples read these: tiny checkpoints under the names used there, and a book.
desk() { # folder
  rm -rf "$1" && mkdir -p "$1"
  ./longformer random "$1/longformer-base-4096" --tokens 4096 --tokenizer parity-tests/goldens/tokenizer/roberta >/dev/null
  ./longformer random "$1/longformer-triviaqa" --tokens 4096 --head question-answering --tokenizer parity-tests/goldens/tokenizer/roberta >/dev/null
  head -c 3000 LICENSE > "$1/book.txt"
}

# Packages come from artifacts/ and from this machine's NuGet folder, and are installed into the work folder alone, so that a package
# of the same version from an earlier day is not taken.
nuget_config() { # folder
  cat > "$1/nuget.config" <<CONFIG
<configuration>
  <packageSources><add key="made here" value="$root/artifacts" /></packageSources>
  <fallbackPackageFolders><add key="machine" value="${NUGET_PACKAGES:-$HOME/.nuget/packages}" /></fallbackPackageFolders>
</configuration>
CONFIG
}

console_application() { # package...
  local folder=$work/console
  desk "$folder" && nuget_config "$folder"
  (
    cd "$folder"
    export NUGET_PACKAGES=$work/nuget
    SECONDS=0
    dotnet new console --no-restore >/dev/null
    for package in "$@"; do dotnet add package "$package"; done
    (cd "$root" && example csharp) > Program.cs
    cat Program.cs
    env -u LIBTORCH -u LONGFORMER_NATIVE_DIR dotnet run > output
    cat output
    echo "from an empty folder to the first embedding: $SECONDS s, the packages on this machine"
    [ "$(cat output)" -gt 0 ]
  )
}

nuget_with_libtorch() { console_application LongformerInterop-cpu; }
nuget_and_libtorch() { console_application LongformerInterop libtorch-cpu-linux-x64; }

recipe() { # number: its block in docs/dotnet.md
  awk -v title="## $1. " 'index($0, title) == 1 { here = 1 } here && /^```csharp$/ { inside = 1; next } /^```$/ { if (inside) exit } inside' docs/dotnet.md
}

# A console application with a recipe of docs/dotnet.md as its program.
recipe_application() { # number package...
  local folder=$work/recipe$1 number=$1 library
  shift
  desk "$folder" && nuget_config "$folder"
  (
    cd "$folder"
    export NUGET_PACKAGES=$work/nuget
    dotnet new console --no-restore >/dev/null
    for package in "$@"; do dotnet add package "$package"; done
    (cd "$root" && recipe "$number") > Program.cs
    cat Program.cs
    dotnet build -o built
    # TorchSharp's own library, mended where this system needs it.
    library=$(find built -path '*linux-x64*' -name libLibTorchSharp.so)
    [ -z "$library" ] || { cp "$library" original.so && "$root/tools/torchsharp.sh" "$PWD/original.so" "$PWD/$(dirname "$library")"; }
    env -u LIBTORCH -u LONGFORMER_NATIVE_DIR dotnet "built/recipe$number.dll" | tee output
    [ -s output ]
  )
}

nuget_extensions() { recipe_application 4 LongformerInterop-cpu LongformerInterop.Extensions Microsoft.Extensions.Hosting; }
nuget_torchsharp() { recipe_application 10 LongformerInterop-cpu LongformerInterop.TorchSharp; }

# A page in the form that the model in the box reads.
page() { # file
  printf 'FROB(1)    General Commands Manual    FROB(1)\n\nDESCRIPTION\n       Frob converts sound files.\n' > "$1"
}

nuget_default_model() {
  local folder=$work/default-model
  rm -rf "$folder" && mkdir -p "$folder" && nuget_config "$folder" && page "$folder/page.txt"
  (
    cd "$folder"
    export NUGET_PACKAGES=$work/nuget
    dotnet new console --no-restore >/dev/null
    for package in LongformerInterop-cpu LongformerInterop.DefaultModel; do dotnet add package "$package"; done
    cat > Program.cs <<'CSHARP'
using LongformerInterop.Tasks;
using Summarizer summarizer = Summarizer.Load();
Console.WriteLine(summarizer.Summarize(File.ReadAllText("page.txt")));
using DocumentEncoder encoder = DocumentEncoder.Load();
Console.WriteLine(encoder.Encode(["convert sound"])[0].Length);
CSHARP
    dotnet publish -o published
    env -u LIBTORCH -u LONGFORMER_NATIVE_DIR -u LONGFORMER_DEFAULT_MODEL dotnet published/default-model.dll | tee output
    [ "$(wc -l < output)" -ge 2 ] && [ "$(tail -n 1 output)" -gt 0 ]
  )
}

symbols() { tools/symbols.sh artifacts/liblongformer_ops.so artifacts/liblongformer.so.1; }

tool() {
  desk "$work/tool" && nuget_config "$work/tool"
  (
    cd "$work/tool"
    export NUGET_PACKAGES=$work/nuget
    dotnet tool install --tool-path installed LongformerInterop.Cli --version "$version"
    LIBTORCH=$libtorch installed/longformer info longformer-base-4096
    LIBTORCH=$libtorch installed/longformer encode longformer-base-4096 --input book.txt --output vectors.npy
    if [ -f "$root/models/default/config.json" ]; then
      page page.txt
      env -u LONGFORMER_DEFAULT_MODEL LIBTORCH="$libtorch" installed/longformer summarize --input page.txt
      env -u LONGFORMER_DEFAULT_MODEL LIBTORCH="$libtorch" installed/longformer search --corpus page.txt --index page.lfindex --question sound
    fi
    # Without a libtorch one line that says so.
    if installed/longformer encode longformer-base-4096 --input book.txt --output vectors.npy 2> refused; then exit 1; fi
    cat refused
    grep -q LIBTORCH refused && [ "$(wc -l < refused)" -eq 1 ]
  )
}

python_without_torch() {
  desk "$work/python"
  /usr/bin/python3 -m venv "$work/python/venv"
  local python=$work/python/venv/bin/python site
  "$python" -m pip --quiet --disable-pip-version-check install --no-index --no-deps "$wheel"
  # numpy is Debian's, and nothing else of Debian's Python is seen.
  site=$("$python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
  ln -s "$(/usr/bin/python3 -c 'import numpy, os; print(os.path.dirname(numpy.__file__))')" "$site/numpy"
  example python > "$work/python/example.py"
  (
    cd "$work/python"
    if "$python" -c 'import torch' 2>/dev/null; then echo "expected a Python without torch"; exit 1; fi
    LIBTORCH=$libtorch "$python" example.py | tee output
    [ "$(wc -l < output)" -ge 3 ]
    if [ -f "$root/models/default/config.json" ]; then
      page page.txt
      env -u LONGFORMER_DEFAULT_MODEL LIBTORCH="$libtorch" "$python" -c '
import longformer_interop as lf
with lf.Summarizer.load() as led:
    print(led.summarize(open("page.txt").read()))'
    fi
  )
}

python_beside_torch() {
  desk "$inside/beside"
  .venv/bin/python -m pip --quiet --disable-pip-version-check install --no-index --no-deps --target "$inside/beside/site" "$wheel"
  example python > "$inside/beside/example.py"
  cat > "$inside/beside/torch_example.py" <<'PYTHON'
import torch
import longformer_interop as lf
import longformer_interop.torch as lt
from transformers import LongformerConfig, LongformerModel

assert "/site/" in lf.__file__, lf.__file__
torch.manual_seed(0)
model = LongformerModel(LongformerConfig(vocab_size=99, hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=64, attention_window=8)).eval()
ids = torch.randint(3, 99, (1, 100))
with torch.no_grad():
    before = model(ids).last_hidden_state
    after = lt.accelerate(model)(ids).last_hidden_state
print("PyTorch", torch.__version__, "largest difference", (before - after).abs().max().item())
assert torch.allclose(before, after, atol=1e-5)
PYTHON
  (
    cd "$inside/beside"
    "$root/tools/in-root.sh" "$sid" env PYTHONPATH=site python3 example.py | tee output
    [ "$(wc -l < output)" -ge 3 ]
    "$root/tools/in-root.sh" "$sid" env PYTHONPATH=site HF_HUB_OFFLINE=1 python3 torch_example.py
  )
}

c_in_another_release() {
  # Unpacked below another name, since it may be moved.
  desk "$inside/c"
  tar -C "$inside/c" -xzf "$tarball"
  mv "$inside/c/longformer-$version-linux-x64" "$inside/c/moved"
  example c > "$inside/c/example.c"
  (
    cd "$inside/c"
    in_root() { "$root/tools/in-root.sh" "$trixie" env LIBTORCH="$libtorch" "$@"; }
    in_root cmake -S moved/share/longformer/examples -B examples -DCMAKE_PREFIX_PATH="$PWD/moved" -DCMAKE_BUILD_TYPE=Release
    in_root cmake --build examples
    in_root examples/encode longformer-base-4096 book.txt
    if [ -f "$root/models/default/config.json" ]; then
      page page.txt
      in_root env -u LONGFORMER_DEFAULT_MODEL examples/summarize "$(cat page.txt)"
    fi
    in_root examples/answer longformer-triviaqa "Who wrote it?" "$(head -c 500 book.txt)"
    in_root sh -c 'cc example.c $(PKG_CONFIG_PATH=moved/lib/pkgconfig pkg-config --cflags --libs longformer) -o example && ./example'
  )
}

if [ -n "${PART:-}" ]; then
  $PART
  exit
fi

tools/root-folder.sh "$trixie" trixie gcc g++ cmake make pkgconf
tools/root-folder.sh "$sid" sid python3-torch python3-transformers python3-numpy libopenblas0-pthread
export TRIXIE=$trixie SID=$sid
default_model=
[ ! -f models/default/config.json ] || default_model=nuget_default_model
for part in symbols nuget_with_libtorch nuget_and_libtorch $default_model nuget_extensions nuget_torchsharp tool python_without_torch python_beside_torch c_in_another_release; do
  check $part env PART=$part tools/check-packages.sh
done
close
