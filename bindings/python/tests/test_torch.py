"""The operators in PyTorch: results, gradients, torch.func, and refusals."""
from __future__ import annotations

import dataclasses
import subprocess
import sys
import warnings
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

from operators import Sample, samples  # noqa: E402 - after the check

from longformer_interop import AttentionOptions  # noqa: E402
from longformer_interop.torch import _register  # noqa: E402

SAMPLES = samples()
DIFFERENTIABLE = [s for s in SAMPLES if s.differentiable]
#: Those with a second derivative and a forward mode.
COMPOSED = [
    s for s in DIFFERENTIABLE
    if s.operator not in ("banded_attention", "relative_banded_attention") and not (s.kind == "dropout" and s.operator.endswith("global_attention"))
]  # fmt: skip
REFUSED = [s for s in DIFFERENTIABLE if s not in COMPOSED]


def of(some):
    return pytest.mark.parametrize("sample", some, ids=str)


def leaves(sample: Sample):
    return [t.clone().requires_grad_() for t in sample.inputs]


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


def test_the_options_are_those_of_the_operators():
    arguments = [a.name for a in torch.ops.longformer.banded_attention.default._schema.arguments]
    fields = [f.name for f in dataclasses.fields(AttentionOptions)]
    assert sorted(arguments) == sorted(["query", "key", "value", "window_left", "window_right", *fields[1:]]) and fields[0] == "window"
    q = torch.randn(1, 9, 2, 4)
    options = AttentionOptions((3, 1), mask=torch.arange(9)[None] < 7, global_index=torch.tensor([[2]]), dilation=[1, 2], dropout=0.2, seed=4)
    keywords = {name: getattr(options, name) for name in ("mask", "global_index", "dilation", "dropout")}
    assert torch.equal(lt.banded_attention(q, q, q, options=options), lt.banded_attention(q, q, q, (3, 1), seed=4, **keywords))
    packed = lt.banded_attention(q[0], q[0], q[0], 2, sequence_offsets=[0, 4, 9])
    assert torch.equal(packed[:4], lt.banded_attention(q[:, :4], q[:, :4], q[:, :4], 2)[0])
    with pytest.raises(TypeError, match="window"):
        lt.banded_attention(q, q, q)


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


def test_probabilities_sum_to_one():
    q, k = torch.randn(2, 1, 16, 2, 4)
    p = lt.banded_attention_probabilities(q, k, 3, global_index=torch.tensor([[0]]))
    assert p.shape == (1, 16, 2, 8)
    torch.testing.assert_close(p.sum(-1), torch.ones(1, 16, 2))


def test_every_public_operator_has_a_sample():
    public = {n.removeprefix("longformer::") for n in torch._C._dispatch_get_all_op_names() if n.startswith("longformer::")}
    public = {n for n in public if not n.startswith("_") and not n.endswith("_backward")} - {"linear_pack"}
    assert {s.operator for s in SAMPLES} == public


@of(DIFFERENTIABLE)
def test_gradients_agree_with_differences(sample):
    assert torch.autograd.gradcheck(sample.call, leaves(sample))


@of(COMPOSED)
def test_second_derivatives_agree_with_differences(sample):
    assert torch.autograd.gradgradcheck(sample.call, leaves(sample))


@of(COMPOSED)
def test_forward_mode_agrees_with_differences(sample):
    assert torch.autograd.gradcheck(sample.call, leaves(sample), check_forward_ad=True, check_backward_ad=False)


@of(REFUSED)
def test_a_second_derivative_is_refused_by_name(sample):
    inputs = leaves(sample)
    grads = torch.autograd.grad(sample.call(*inputs)[0].square().sum(), inputs, create_graph=True)
    with pytest.raises(NotImplementedError, match=f"longformer::{sample.operator}"):
        torch.autograd.grad(grads[0].sum(), inputs)


@of(REFUSED)
def test_forward_mode_is_refused_by_name(sample):
    inputs = sample.inputs
    f = lambda x: sample.call(x, *inputs[1:])[0]  # noqa: E731
    for way in (
        lambda: torch.func.jvp(f, (inputs[0],), (inputs[0],)), lambda: torch.func.jacfwd(f)(inputs[0]),
        lambda: torch.func.hessian(lambda x: f(x).sum())(inputs[0]), lambda: dual(f, inputs[0]),
    ):  # fmt: skip
        with pytest.raises(NotImplementedError, match=f"longformer::{sample.operator}"):
            way()


def dual(f, x):
    with torch.autograd.forward_ad.dual_level():
        return torch.autograd.forward_ad.unpack_dual(f(torch.autograd.forward_ad.make_dual(x, torch.ones_like(x)))).tangent


@of([s for s in SAMPLES if not s.differentiable])
def test_what_is_only_looked_at_claims_no_gradient(sample):
    inputs = leaves(sample)
    result = getattr(torch.ops.longformer, sample.operator)(*[sample.arguments[i] if i > 1 else inputs[i] for i in range(len(sample.arguments))])
    assert not result.requires_grad
    with pytest.raises(NotImplementedError, match=f"longformer::{sample.operator}"):
        dual(lambda x: sample.call(x, *sample.inputs[1:])[0], sample.inputs[0])


@of(DIFFERENTIABLE)
def test_torch_func_gives_the_gradients_of_autograd(sample):
    inputs = sample.inputs
    loss = lambda *tensors: sample.call(*tensors)[0].square().sum()  # noqa: E731
    places = tuple(range(len(inputs)))
    wanted = torch.autograd.grad(loss(*(taken := leaves(sample))), taken)
    for given, want in zip(torch.func.grad(loss, places)(*inputs), wanted):
        torch.testing.assert_close(given, want)
    rows = torch.stack([inputs[0], inputs[0] * 0.5, inputs[0] + 0.25])
    one = lambda x: torch.func.grad(lambda x: loss(x, *inputs[1:]))(x)  # noqa: E731
    torch.testing.assert_close(torch.func.vmap(one)(rows), torch.stack([one(x) for x in rows]))
    jacobian = torch.func.jacrev(lambda x: sample.call(x, *inputs[1:])[0])(inputs[0])
    torch.testing.assert_close(jacobian, torch.autograd.functional.jacobian(lambda x: sample.call(x, *inputs[1:])[0], inputs[0]))


@of(COMPOSED)
def test_torch_func_nests(sample):
    inputs = sample.inputs
    loss = lambda x: sample.call(x, *inputs[1:])[0].square().sum()  # noqa: E731
    nested = torch.func.grad(lambda x: torch.func.grad(loss)(x).square().sum())(inputs[0])
    x = inputs[0].clone().requires_grad_()
    (first,) = torch.autograd.grad(loss(x), x, create_graph=True)
    torch.testing.assert_close(nested, torch.autograd.grad(first.square().sum(), x)[0])


@pytest.mark.parametrize("name", ["_pooled_tokens", "linear_pack"])
def test_private_operators_claim_no_gradient(name):
    x = torch.randn(1, 2, 4, requires_grad=True)
    arguments = {"_pooled_tokens": (x, torch.randn(5, 4), None, [0, 5]), "linear_pack": (x[0],)}[name]
    with warnings.catch_warnings(record=True) as caught:
        assert not getattr(torch.ops.longformer, name)(*arguments).requires_grad
    assert not caught


@pytest.mark.parametrize("name", ["_linear_into", "_add_layer_norm_into"])
def test_what_writes_is_not_recorded(name):
    x, w, out = torch.randn(3, 4, requires_grad=True), torch.randn(4, 4), torch.empty(3, 4)
    arguments = {"_linear_into": (x, w, None, None, "none", None, out), "_add_layer_norm_into": (x, None, w[0], w[1], 1e-5, out)}[name]
    with pytest.raises(RuntimeError, match=f"longformer::{name} writes"):
        getattr(torch.ops.longformer, name)(*arguments)
    with torch.no_grad():
        getattr(torch.ops.longformer, name)(*arguments)
    reference = x @ w.T if name == "_linear_into" else torch.nn.functional.layer_norm(x, (4,), w[0], w[1])
    torch.testing.assert_close(out, reference.detach())


def test_every_operator_has_a_kernel_for_recording():
    for name in torch._C._dispatch_get_all_op_names():
        if name.startswith("longformer::") and name not in ("longformer::_multiply_add_peak", "longformer::_multiplies_bfloat16"):
            assert torch._C._dispatch_has_kernel_for_dispatch_key(name, "Autograd"), name


def test_only_the_gradients_that_are_asked_for_are_computed():
    x, w = torch.randn(3, 4), torch.randn(5, 4, requires_grad=True)
    bias = torch.randn(5)
    torch.ops.longformer.linear(x, w, bias, activation="gelu").sum().backward()
    assert w.grad is not None and x.grad is None and bias.grad is None
    x.requires_grad_()
    w = w.detach()
    torch.ops.longformer.linear(x, w, bias).sum().backward()
    torch.testing.assert_close(x.grad, w.sum(0).expand(3, 4))


def test_autocast_leaves_the_operators_alone():
    q = torch.randn(1, 8, 2, 4)
    with torch.autocast("cpu", torch.bfloat16):
        output = lt.banded_attention(q, q, q, 2)
    assert output.dtype == torch.float32 and torch.equal(output, lt.banded_attention(q, q, q, 2))


def test_wrong_arguments_are_refused_by_name():
    q = torch.randn(1, 8, 2, 4)
    for k, device in ((torch.randn(1, 7, 2, 4), "cpu"), (torch.randn(1, 8, 2, 4), "meta")):
        with pytest.raises((ValueError, RuntimeError), match="longformer::banded_attention"):
            torch.ops.longformer.banded_attention(q.to(device), k.to(device), q.to(device)[..., :3], 1, 1)


def test_registering_again_does_nothing():
    assert lt.register() == lt.register() == lt.library_path()


def test_another_model_is_refused():
    with pytest.raises(ValueError, match="Linear"):
        lt.accelerate(torch.nn.Linear(2, 2))


@pytest.mark.parametrize("version", ["1.13.1", "2.9.1+cpu", "2", "nonsense"])
def test_an_older_pytorch_is_refused_by_its_version(version):
    with pytest.raises(lt._register.LongformerError, match=f"2.10 or later.*{version.replace('+', '.')}"):
        _register.check_version(version, Path("/somewhere/torch"))
    for newer in ("2.10.0", "2.14.1+debian", "3.0"):
        _register.check_version(newer, Path("/somewhere/torch"))


def test_a_library_that_is_none_is_refused_by_its_path(tmp_path):
    (tmp_path / "liblongformer_ops.so").write_bytes(b"\x7fELF nothing more")
    code = (
        f"import sys, os; sys.path.insert(0, {str(ROOT)!r}); os.environ['LONGFORMER_NATIVE_DIR'] = {str(tmp_path)!r}\n"
        "try:\n import longformer_interop.torch\nexcept Exception as e: print(type(e).__name__, e)"
    )
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, timeout=600)
    # The libraries below PyTorch may have said something of their own before.
    shown = done.stdout.splitlines()[-1]
    assert shown.startswith("LongformerError") and str(tmp_path) in shown and "cannot be loaded" in shown, done


def test_a_forked_child_is_refused_and_ends():
    code = (
        f"import os, sys; sys.path.insert(0, {str(ROOT)!r})\nimport torch, longformer_interop as lf, longformer_interop.torch as lt\n"
        "q = torch.ones(1, 4, 2, 2); lt.banded_attention(q, q, q, 1); pid = os.fork()\n"
        "if pid == 0:\n"
        "    try: lt.banded_attention(q, q, q, 1)\n"
        "    except lf.LongformerError as e: print('spawn' in str(e) and 'forkserver' in str(e), flush=True)\n"
        "    sys.exit(3)\n"
        "print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), float(lt.banded_attention(q, q, q, 1).sum()))"
    )
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, timeout=600)
    assert done.stdout.splitlines()[-2:] == ["True", "3 16.0"], done
