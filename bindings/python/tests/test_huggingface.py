"""Accelerated HF models against themselves: forward, gradients, compiled, under torch.func. Needs PyTorch with transformers:
`make check-accelerate SID=<Debian sid root folder>` runs both.""" 
from __future__ import annotations

import copy
import pickle
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))
from pytorch import pytorch  # noqa: E402 - after the path

torch = pytorch()
transformers = pytest.importorskip("transformers", reason="transformers is not importable here: make check-accelerate SID=<root folder> runs these")
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
lt = pytest.importorskip("longformer_interop.torch")
import torch._dynamo.testing  # noqa: E402 - after the check


def longformer(kind="LongformerModel", **changes):
    torch.manual_seed(0)
    config = transformers.LongformerConfig(
        vocab_size=120, hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=48, max_position_embeddings=200,
        attention_window=[8, 16], initializer_range=0.3, **changes,
    )  # fmt: skip
    return getattr(transformers, kind)(config).eval()


def led():
    torch.manual_seed(0)
    config = transformers.LEDConfig(
        vocab_size=101, d_model=32, encoder_layers=2, decoder_layers=2, encoder_attention_heads=4, decoder_attention_heads=4,
        encoder_ffn_dim=48, decoder_ffn_dim=40, max_encoder_position_embeddings=144, max_decoder_position_embeddings=48,
        attention_window=[16, 16], init_std=0.3,
    )  # fmt: skip
    return transformers.LEDForConditionalGeneration(config).eval()


def batch(length, globals_=(0, 3)):
    torch.manual_seed(2)
    ids = torch.randint(5, 100, (2, length))
    attended = torch.ones_like(ids)
    attended[1, length - 7 :] = 0
    is_global = torch.zeros_like(ids)
    is_global[0, list(globals_)] = 1
    is_global[1, 1] = 1 if globals_ else 0
    return {"input_ids": ids, "attention_mask": attended, "global_attention_mask": is_global}


def close(given, wanted, name, atol=2e-5):
    torch.testing.assert_close(given, wanted, atol=atol * max(1.0, wanted.abs().max().item()), rtol=1e-5, msg=lambda m: f"{name}: {m}")


@pytest.mark.parametrize("length", [9, 16, 45, 64])
@pytest.mark.parametrize("globals_", [(), (0,), (0, 3, 8)])
def test_an_accelerated_longformer_gives_the_same_at_any_length(length, globals_):
    inputs = batch(length, globals_)
    hf = longformer()
    fast = lt.accelerate(copy.deepcopy(hf))
    assert "FusedLongformerSelfAttention" in repr(fast)
    with torch.no_grad():
        wanted = hf(**inputs, output_hidden_states=True, output_attentions=True)
        given = fast(**inputs, output_hidden_states=True, output_attentions=True)
    for i, (a, b) in enumerate(zip(given.hidden_states, wanted.hidden_states)):
        close(a, b, f"hidden_states.{i}")
    close(given.pooler_output, wanted.pooler_output, "pooler_output")
    for i, (a, b) in enumerate(zip(given.attentions, wanted.attentions)):
        close(a, b, f"attentions.{i}")
    if globals_:
        for i, (a, b) in enumerate(zip(given.global_attentions, wanted.global_attentions)):
            real = torch.tensor([[True] * len(globals_), [True] + [False] * (len(globals_) - 1)])
            for row in range(2):
                close(a[row][:, :, real[row]], b[row][:, :length, real[row]], f"global_attentions.{i}")


@pytest.mark.parametrize("kind,labels", [
    ("LongformerForMaskedLM", "tokens"), ("LongformerForSequenceClassification", "classes"), ("LongformerForTokenClassification", "tags"),
])  # fmt: skip
def test_loss_and_gradients_of_an_accelerated_longformer_are_the_same(kind, labels):
    inputs = batch(45)
    inputs["labels"] = {"tokens": inputs["input_ids"], "classes": torch.tensor([0, 1]), "tags": inputs["input_ids"] % 2}[labels]
    hf = longformer(kind)
    fast = lt.accelerate(copy.deepcopy(hf))
    losses = []
    for model in (hf, fast):
        out = model(**inputs)
        out.loss.backward()
        losses.append(out.loss.detach())
    close(losses[1], losses[0], "loss")
    compared = 0
    for (name, a), (_, b) in zip(fast.named_parameters(), hf.named_parameters()):
        if b.grad is None:
            assert a.grad is None or a.grad.abs().max() == 0, name
            continue
        close(a.grad if a.grad is not None else torch.zeros_like(a), b.grad, name)
        compared += 1
    assert compared > 40


@pytest.mark.parametrize("length", [16, 37, 64])
def test_an_accelerated_led_gives_the_same_forward_backward_and_generated(length):
    inputs = batch(length)
    hf = led()
    fast = lt.accelerate(copy.deepcopy(hf))
    labels = torch.randint(5, 100, (2, 9), generator=torch.Generator().manual_seed(3))
    for model in (hf, fast):
        model(**inputs, labels=labels).loss.backward()
    with torch.no_grad():
        wanted = hf(**inputs, labels=labels, output_attentions=True)
        given = fast(**inputs, labels=labels, output_attentions=True)
    close(given.logits, wanted.logits, "logits")
    close(given.encoder_last_hidden_state, wanted.encoder_last_hidden_state, "encoder_last_hidden_state")
    for a, b in zip(given.encoder_attentions, wanted.encoder_attentions):
        close(a, b, "encoder_attentions")
    for (name, a), (_, b) in zip(fast.named_parameters(), hf.named_parameters()):
        if b.grad is not None:
            close(a.grad, b.grad, name)
    how = {"num_beams": 2, "max_new_tokens": 8, "do_sample": False}
    with torch.no_grad():
        assert torch.equal(fast.generate(**inputs, **how), hf.generate(**inputs, **how))


def test_no_padding_is_added():
    fast = lt.accelerate(longformer())
    seen = []
    fast.encoder.layer[0].register_forward_hook(lambda m, args, out: seen.append(args[0].shape[1]))
    with torch.no_grad():
        fast(**batch(45))
    assert seen == [45]


def test_restore_undoes_and_copies_and_pickles_keep_it():
    hf = longformer()
    kind = type(hf.encoder.layer[0].attention.self)
    fast = lt.accelerate(hf)
    assert lt.accelerate(fast) is fast
    twin = pickle.loads(pickle.dumps(fast))
    assert type(twin.encoder.layer[0].attention.self).__name__ == "FusedLongformerSelfAttention"
    with torch.no_grad():
        assert torch.equal(twin(**batch(20)).last_hidden_state, fast(**batch(20)).last_hidden_state)
    lt.restore(fast)
    assert type(fast.encoder.layer[0].attention.self) is kind and "_pad_to_window_size" not in vars(fast)


def test_training_with_dropout_checkpointing_and_autocast():
    fast = lt.accelerate(longformer("LongformerForMaskedLM", attention_probs_dropout_prob=0.2)).train()
    fast.gradient_checkpointing_enable()
    inputs = batch(45)
    inputs["labels"] = inputs["input_ids"]
    with torch.autocast("cpu", torch.bfloat16):
        loss = fast(**inputs).loss
    loss.backward()
    assert torch.isfinite(loss) and all(torch.isfinite(p.grad).all() for p in fast.parameters() if p.grad is not None)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("whole", [False, True], ids=["as it is", "whole graph"])
@pytest.mark.parametrize("training", [False, True], ids=["inference", "training"])
@pytest.mark.parametrize("make", [longformer, led])
def test_a_compiled_model_breaks_at_no_operator_and_takes_every_length(make, training, whole):
    # HF's own code takes a number out of a tensor (whether any token is global). That ends the graph, unless Dynamo may capture it.
    plain = lt.accelerate(make())
    fast = copy.deepcopy(plain)
    torch._dynamo.reset()
    torch._dynamo.utils.counters.clear()
    counter = torch._dynamo.testing.CompileCounterWithBackend("aot_eager")
    graphs = []
    with torch._dynamo.config.patch(capture_scalar_outputs=whole):
        compiled = torch.compile(fast, dynamic=True, fullgraph=whole, backend=counter)
        for length in (24, 37, 63):
            inputs = batch(length)
            if make is led:
                inputs["decoder_input_ids"] = inputs["input_ids"][:, :9]
            for model in (plain, fast):
                model.zero_grad()
            with torch.set_grad_enabled(training):
                wanted, given = plain(**inputs)[0], compiled(**inputs)[0]
            close(given, wanted, f"length {length}")
            if training:
                wanted.square().mean().backward()
                given.square().mean().backward()
                for (name, a), (_, b) in zip(fast.named_parameters(), plain.named_parameters()):
                    # A graph gives zeros to what it does not use.
                    grads = [torch.zeros_like(p) if p.grad is None else p.grad for p in (a, b)]
                    close(*grads, name)
            graphs.append(counter.frame_count)
    assert graphs[1:] == graphs[:1] * 2, "no new graph for another length"
    reasons = torch._dynamo.utils.counters["graph_break"]
    assert all("Tensor.item()" in reason for reason in reasons) and (reasons == {} or not whole), dict(reasons)


@pytest.mark.filterwarnings("ignore")
def test_a_compiled_model_takes_inputs_without_global_tokens():
    plain = lt.accelerate(longformer())
    with torch._dynamo.config.patch(capture_scalar_outputs=True):
        compiled = torch.compile(copy.deepcopy(plain), dynamic=True, fullgraph=True, backend="aot_eager")
        for globals_ in ((0, 3), ()):
            close(compiled(**batch(24, globals_))[0], plain(**batch(24, globals_))[0], f"globals {globals_}")


@pytest.mark.filterwarnings("ignore")
def test_the_layers_of_a_compiled_model_are_whole_graphs():
    fast = lt.accelerate(longformer()).train()
    layer = fast.encoder.layer[0].attention.self
    hidden, is_global = torch.randn(2, 24, 32, requires_grad=True), torch.zeros(2, 24, dtype=torch.bool)
    is_global[0, :2] = True
    layer.dropout = 0.25
    whole = torch.compile(layer, dynamic=True, fullgraph=True, backend="aot_eager")
    torch.manual_seed(5)
    one = whole(hidden, None, torch.zeros_like(is_global), is_global, True)[0]
    torch.manual_seed(5)
    again = whole(hidden, None, torch.zeros_like(is_global), is_global, True)[0]
    other = whole(hidden, None, torch.zeros_like(is_global), is_global, True)[0]
    assert torch.equal(one, again) and not torch.equal(one, other), "dropout follows torch's generator"
    assert all(torch.isfinite(g).all() for g in torch.autograd.grad(one.square().sum(), [hidden, layer.query_global.weight]))


@pytest.mark.parametrize("globals_", [(), (0, 3)], ids=["window", "globals"])
def test_torch_func_over_an_accelerated_model_gives_the_gradients_of_autograd(globals_):
    fast = lt.accelerate(longformer())
    inputs = batch(20, globals_)
    parameters = {n: p.detach() for n, p in fast.named_parameters()}

    def loss(parameters):
        return torch.func.functional_call(fast, parameters, kwargs=inputs).last_hidden_state.square().mean()

    given = torch.func.grad(loss)(parameters)
    fast(**inputs).last_hidden_state.square().mean().backward()
    for name, p in fast.named_parameters():
        if p.grad is not None:
            close(given[name], p.grad, name)
    with pytest.raises(NotImplementedError, match="longformer::"):
        torch.func.jvp(loss, (parameters,), (parameters,))
