"""The goldens of the reference implementations, through lf.load_model and lf.banded_attention, in the references' tolerances."""
from __future__ import annotations

import numpy as np
import pytest
from goldens import Case, cases

LED = [name for name in cases("led") if "generation" not in Case("led", name).description]


def run(lf, case, attention):
    hidden = any("hidden_states." in name for name in case.expected)
    attentions = any("attentions." in name for name in case.expected)
    with lf.load_model(case.folder, attention=attention) as model:
        return model(**case.inputs, output_hidden_states=hidden, output_attentions=attentions)


@pytest.mark.parametrize("name", cases("models"))
def test_a_model_gives_what_the_reference_gives(lf, name):
    case = Case("models", name)
    outputs = run(lf, case, "fused")
    for tensor in case.expected:
        case.compare(tensor, outputs[tensor])


@pytest.mark.parametrize("name", LED)
def test_an_led_gives_what_the_reference_gives(lf, name):
    case = Case("led", name)
    outputs = run(lf, case, "fused")
    for tensor in case.expected:
        case.compare(tensor, outputs[tensor])


@pytest.mark.parametrize("implementation", ["fused", "chunks", "loop"])
@pytest.mark.parametrize("name", cases("attention", "dense_"))
def test_attention_gives_what_the_oracle_gives(lf, name, implementation):
    case = Case("attention", name)
    c, x = case.configuration, case.inputs
    mask, q, k, v = x["mask"], x["q"], x["k"], x["v"]
    visible, is_global = mask >= 0, mask > 0
    slots = int(is_global.sum(1).max())
    index = np.full((len(mask), slots), -1, np.int64)
    for row, positions in enumerate(is_global):
        found = np.flatnonzero(positions)
        index[row, : len(found)] = found
    output = lf.banded_attention(
        q, k, v, (c["left"], c["right"]), dilation=c["dilation"], mask=visible, global_index=index if slots else None,
        scale=c.get("scale"), implementation=implementation,
    )  # fmt: skip
    if slots:
        # The models overwrite the rows of global tokens with their own attention: a window that covers everything.
        reach = (q.shape[1], q.shape[1])
        own = lf.banded_attention(
            x.get("q_global", q), x.get("k_global", k), x.get("v_global", v), reach, mask=visible, scale=c.get("scale"),
            implementation=implementation,
        )  # fmt: skip
        output[is_global] = own[is_global]
    case.compare("out", output)
