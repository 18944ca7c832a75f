"""The parity cases as numpy reads them."""
from __future__ import annotations

import json
from pathlib import Path

import numpy as np

FOLDER = Path(__file__).resolve().parents[3] / "parity-tests" / "goldens"
_KINDS = {"F32": np.float32, "F64": np.float64, "I64": np.int64, "I32": np.int32, "BOOL": np.bool_, "F16": np.float16}


def cases(group: str, prefix: str = "") -> list[str]:
    return sorted(p.parent.name for p in (FOLDER / group).glob(f"{prefix}*/case.json"))


def read(path: Path) -> dict[str, np.ndarray]:
    """The tensors of a safetensors file."""
    data = path.read_bytes()
    size = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + size])
    header.pop("__metadata__", None)
    return {
        name: np.frombuffer(data[8 + size + e["data_offsets"][0] : 8 + size + e["data_offsets"][1]], _KINDS[e["dtype"]]).reshape(e["shape"])
        for name, e in header.items()
    }


class Case:
    def __init__(self, group: str, name: str) -> None:
        self.folder = FOLDER / group / name
        self.description = json.loads((self.folder / "case.json").read_text())
        self.configuration = json.loads((self.folder / "config.json").read_text())
        self.inputs = read(self.folder / "inputs.safetensors")
        self.expected = read(self.folder / "expected.safetensors")

    def compare(self, name: str, given: np.ndarray) -> None:
        wanted = self.expected[name]
        atol = self.description["expected"][name].get("atol", self.description["tolerance"]["atol"])
        assert given.shape == wanted.shape, f"{name}: {given.shape} instead of {wanted.shape}"
        np.testing.assert_allclose(given, wanted, atol=atol, rtol=1e-5, err_msg=f"{self.folder.name}: {name}")
