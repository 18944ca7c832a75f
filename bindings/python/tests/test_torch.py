"""The operators in PyTorch."""
from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="PyTorch is not importable by this Python")

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
try:
    import longformer_interop.torch as lt
except Exception as e:  # noqa: BLE001 - whatever it is, it is the reason
    pytest.skip(f"longformer_interop.torch: {e}", allow_module_level=True)


def dense(q, k, v, left, right, index=None, mask=None):
    """softmax over what each query sees, as an [T, T] mask."""
    length = q.shape[1]
    i = torch.arange(length)
    sees = ((i[None, :] - i[:, None]) >= -left) & ((i[None, :] - i[:, None]) <= right)
    sees = sees.expand(q.shape[0], length, length).clone()
    for b in range(q.shape[0]):
        if index is not None:
            sees[b, :, index[b][index[b] >= 0]] = True
        if mask is not None:
            sees[b, :, ~mask[b]] = False
    scores = torch.einsum("bihd,bjhd->bhij", q, k) / q.shape[-1] ** 0.5
    p = scores.masked_fill(~sees[:, None], -torch.inf).softmax(-1).nan_to_num(0)
    out = torch.einsum("bhij,bjhd->bihd", p, v)
    return out if mask is None else out * mask[:, :, None, None]


@pytest.mark.parametrize("implementation", ["fused", "chunks", "loop"])
def test_the_operator_equals_a_dense_softmax_with_gradients(implementation):
    torch.manual_seed(0)
    q, k, v = (torch.randn(2, 33, 3, 8, requires_grad=True) for _ in range(3))
    index = torch.tensor([[0, 20], [4, -1]])
    mask = torch.ones(2, 33, dtype=torch.bool)
    mask[1, 25:] = False
    expected = dense(q, k, v, 4, 3, index, mask)
    gradient = torch.randn_like(expected)
    wanted = torch.autograd.grad(expected, (q, k, v), gradient)
    output = lt.banded_attention(q, k, v, (4, 3), global_index=index, mask=mask, implementation=implementation)
    torch.testing.assert_close(output, expected, atol=1e-5, rtol=1e-5)
    for given, want in zip(torch.autograd.grad(output, (q, k, v), gradient), wanted):
        torch.testing.assert_close(given, want, atol=1e-5, rtol=1e-5)


def test_gradients_agree_with_differences():
    torch.manual_seed(1)
    q, k, v = (torch.randn(1, 11, 2, 4, dtype=torch.float64, requires_grad=True) for _ in range(3))
    index = torch.tensor([[0, 5]])
    assert torch.autograd.gradcheck(lambda a, b, c: lt.banded_attention(a, b, c, 2, global_index=index, dilation=[1, 2]), (q, k, v))
    g = torch.randn(1, 2, 2, 4, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda a, b, c: lt.global_attention(a, b, c, index), (g, k, v))


def test_probabilities_sum_to_one():
    q, k = torch.randn(2, 1, 16, 2, 4)
    p = lt.banded_attention_probabilities(q, k, 3, global_index=torch.tensor([[0]]))
    assert p.shape == (1, 16, 2, 8)
    torch.testing.assert_close(p.sum(-1), torch.ones(1, 16, 2))


def test_registering_again_does_nothing():
    assert lt.register() == lt.register() == lt.library_path()


def test_another_model_is_refused():
    with pytest.raises(ValueError, match="Linear"):
        lt.accelerate(torch.nn.Linear(2, 2))


def test_a_library_of_another_libtorch_is_refused_by_name(tmp_path):
    from longformer_interop.torch import _register

    data = lt.library_path().read_bytes()
    wanted = next(n for n in _register.needed(lt.library_path()) if n.startswith("libtorch_cpu.so"))
    other = wanted.replace("torch_cpu", "torch_cpX")
    fake = tmp_path / "liblongformer_ops.so"
    fake.write_bytes(data.replace(wanted.encode(), other.encode()))
    assert other in _register.needed(fake)
    version = _register.built_version(fake)
    fake.write_bytes(data.replace(f"for libtorch {version}".encode(), b"for libtorch 9.9 "[: len(f"for libtorch {version}")]))
    code = (
        f"import sys, os; sys.path.insert(0, {str(ROOT)!r}); os.environ['LONGFORMER_NATIVE_DIR'] = {str(tmp_path)!r}\n"
        "try:\n import longformer_interop.torch\nexcept Exception as e: print(type(e).__name__, e)"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60).stdout
    assert shown.startswith("LongformerError") and "was not built for the PyTorch" in shown and "9.9" in shown
