"""Measures the cost of a Python call over the C call that it makes, and of importing. Prints minima in microseconds.

    OMP_NUM_THREADS=1 .venv/bin/python bindings/python/tests/overhead.py CHECKPOINT
"""
from __future__ import annotations

import ctypes
import subprocess
import sys
import time

import longformer_interop as lf
from longformer_interop._capi.library import library


def least(*calls, rounds=2000):
    """The least time of each call, in turn, in microseconds of this thread: others on the machine do not count."""
    best = [float("inf")] * len(calls)
    for _ in range(rounds):
        for i, call in enumerate(calls):
            begin = time.thread_time()
            call()
            best[i] = min(best[i], time.thread_time() - begin)
    return [b * 1e6 for b in best]


def main(folder: str) -> None:
    code = "import time; t = time.perf_counter(); import longformer_interop; print(time.perf_counter() - t)"
    imports = [float(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout) for _ in range(7)]
    print(f"import longformer_interop        {min(imports) * 1e3:8.2f} ms")

    lib = library()
    encoder = lf.DocumentEncoder.load(folder)
    text = b"a"
    texts, lengths, out = (ctypes.c_char_p * 1)(text), (ctypes.c_size_t * 1)(1), ctypes.c_void_p()
    values = (ctypes.c_float * encoder.hidden_size)()
    handle = encoder._native._handle

    def tensor() -> None:
        lib.lf_document_encoder_encode(handle, texts, lengths, 1, None, ctypes.byref(out), None)
        lib.lf_tensor_free(out)

    def into() -> None:
        lib.lf_document_encoder_encode_into(handle, texts, lengths, 1, None, values, len(values), None)

    # Each C call in its own run with the Python call: what came before decides what is in the caches.
    for name, plain in (("lf_document_encoder_encode_into", into), ("lf_document_encoder_encode and free", tensor)):
        plain()
        encoder.encode(["a"])
        c, python = least(plain, lambda: encoder.encode(["a"]))
        print(f"{name:<36} {c:8.1f} us, encode(['a']) {python:8.1f} us  (+{python - c:.1f})")

    # The same with a copy in place of the model's work, which pushes Python's own out of the caches: what Python itself does.
    def copied(*arguments) -> None:
        ctypes.memmove(arguments[5], values, ctypes.sizeof(values))

    other = (ctypes.c_float * len(values))()
    real = encoder._native._calls["encode_into"]
    encoder._native._calls["encode_into"] = copied
    c, python = least(lambda: copied(0, 0, 0, 0, 0, other, 0, 0), lambda: encoder.encode(["a"]), rounds=20000)
    encoder._native._calls["encode_into"] = real
    print(f"encode without the model's work      {python:8.1f} us  (+{python - c:.1f} over the copy)")

    tokenizer = encoder.tokenizer
    print(f"tokenizer.encode                     {least(lambda: tokenizer.encode('a'))[0]:8.1f} us")
    vectors = encoder.encode(["a"] * 4)
    print(f"the result is numpy's own memory     {vectors.flags.owndata}")


if __name__ == "__main__":
    main(sys.argv[1])
