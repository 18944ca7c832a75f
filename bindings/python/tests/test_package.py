"""The package as such: import time, types, examples, signatures against the header, the wheel."""
from __future__ import annotations

import doctest
import importlib.util
import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1]
ROOT = PACKAGE.parents[1]


def test_importing_is_quick_and_loads_nothing():
    code = (
        "import time; t = time.perf_counter(); import longformer_interop; t = time.perf_counter() - t\n"
        "import sys; print(t); print('numpy' in sys.modules, any('libtorch' in line for line in open('/proc/self/maps')))"
    )
    best = 9.0
    for _ in range(10):
        seconds, loaded = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True, env={"PYTHONPATH": str(PACKAGE)}
        ).stdout.splitlines()
        best = min(best, float(seconds))
        assert loaded == "False False"
    assert best < 0.15


def test_every_public_name_is_there(lf):
    for name in lf.__all__:
        if name != "net":
            assert getattr(lf, name) is not None
    assert set(lf.__all__) <= set(dir(lf)) | {"net"}
    with pytest.raises(AttributeError, match="no_such_name"):
        lf.no_such_name  # noqa: B018


def test_the_backends_offer_the_same():
    c = importlib.import_module("longformer_interop")
    clr = importlib.import_module("longformer_interop.clr")
    assert set(clr.__all__) == set(c.__all__) | {"net", "to_net", "from_net", "torchsharp"}
    assert c.InputError is clr.InputError and issubclass(clr.DocumentEncoder, c.DocumentEncoder)


def test_types_are_checked_by_mypy():
    pytest.importorskip("mypy", reason="mypy is not installed")
    run = subprocess.run(
        [sys.executable, "-m", "mypy", "--cache-dir", str(ROOT / "build" / "python" / "mypy")], capture_output=True, text=True, cwd=ROOT, timeout=300
    )
    assert run.returncode == 0, run.stdout + run.stderr
    assert (PACKAGE / "longformer_interop" / "py.typed").exists()


MODULES = [
    "", "._attention", "._character", "._errors", "._files", "._model", "._options", "._results", "._runtime", "._search", "._summarizer", "._tasks", "._tokenizer", "._training",
    "._workers",
]  # fmt: skip


@pytest.mark.parametrize("module", MODULES)
def test_the_examples_of_the_documentation_run(lf, models, module, tmp_path):
    target = importlib.import_module("longformer_interop" + module)
    names = vars(target) | {"lf": lf, "models": models, "tmp_path": tmp_path}
    results = doctest.testmod(target, extraglobs=names, optionflags=doctest.NORMALIZE_WHITESPACE)
    assert results.failed == 0
    assert results.attempted > 0 or module == "._runtime"


def test_the_tables_of_the_cost_page_are_what_its_script_prints():
    printed = subprocess.run([sys.executable, str(ROOT / "benchmarks" / "cost.py")], capture_output=True, text=True, check=True).stdout
    page = (ROOT / "docs" / "scale-cost.md").read_text()
    rows = [line for line in printed.splitlines() if line.startswith("|")]
    assert len(rows) == 16 and [row for row in rows if row not in page] == []


def test_the_signatures_are_those_of_the_header():
    from longformer_interop._capi.library import ABI_VERSION, DTYPES, SIGNATURES

    header = (ROOT / "bindings" / "c" / "include" / "longformer.h").read_text()
    text = re.sub(r"/\*.*?\*/", "", header, flags=re.S)
    found = {}
    for name, arguments in re.findall(r"LF_API lf_status (lf_\w+)\((.*?)\);", text, flags=re.S):
        # A function pointer has commas of its own.
        arguments = re.sub(r"void \(\*(\w+)\)\([^)]*\)", r"void* \1", arguments)
        found[name] = "" if arguments.strip() == "void" else "".join(map(letter, arguments.split(",")))
    assert {name: found.get(name) for name in SIGNATURES} == SIGNATURES
    assert f"#define LF_ABI_VERSION {ABI_VERSION}\n" in header
    for name, number in DTYPES.items():
        assert re.search(rf"LF_{name.upper()} = {number}\b", header), name


def letter(argument: str) -> str:
    argument = " ".join(argument.split())
    if re.fullmatch(r"const char\* \w+", argument):
        return "s"
    if "*" in argument or "_callback" in argument:
        return "p"
    kind = argument.split()[0]
    return {"size_t": "z", "int64_t": "l", "int32_t": "i", "double": "d", "lf_dtype": "i", "lf_offsets": "i", "lf_log_level": "i"}[kind]


def test_the_wheel_holds_everything_and_works_elsewhere(tmp_path, models):
    if not (ROOT / "artifacts" / "liblongformer.so").exists():
        pytest.skip("the C library is not built")
    # Only looked for: importing setuptools fails where distutils is imported already.
    for module in ("pip", "setuptools"):
        if importlib.util.find_spec(module) is None:
            pytest.skip(f"{module} is not installed")
    python = sys.executable
    build = [python, "-m", "pip", "--quiet", "--disable-pip-version-check", "wheel", "--no-index", "--no-build-isolation", "--no-deps"]
    subprocess.run([*build, "--wheel-dir", str(tmp_path), str(ROOT)], check=True, capture_output=True, timeout=300)
    [wheel] = tmp_path.glob("longformer_interop-*.whl")
    assert "-py3-none-manylinux_2_34_x86_64" in wheel.name
    names = zipfile.ZipFile(wheel).namelist()
    for file in ("_native/liblongformer.so", "_native/liblongformer_ops.so", "_net/LongformerInterop.PythonNet.dll", "py.typed", "clr/runtimeconfig.json"):
        assert f"longformer_interop/{file}" in names
    place = tmp_path / "site"
    zipfile.ZipFile(wheel).extractall(place)
    code = (
        f"import sys; sys.path[:] = [{str(place)!r}] + [p for p in sys.path if 'bindings/python' not in p]\n"
        f"import longformer_interop as lf; assert lf.__file__.startswith({str(place)!r})\n"
        f"print(lf.DocumentEncoder.load({str(models / 'encoder')!r}).encode('text').shape)"
    )
    # As a user has it: no setting names a folder of the clone, but a libtorch where neither this Python nor the system has one.
    environment = {name: value for name, value in os.environ.items() if name != "LONGFORMER_NATIVE_DIR"}
    environment.setdefault("LIBTORCH", str(ROOT / "artifacts" / "libtorch"))
    run = subprocess.run([python, "-c", code], capture_output=True, text=True, timeout=300, cwd=tmp_path, env=environment)
    assert run.stdout == "(64,)\n", run.stderr
