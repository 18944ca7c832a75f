"""Starting .NET inside Python, once, with everything of this project in it."""
from __future__ import annotations

import atexit
import ctypes
import functools
import gc
import os
import sys
import threading
from pathlib import Path
from typing import Any

from .. import _libtorch
from .._errors import CheckpointError, DeviceError, InputError, LongformerError
from .._fork import STATE, refuse_in_child, watch
from .._paths import NATIVE_VARIABLE, assemblies, native_library

__all__ = ["Net", "start", "torchsharp", "translated"]

_lock = threading.Lock()
_net: Net | None = None


class Net:
    """The .NET side: the namespace ``LongformerInterop`` and the types that this backend uses."""

    def __init__(self, namespace: Any, system: Any, bridge: Any, exception: type[BaseException]) -> None:
        self.namespace = namespace
        self.system = system
        self.bridge = bridge
        self.exception = exception


def start() -> Net:
    """Loads .NET (10 or later) and the assemblies at the first call.

    Raises:
        LongformerError: pythonnet or .NET is missing, or another runtime is loaded already, or this is a forked child; the message says what
            to do.
    """
    global _net
    refuse_in_child()
    if _net is None:
        with _lock:
            if _net is None:
                _net = _start()
    return _net


def _start() -> Net:
    try:
        import clr_loader
        import pythonnet
    except ImportError as e:
        raise LongformerError(f"this backend needs pythonnet, which is not installed ({e}): pip install longformer-interop[clr]") from None
    folder = assemblies()
    # .NET looks for native libraries beside its own program, which is Python here.
    os.environ.setdefault(NATIVE_VARIABLE, str(native_library("liblongformer_ops.so").parent))
    _libtorch.load()
    watch()
    running = pythonnet.get_runtime_info()
    if running is None:
        try:
            runtime = clr_loader.get_coreclr(runtime_config=Path(__file__).with_name("runtimeconfig.json"))
            pythonnet.load(runtime)
            # A full shutdown at exit takes seconds, and the process ends anyway.
            atexit.unregister(pythonnet.unload)
        except Exception as e:
            raise LongformerError(f".NET 10 could not be started: {type(e).__name__}: {e}. Is the .NET runtime installed, or DOTNET_ROOT set?") from e
    elif running.kind != "CoreCLR":
        raise LongformerError(f"pythonnet already runs {running.kind} in this process; this package needs CoreCLR: import it first")
    import clr

    for file in sorted(folder.glob("*.dll")):
        clr.AddReference(str(file))
    import LongformerInterop
    import System
    from LongformerInterop import PythonNet

    if hasattr(os, "register_at_fork"):
        # Looked up here, since asking .NET in the child is what must not be.
        os.register_at_fork(after_in_child=functools.partial(_let_be, type(System.Object), type(System)))
    return Net(LongformerInterop, System, PythonNet, System.Exception)


def _let_be(type_of_types: type, type_of_namespaces: type) -> None:
    """Keeps Python from traversing or freeing a .NET object in a forked child: each is a call into .NET, which is half there.

    After some dozens of calls .NET compiles a method anew in a thread of its own; in the child that ended with a segmentation fault, seen when
    Python collected garbage there.
    """
    objects = [it for it in gc.get_objects() if type(type(it)) is type_of_types]
    namespaces = [it for it in sys.modules.values() if type(it) is type_of_namespaces]
    # Held once more than anything counts, so that it outlives the interpreter.
    ctypes.pythonapi.Py_IncRef(ctypes.py_object([_net, objects, namespaces]))
    gc.freeze()


#: TorchSharp's assemblies, ours over it last.
_TORCHSHARP = ("Google.Protobuf.dll", "ICSharpCode.SharpZipLib.dll", "SkiaSharp.dll", "TorchSharp.dll", "LongformerInterop.TorchSharp.dll")


def torchsharp(folder: Path) -> Any:
    """Loads TorchSharp and our modules over it from a program's folder, and gives the namespace of the modules."""
    net = start()
    missing = [name for name in _TORCHSHARP[-2:] if not (folder / name).is_file()]
    if missing:
        raise LongformerError(f"{folder}: expected the folder of a built .NET program with TorchSharp, given one without {' and '.join(missing)}")
    import clr

    for name in _TORCHSHARP:
        if (folder / name).is_file():
            clr.AddReference(str(folder.resolve() / name))
    return net.namespace.TorchSharp


_KINDS = {
    "CheckpointException": CheckpointError,
    "TokenizerException": CheckpointError,
    "TokenizerInputException": InputError,
    "InputException": InputError,
    "DivergedException": InputError,
    "DeviceException": DeviceError,
}


class translated:  # noqa: N801 - reads as a word where it is used
    """Turns .NET exceptions into those of this package."""

    def __init__(self, net: Net) -> None:
        self._exception = net.exception

    def __enter__(self) -> None:
        if STATE.forked:
            refuse_in_child()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if error is None or not isinstance(error, self._exception):
            return
        name = type(error).__name__
        message = str(getattr(error, "Message", error))
        if name in ("OverflowException", "ArgumentException", "ArgumentOutOfRangeException", "ArgumentNullException"):
            raise InputError(message) from None
        if name in ("DirectoryNotFoundException", "FileNotFoundException"):
            raise CheckpointError(message) from None
        made = _KINDS.get(name, LongformerError)(message)
        if isinstance(made, InputError):
            place = getattr(error, "Argument", None)
            index = [int(i) for i in place.Index] if place is not None else []
            made._with(place and str(place.Name), index[0] if index else -1, _text(error, "Expected"), _text(error, "Given"))
        raise made from None


def _text(error: object, name: str) -> str | None:
    value = getattr(error, name, None)
    return None if value is None else str(value)


def copy_variable(name: str) -> None:
    """Gives .NET a variable of the environment as it is now: it has a copy of what there was when it began."""
    from System import Environment

    Environment.SetEnvironmentVariable(name, os.environ.get(name))
