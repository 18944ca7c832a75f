"""The operators under torch.library.opcheck, torch.compile and torch.export: no break of the graph, no new graph for another length."""
from __future__ import annotations

import os
import shutil
import sys
import sysconfig
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]
from pytorch import pytorch  # noqa: E402 - after the path

torch = pytorch()
try:
    import longformer_interop.torch as lt
except Exception as e:  # noqa: BLE001 - whatever it is, it is the reason
    pytest.skip(f"longformer_interop.torch: {e}", allow_module_level=True)

import torch._dynamo.testing  # noqa: E402 - after the check
from operators import samples  # noqa: E402
from torch.utils.cpp_extension import include_paths  # noqa: E402

SAMPLES = samples(torch.float32)


def compiles_code():
    """Whether Inductor has a compiler of C++ and the headers of PyTorch and Python, which Debian packs apart (CPATH may name them too)."""
    folders = [Path(p) for p in (*include_paths(), sysconfig.get_path("include"), "/usr/include", *os.environ.get("CPATH", "").split(":"))]
    headers = ("torch/csrc/inductor/cpp_prefix.h", "Python.h")
    return shutil.which("g++") is not None and all(any((f / h).is_file() for f in folders) for h in headers)


#: What compiles: the graph alone, and code.
BACKENDS = ["aot_eager", *(["inductor"] if compiles_code() else [])]
pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture(autouse=True)
def fresh():
    torch._dynamo.reset()
    yield
    torch._dynamo.reset()


@pytest.mark.parametrize("gradients", [False, True], ids=["no gradients", "gradients"])
@pytest.mark.parametrize("sample", SAMPLES, ids=str)
def test_opcheck(sample, gradients):
    if gradients:
        for t in sample.inputs:
            t.requires_grad_()
    try:
        result = torch.library.opcheck(getattr(torch.ops.longformer, sample.operator).default, sample.arguments, sample.keywords)
    finally:
        for t in sample.inputs:
            t.requires_grad_(False)
    assert set(result.values()) == {"SUCCESS"}, result


def test_opcheck_of_the_packed_weight():
    result = torch.library.opcheck(torch.ops.longformer.linear_pack.default, (torch.randn(8, 6),))
    assert set(result.values()) == {"SUCCESS"}, result


ops = torch.ops.longformer
INDEX = torch.tensor([[0, 3], [2, -1]])
W, B, LN = torch.linspace(-1, 1, 48).view(8, 6), torch.linspace(0, 1, 8), torch.linspace(0.5, 1, 6)

#: For each operator a function of tensors, and their shapes, in which 0 is the length. "mask" and "ids" are not differentiated.
FUNCTIONS = {
    "banded_attention": (lambda q, k, v, mask: ops.banded_attention(q, k, v, 2, 2, None, mask, INDEX)[0], [(2, 0, 2, 4)] * 3 + ["mask"]),
    "relative_banded_attention": (
        lambda q, k, v, r, mask: ops.relative_banded_attention(q, k, v, r, None, r[0], 0, 3, 0, None, mask)[0],
        [(2, 0, 2, 4)] * 3 + [(4, 2, 4), "mask"],
    ),
    "global_attention": (lambda q, k, v, mask: ops.global_attention(q, k, v, INDEX, mask), [(2, 2, 2, 4), (2, 0, 2, 4), (2, 0, 2, 4), "mask"]),
    "folded_global_attention": (
        lambda q, h, mask: ops.folded_global_attention(q, h, W, B, W, B, INDEX, mask), [(2, 2, 2, 4), (2, 0, 6), "mask"],
    ),
    "linear": (lambda x, r: ops.linear(x, W, B, activation="gelu", residual=r), [(2, 0, 6), (2, 0, 8)]),
    "activation": (lambda x: ops.activation(x, "silu"), [(2, 0, 6)]),
    "add_layer_norm": (lambda x, r: ops.add_layer_norm(x, r, LN, LN, 1e-5), [(2, 0, 6), (2, 0, 6)]),
    "embed": (lambda words, places, ids: ops.embed(words, ids, places, None, None, None, LN, LN, 1e-5), [(7, 6), (0, 6), "ids"]),
    "hidden_dropout": (lambda x: ops.hidden_dropout(x, 0.25, 3), [(2, 0, 6)]),
    "decode_attention": (lambda q, k, v: ops.decode_attention(q, [k], [v], [3], []), [(3, 2, 4), (0, 2, 4), (0, 2, 4)]),
    "banded_attention_probabilities": (
        lambda q, k, mask: ops.banded_attention_probabilities(q, k, 2, 2, None, mask, INDEX), [(2, 0, 2, 4), (2, 0, 2, 4), "mask"],
    ),
    "global_attention_probabilities": (
        lambda q, k, mask: ops.global_attention_probabilities(q, k, INDEX, mask), [(2, 2, 2, 4), (2, 0, 2, 4), "mask"],
    ),
}  # fmt: skip


def tensors_of(length, shapes):
    g = torch.Generator().manual_seed(length)
    mask = torch.ones(2, length, dtype=torch.bool)
    mask[1, length - 3 :] = False
    others = {"mask": mask, "ids": torch.arange(length) % 7}
    return [others[s] if isinstance(s, str) else torch.randn([n or length for n in s], generator=g) for s in shapes]


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", list(FUNCTIONS))
def test_an_operator_compiles_whole_and_once_for_all_lengths(name, backend):
    function, shapes = FUNCTIONS[name]
    counter = torch._dynamo.testing.CompileCounterWithBackend(backend)
    compiled = torch.compile(function, dynamic=True, fullgraph=True, backend=counter)
    for length in (11, 16, 23):
        tensors = tensors_of(length, shapes)
        # Twins, each with gradients of its own.
        expected, given = ([t.clone().requires_grad_(t.is_floating_point()) for t in tensors] for _ in range(2))
        wanted, result = function(*expected), compiled(*given)
        torch.testing.assert_close(result, wanted, atol=1e-5, rtol=1e-5)
        if wanted.requires_grad:
            wanted.square().sum().backward()
            result.square().sum().backward()
        for a, b in zip(given, expected):
            torch.testing.assert_close(a.grad, b.grad, atol=1e-4, rtol=1e-4)
    assert counter.frame_count == 1


def test_an_operator_is_exported_for_any_length():
    class Layer(torch.nn.Module):
        def forward(self, q, mask):
            return lt.banded_attention(q, q, q, 2, mask=mask)

    q, mask = tensors_of(11, [(2, 0, 2, 4), "mask"])
    length = torch.export.Dim("length", min=4, max=4096)
    program = torch.export.export(Layer(), (q, mask), dynamic_shapes={"q": {1: length}, "mask": {1: length}})
    q, mask = tensors_of(23, [(2, 0, 2, 4), "mask"])
    torch.testing.assert_close(program.module()(q, mask), Layer()(q, mask))
