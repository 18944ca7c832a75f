"""Properties of lf.banded_attention: against numpy over random shapes, strides, dtypes and masks, and its refusals."""
from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

SETTINGS = settings(max_examples=40, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])


def dense(q, k, v, left, right, dilation=1, index=None, mask=None):
    """The definition in float64: softmax over the keys that a query sees."""
    q, k, v = (np.asarray(t, np.float64) for t in (q, k, v))
    b, t, h, d = q.shape
    steps = np.broadcast_to(np.atleast_1d(dilation), (h,))
    distance = np.arange(t)[None, :] - np.arange(t)[:, None]
    out = np.zeros_like(q)
    for n in range(b):
        visible = np.ones(t, bool) if mask is None else np.asarray(mask[n]) != 0
        for head in range(h):
            step = steps[head]
            sees = (distance % step == 0) & (distance >= -left * step) & (distance <= right * step)
            if index is not None:
                sees[:, [g for g in np.asarray(index[n]) if g >= 0]] = True
            sees &= visible[None, :]
            scores = np.where(sees, q[n, :, head] @ k[n, :, head].T / np.sqrt(d), -np.inf)
            top = scores.max(1, keepdims=True, initial=-1e300)
            weights = np.exp(scores - top)
            total = weights.sum(1, keepdims=True)
            out[n, :, head] = np.divide(weights, total, where=total > 0, out=np.zeros_like(weights)) @ v[n, :, head]
        out[n][~visible] = 0
    return out


@st.composite
def problems(draw):
    b, t, h, d = draw(st.integers(1, 3)), draw(st.integers(1, 40)), draw(st.integers(1, 3)), draw(st.sampled_from([1, 4, 8, 17]))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    dtype = draw(st.sampled_from(["float32", "float64"]))
    q, k, v = (rng.standard_normal((b, t, h, d)).astype(dtype) for _ in range(3))
    options = {"window": (draw(st.integers(0, 12)), draw(st.integers(0, 12)))}
    options["dilation"] = draw(st.one_of(st.none(), st.integers(1, 3), st.lists(st.integers(1, 3), min_size=h, max_size=h)))
    if draw(st.booleans()):
        options["mask"] = rng.integers(0, 2, (b, t)).astype(draw(st.sampled_from(["bool", "uint8", "int32", "int64"])))
    if draw(st.booleans()):
        rows = [sorted(rng.choice(t, rng.integers(0, min(t, 4) + 1), replace=False)) for _ in range(b)]
        width = max(max(map(len, rows)), 1)
        options["global_index"] = np.array([[*map(int, row), *[-1] * (width - len(row))] for row in rows])
    return q, k, v, options


@SETTINGS
@given(problem=problems(), implementation=st.sampled_from(["fused", "chunks", "loop"]))
def test_it_is_a_softmax_over_what_a_query_sees(lf, problem, implementation):
    q, k, v, options = problem
    output, lse = lf.banded_attention(q, k, v, **options, implementation=implementation, return_logsumexp=True)
    left, right = options["window"]
    wanted = dense(q, k, v, left, right, options["dilation"] or 1, options.get("global_index"), options.get("mask"))
    assert output.dtype == q.dtype and output.shape == q.shape and lse.shape == q.shape[:3]
    np.testing.assert_allclose(output, wanted, atol=1e-5 if q.dtype == np.float32 else 1e-11)


@SETTINGS
@given(
    layout=st.sampled_from(["transposed", "sliced", "reversed", "broadcast", "readonly", "fortran", "offset", "big-endian"]),
    seed=st.integers(0, 1000),
)
def test_any_layout_gives_the_same(lf, layout, seed):
    rng = np.random.default_rng(seed)
    if layout == "transposed":
        array = rng.standard_normal((2, 3, 11, 4)).astype(np.float32).transpose(0, 2, 1, 3)
    elif layout == "sliced":
        array = rng.standard_normal((2, 22, 3, 8)).astype(np.float32)[:, ::2, :, 1:5]
    elif layout == "reversed":
        array = rng.standard_normal((2, 11, 3, 4)).astype(np.float32)[:, ::-1]
    elif layout == "broadcast":
        array = np.broadcast_to(rng.standard_normal((2, 11, 1, 4)).astype(np.float32), (2, 11, 3, 4))
    elif layout == "fortran":
        array = np.asfortranarray(rng.standard_normal((2, 11, 3, 4)).astype(np.float32))
    elif layout == "offset":
        raw = np.zeros(2 * 11 * 3 * 4 * 4 + 1, np.uint8)[1:].view()
        array = raw.view(np.float32).reshape(2, 11, 3, 4)
        array[:] = rng.standard_normal(array.shape)
    elif layout == "big-endian":
        array = rng.standard_normal((2, 11, 3, 4)).astype(">f4")
    else:
        array = rng.standard_normal((2, 11, 3, 4)).astype(np.float32)
        array.flags.writeable = False
    before = array.copy()
    plain = np.ascontiguousarray(array, dtype=np.float32)
    np.testing.assert_allclose(lf.banded_attention(array, array, array, 3), lf.banded_attention(plain, plain, plain, 3), atol=1e-6)
    np.testing.assert_array_equal(array, before)


def test_lists_and_half_precision(lf):
    rows = [[[[1.0, 0.0]], [[0.0, 1.0]]]]
    np.testing.assert_allclose(lf.banded_attention(rows, rows, rows, (0, 0)), np.array(rows))
    q, k, v = np.random.default_rng(0).standard_normal((3, 1, 9, 2, 8))
    half = [t.astype(np.float16) for t in (q, k, v)]
    try:
        output = lf.banded_attention(*half, window=2)
    except lf.LongformerError as e:
        assert "Half" in str(e) or "float16" in str(e).lower()
    else:
        np.testing.assert_allclose(output, dense(q, k, v, 2, 2), atol=5e-3)


@pytest.mark.parametrize("shape", [(0, 5, 2, 4), (1, 0, 2, 4)])
def test_nothing_in_nothing_out(lf, shape):
    empty = np.zeros(shape, np.float32)
    assert lf.banded_attention(empty, empty, empty, 2).shape == shape


def test_what_does_not_fit_is_refused_by_name(lf):
    x = np.zeros((1, 6, 2, 4), np.float32)
    for name, arguments in {
        "query": ((x[0], x, x, 2), {}),
        "key": ((x, x[:, :5], x, 2), {}),
        "value": ((x, x, x.astype(np.float64), 2), {}),
        "window": ((x, x, x, (1, 2, 3)), {}),
        "implementation": ((x, x, x, 2), {"implementation": "magic"}),
        "mask": ((x, x, x, 2), {"mask": np.ones((1, 7))}),
        "global_index": ((x, x, x, 2), {"global_index": [[9]]}),
        "dilation": ((x, x, x, 2), {"dilation": [1, 2, 3]}),
    }.items():
        with pytest.raises(lf.InputError, match=name):
            lf.banded_attention(*arguments[0], **arguments[1])
    with pytest.raises(lf.InputError, match="window"):
        lf.banded_attention(x, x, x, -1)
    with pytest.raises(lf.InputError, match="query"):
        lf.banded_attention("text", x, x, 1)
    with pytest.raises(lf.InputError, match="complex"):
        lf.banded_attention(x.astype(np.complex64), x, x, 1)


def test_options_in_one_object_are_those_of_the_keywords(lf):
    rng = np.random.default_rng(8)
    q, k, v = rng.standard_normal((3, 2, 12, 2, 4)).astype(np.float32)
    keywords = {"dilation": [1, 2], "global_index": [[0], [3]], "mask": rng.integers(0, 4, (2, 12)) > 0, "scale": 0.4, "dropout": 0.3, "seed": 7}
    options = lf.AttentionOptions((3, 2), **keywords)
    wanted = lf.banded_attention(q, k, v, (3, 2), **keywords)
    np.testing.assert_array_equal(lf.banded_attention(q, k, v, options=options), wanted)
    np.testing.assert_array_equal(lf.banded_attention(q, k, v, options=options, implementation="fused"), wanted)
    # A keyword takes the place of the object's.
    other = lf.banded_attention(q, k, v, (3, 2), **keywords | {"seed": 8})
    np.testing.assert_array_equal(lf.banded_attention(q, k, v, options=options, seed=8), other)
    assert not np.array_equal(other, wanted)
    assert "dropout=0.3" in repr(options) and "implementation" not in repr(options)


def test_dropout_and_packed_sequences(lf):
    rng = np.random.default_rng(9)
    q, k, v = rng.standard_normal((3, 2, 9, 2, 4)).astype(np.float32)
    packed = [t.reshape(18, 2, 4) for t in (q, k, v)]
    options = {"dropout": 0.25, "seed": 3, "global_index": [[1], [0]]}
    batch = lf.banded_attention(q, k, v, 2, **options)
    for implementation in ("fused", "chunks", "loop"):
        output = lf.banded_attention(*packed, 2, sequence_offsets=[0, 9, 18], implementation=implementation, **options)
        np.testing.assert_allclose(output.reshape(batch.shape), batch, atol=1e-5)
    assert not np.allclose(batch, lf.banded_attention(q, k, v, 2, global_index=[[1], [0]]))
    own = lf.global_attention(q[:, :1], k, v, [[1], [0]], dropout=0.25, seed=3)
    np.testing.assert_allclose(lf.global_attention(q[:, :1], *packed[1:], [[1], [0]], dropout=0.25, seed=3, sequence_offsets=[0, 9, 18]), own, atol=1e-6)


def test_options_that_a_function_does_not_have_are_refused_by_name(lf):
    x = np.zeros((1, 6, 2, 4), np.float32)
    with pytest.raises(TypeError, match="magic"):
        lf.banded_attention(x, x, x, 2, magic=1)
    with pytest.raises(TypeError, match="window"):
        lf.banded_attention(x, x, x)
    with pytest.raises(lf.InputError, match="dropout.*banded_attention_probabilities.*0.5"):
        lf.banded_attention_probabilities(x, x, 2, dropout=0.5)
    with pytest.raises(lf.InputError, match="dilation.*global_attention"):
        lf.global_attention(x[:, :1], x, x, [[0]], dilation=2)
    with pytest.raises(lf.InputError, match="dropout"):
        lf.banded_attention(x, x, x, 2, dropout=1.5)


def test_probabilities_weigh_the_values(lf):
    rng = np.random.default_rng(5)
    b, t, h, d, left, right = 2, 30, 3, 8, 4, 3
    q, k, v = rng.standard_normal((3, b, t, h, d)).astype(np.float32)
    index, mask = np.array([[0, 20], [4, -1]]), rng.integers(0, 4, (b, t)) > 0
    mask[0, [0, 20]] = mask[1, 4] = True
    options = {"window": (left, right), "global_index": index, "mask": mask, "scale": 0.3, "dilation": 2}
    p = lf.banded_attention_probabilities(q, k, **options)
    assert p.shape == (b, t, h, 2 + left + 1 + right) and p.dtype == np.float32 and not p.flags.owndata
    weighed = np.zeros_like(q)
    for n in range(b):
        for i in range(t):
            places = [*index[n], *(i + 2 * s for s in range(-left, right + 1))]
            for column, place in enumerate(places):
                if 0 <= place < t:
                    weighed[n, i] += p[n, i, :, column, None] * v[n, place]
    np.testing.assert_allclose(np.where(mask[:, :, None, None], weighed, 0), lf.banded_attention(q, k, v, **options), atol=1e-5)


def test_global_attention_is_a_softmax_over_all_keys(lf):
    rng = np.random.default_rng(6)
    k, v = rng.standard_normal((2, 2, 25, 2, 4)).astype(np.float32)
    q, index = rng.standard_normal((2, 2, 2, 4)).astype(np.float32), np.array([[3, 7], [11, -1]])
    mask = np.ones((2, 25), bool)
    mask[1, 20:] = False
    output = lf.global_attention(q, k, v, index, mask=mask)
    wanted = dense(np.pad(q, ((0, 0), (0, 23), (0, 0), (0, 0))), k, v, 25, 25, mask=mask)[:, :2]
    wanted[1, 1] = 0
    np.testing.assert_allclose(output, wanted, atol=1e-5)
    with pytest.raises(lf.InputError, match="global_index"):
        lf.global_attention(q, k, v, None)
    with pytest.raises(lf.InputError, match="global_index"):
        lf.global_attention(q, k, v, [[1, 2, 3]])
    with pytest.raises(lf.InputError, match="query"):
        lf.global_attention(q[0], k, v, index)
