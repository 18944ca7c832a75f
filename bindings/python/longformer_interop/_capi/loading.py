"""What several parts of this backend do alike: loading a handle, and the options of calls that take settings by name."""
from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .._options import LoadOptions
from .._watch import Watch
from .library import library, utf8
from .objects import Options, handle

__all__ = ["load_handle", "settings_of"]


def load_handle(function: str, folder: str | None, options: LoadOptions) -> int:
    lib = library()
    chosen = handle(lib.lf_load_options_create)
    try:
        flags = {"trainable": options.trainable or None, "tf32": options.tf32}
        switches = [(name, None if flag is None else "true" if flag else "false") for name, flag in flags.items()]
        for name, value in (("device", options.device), ("dtype", options.dtype), ("attention", options.attention), *switches):
            if value is not None:
                lib.lf_load_options_set(chosen, name.encode(), utf8(value, name))
        return handle(getattr(lib, function), None if folder is None else utf8(folder, "folder"), chosen)
    finally:
        lib.lf_load_options_free(chosen)


def settings_of(given: Mapping[str, Any], watch: Watch) -> Options:
    """The settings of a training. One that holds several texts is put once for each."""
    chosen = Options(watch=watch)
    for name, value in given.items():
        for one in [value] if not isinstance(value, list) else value:
            chosen.put(name, one)
    return chosen
