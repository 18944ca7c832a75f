"""Which libtorch the package takes: the one of this process, LIBTORCH, the torch package of this Python, one beside the library; or why none."""
from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from pytorch import pytorch

ROOT = Path(__file__).resolve().parents[1]

SHOW = """
import os
from pathlib import Path
print(sorted({os.path.realpath(line.split()[-1]) for line in open("/proc/self/maps") if "libtorch_cpu.so" in line}))
"""


def run(code: str, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if name != "LIBTORCH"} | variables
    text = f"import sys; sys.path.insert(0, {str(ROOT)!r})\n{code}"
    return subprocess.run([sys.executable, "-W", "ignore", "-c", text], capture_output=True, text=True, timeout=120, env=environment)


@pytest.mark.parametrize("order", ["before", "after"])
def test_torch_and_the_library_share_one_libtorch_whichever_comes_first(order):
    pytorch()
    ours = "import longformer_interop as lf; import numpy as np; x = np.ones((1, 4, 2, 2), 'f'); y = lf.banded_attention(x, x, x, 1)\n"
    theirs = "import torch; t = (torch.ones(3, 3) @ torch.ones(3, 3)).sum().item()\n"
    done = run((theirs + ours if order == "before" else ours + theirs) + SHOW + "print(t, float(y.sum()), torch.__version__.split('+')[0] == lf.torch_version())")
    assert done.returncode == 0, done
    files, values = done.stdout.splitlines()[-2:]
    assert len(eval(files)) == 1 and values.startswith("27.0 16.0"), done
    import torch

    assert Path(eval(files)[0]).samefile(Path(torch.__file__).parent / "lib" / "libtorch_cpu.so")


def test_the_operators_of_torch_and_the_library_are_of_one_registration():
    pytorch()
    code = (
        "import longformer_interop as lf; import numpy as np; x = np.ones((1, 4, 2, 2), 'f'); y = lf.banded_attention(x, x, x, 1)\n"
        "import torch, longformer_interop.torch as lt; q = torch.from_numpy(x).requires_grad_(); z = lt.banded_attention(q, q, q, 1)\n"
        "z.sum().backward(); print(np.array_equal(y, z.detach().numpy()), tuple(q.grad.shape))"
    )
    done = run(code)
    assert done.stdout.splitlines()[-1:] == ["True (1, 4, 2, 2)"], done


def test_a_torch_package_is_found_without_importing_it(tmp_path):
    # The stand-in for the package cannot be imported, and its libtorch cannot be loaded: the message names the file.
    library = tmp_path / "torch" / "lib" / "libtorch_cpu.so"
    library.parent.mkdir(parents=True)
    library.write_bytes(b"no library")
    (tmp_path / "torch" / "__init__.py").write_text("raise ImportError('imported')")
    done = run(f"sys.path.insert(0, {str(tmp_path)!r})\nimport longformer_interop as lf\ntry:\n lf.get_threads()\nexcept lf.LongformerError as e: print(e)")
    assert f"libtorch cannot be loaded from {library}" in done.stdout and "LIBTORCH" in done.stdout, done


def test_a_torch_package_that_is_too_old_is_passed_over(tmp_path):
    library = tmp_path / "torch" / "lib" / "libtorch_cpu.so"
    library.parent.mkdir(parents=True)
    library.write_bytes(b"no library")
    (tmp_path / "torch" / "__init__.py").write_text("raise ImportError('imported')")
    (tmp_path / "torch" / "version.py").write_text("__version__ = '1.13.1'\n")
    code = f"sys.path.insert(0, {str(tmp_path)!r})\nfrom longformer_interop import _libtorch as l\nl.load(); print(l.is_too_old(l.package_libtorch())); print(l.without())"
    done = run(code)
    assert done.returncode == 0, done
    old, message = done.stdout.splitlines()
    assert old == "True" and "1.13.1" in message and "2.10 or later" in message and str(tmp_path) in message


@pytest.mark.parametrize("what", ["a file", "an empty folder", "nothing"])
def test_libtorch_that_names_none_is_an_error_that_names_it(tmp_path, what):
    place = tmp_path / "place"
    if what == "a file":
        place.write_text("")
    elif what == "an empty folder":
        place.mkdir()
    done = run("import longformer_interop as lf\ntry:\n lf.get_threads()\nexcept lf.LongformerError as e: print(e)", LIBTORCH=str(place))
    assert "LIBTORCH" in done.stdout and str(place) in done.stdout, done


def test_without_any_the_message_lists_the_places(tmp_path):
    from longformer_interop._paths import native_library

    # The libraries alone, with nothing beside them, and a Python that has no torch.
    for file in ("liblongformer.so", "liblongformer_ops.so"):
        shutil.copy(native_library(file), tmp_path / file)
    code = (
        "import importlib.util as u; find = u.find_spec\nu.find_spec = lambda name, *a: None if name == 'torch' else find(name, *a)\n"
        "import longformer_interop as lf\ntry:\n lf.get_threads()\nexcept lf.LongformerError as e: print(e)"
    )
    done = run(code, LONGFORMER_NATIVE_DIR=str(tmp_path))
    assert str(tmp_path) in done.stdout and "package torch" in done.stdout and "longformer-interop[torch]" in done.stdout, done
