"""Loading the operator library into PyTorch, after a check that it fits: a library of another libtorch would bring that libtorch along
and end the process."""
from __future__ import annotations

import re
import struct
import threading
from pathlib import Path

from .._errors import LongformerError
from .._paths import native_library

__all__ = ["library_path", "register"]

_lock = threading.Lock()
_loaded: Path | None = None


def library_path() -> Path:
    """The operator library that is, or would be, loaded."""
    return _loaded or native_library("liblongformer_ops.so")


def register() -> Path:
    """Loads the operators into PyTorch, if nothing did before, and gives the library's path.

    Raises:
        LongformerError: PyTorch is missing, or is not the libtorch that the library was built against.
    """
    global _loaded
    with _lock:
        if _loaded is not None:
            return _loaded
        try:
            import torch
        except ImportError as e:
            raise LongformerError(f"longformer_interop.torch needs PyTorch, which is not importable: {e}") from None
        path = native_library("liblongformer_ops.so")
        if not _registered(torch):
            _check(path, Path(torch.__file__).parent, torch.__version__)
            try:
                torch.ops.load_library(str(path))
            except OSError as e:
                raise LongformerError(_mismatch(path, torch.__version__, str(e))) from None
        _loaded = path
        return path


def _registered(torch: object) -> bool:
    # The C or the .NET side may have loaded the operators into the libtorch of this process; a second copy would end it.
    try:
        torch.ops.longformer.banded_attention  # type: ignore[attr-defined]  # noqa: B018
    except (AttributeError, RuntimeError):
        return False
    return True


def _check(path: Path, torch_folder: Path, version: str) -> None:
    """Refuses a library whose libtorch_cpu is another file than the one in this process, or of another version."""
    wanted = next((n for n in needed(path) if n.startswith("libtorch_cpu.so")), None)
    mapped = {Path(p).name: p for p in _mapped() if Path(p).name.startswith("libtorch_cpu.so")}
    if wanted is None or not mapped:
        return
    # A file libtorch_cpu.so.1.13.1 is loaded under the name libtorch_cpu.so.1.13.
    if not any(name == wanted or name.startswith(wanted + ".") for name in mapped):
        raise LongformerError(_mismatch(path, version, f"it is linked with {wanted}, this process runs {', '.join(mapped.values())}"))
    built = built_version(path)
    ours = ".".join(re.split(r"[.+]", version)[:2])
    if built is not None and built != ours:
        raise LongformerError(_mismatch(path, version, f"it was built against libtorch {built}"))


def _mismatch(path: Path, version: str, detail: str) -> str:
    return (
        f"{path} was not built for the PyTorch {version} of this Python: {detail}. "
        "Build it for this one: LIBTORCH=$(python -c 'import torch, os; print(os.path.dirname(torch.__file__))') make"
    )


def _mapped() -> list[str]:
    try:
        lines = Path("/proc/self/maps").read_text().splitlines()
    except OSError:
        return []
    return sorted({line.split(None, 5)[5] for line in lines if line.count(" ") and len(line.split(None, 5)) == 6})


def built_version(path: Path) -> str | None:
    """``major.minor`` of the libtorch that a library was built against, as its build left it in the file."""
    found = re.search(rb"longformer operators for libtorch (\d+\.\d+)", path.read_bytes())
    return found.group(1).decode() if found else None


def needed(path: Path) -> list[str]:
    """The names under DT_NEEDED of a 64-bit little-endian ELF file."""
    data = path.read_bytes()
    if data[:6] != b"\x7fELF\x02\x01":
        raise LongformerError(f"{path}: expected a 64-bit little-endian ELF file")
    (sections,) = struct.unpack_from("<Q", data, 40)
    size, count = struct.unpack_from("<HH", data, 58)
    headers = [struct.unpack_from("<IIQQQQIIQQ", data, sections + i * size) for i in range(count)]
    names: list[str] = []
    for header in headers:
        if header[1] != 6:  # SHT_DYNAMIC; its link is the section of its strings
            continue
        strings = headers[header[6]][4]
        for place in range(header[4], header[4] + header[5], 16):
            tag, value = struct.unpack_from("<QQ", data, place)
            if tag == 1:
                start = strings + value
                names.append(data[start : data.index(b"\0", start)].decode())
    return names
