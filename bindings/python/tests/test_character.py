"""The character model: goldens, text in and out, scores, evaluation, training, what is refused; and the attention with relative positions."""
from __future__ import annotations

import asyncio
import json
import math
import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest
from conftest import SCHEDULE, write_boats
from goldens import Case, cases

MODELS = [name for name in cases("charlm") if name.startswith("model_")]


@pytest.fixture(scope="module")
def model(lf, models):
    with lf.CharacterLanguageModel.load(models / "character") as loaded:
        yield loaded


@pytest.fixture
def boats(tmp_path: Path) -> Path:
    return write_boats(tmp_path / "boats")


@pytest.mark.parametrize("implementation", ["fused", "chunks", "loop"])
@pytest.mark.parametrize("name", MODELS)
def test_a_model_gives_what_the_reference_gives(lf, name, implementation):
    case = Case("charlm", name)
    with lf.CharacterLanguageModel.load(case.folder, options=lf.LoadOptions(attention=implementation, trainable=True)) as loaded:
        out = loaded(case.inputs["ids"], case.inputs["targets"], logits=True, hidden_states=True)
        found = loaded.gradients(case.inputs["ids"], case.inputs["targets"])
    given = {"nll": out["losses"], "bits_per_character": out["loss"] / math.log(2), "hidden": out["last_hidden_state"]} | out
    given |= {name: value / math.log(2) for name, value in found.items() if name.startswith("grad.")}
    for tensor in case.expected:
        case.compare(tensor, given[tensor])


def test_text_becomes_ids_and_text_again(model):
    assert model.is_bytes and bytes(model.symbols) == bytes(sorted(set(b"fog came home the boats ")))
    ids = model.encode("the boats")
    assert ids.dtype == np.int64 and bytes(model.symbols[i] for i in ids) == b"the boats"
    assert model.decode(ids) == "the boats" and model.decode([]) == ""


def test_a_score_is_the_sum_of_the_losses_of_a_pass(model):
    text = "fog came home the boats the boats"
    ids = model.encode(text)[None]
    out = model(ids[:, :-1], ids[:, 1:])
    losses = model.losses(text)
    np.testing.assert_allclose(losses, out["losses"][0], atol=1e-5)
    score = model.score(text)
    assert score.characters == len(text) - 1 and math.isclose(score.nats, losses.sum(), rel_tol=1e-9)
    assert math.isclose(score.bits_per_character, float(out["loss"]) / math.log(2), rel_tol=1e-5)
    assert score.bits_per_character < 2  # it has learnt something: a uniform guess has 3.7


def test_generation_streams_and_obeys_its_options(model):
    pieces, reports = [], []
    text = model.generate("fog ", characters=40, seed=3, on_text=pieces.append, progress=reports.append)
    assert "".join(pieces) == text and len(text) == 40 and set(text.encode()) <= set(model.symbols)
    assert [p.done for p in reports] == list(range(1, 41)) and reports[0].total == 40
    assert model.generate("fog ", characters=40, seed=3) == text
    assert model.generate("fog ", characters=40, seed=4) != text
    greedy = model.generate("fog ", characters=20, greedy=True)
    assert greedy == model.generate("fog ", characters=20, top_k=1) == model.generate("fog ", characters=20, top_p=1e-6)
    assert "".join(model.stream("fog ", characters=40, seed=3)) == text
    assert model.generate("fog ", characters=200, temperature=0.01) == model.generate("fog ", characters=200, greedy=True)


def test_greedy_text_is_what_whole_passes_would_write(model):
    written = model.generate("the ", characters=24, greedy=True)
    ids = list(model.encode("the "))
    for _ in range(24):
        ids.append(int(model([ids], logits=True)["logits"][0, -1].argmax()))
    assert model.decode(ids) == "the " + written


def test_a_stream_is_left_early_and_awaited(model):
    stream = model.stream("the ", characters=10**6)
    assert next(stream)
    stream.close()

    async def work():
        return "".join([p async for p in model.astream("the ", characters=7)]), await model.agenerate("the ", characters=7)

    first, second = asyncio.run(work())
    assert first == second and len(first) == 7


def test_a_callback_that_raises_ends_the_text(model):
    def refuse(piece):
        raise KeyError("enough")

    with pytest.raises(KeyError, match="enough"):
        model.generate("the ", characters=10**6, on_text=refuse)


def test_evaluation_overlapping_and_in_one_pass_agree(lf, model, boats):
    how = {"part": "test", "length": 128, "step": 16}
    reports = []
    found = model.evaluate(boats, progress=reports.append, **how)
    once = model.evaluate(boats, one_pass=True, **how)
    assert found.characters == once.characters and math.isclose(found.bits, once.bits, rel_tol=1e-5)
    assert reports[-1].done == reports[-1].total == found.characters and found.characters % 16 == 0
    every = model.evaluate(boats, part="all", one_pass=True, every_character=True)
    assert every.characters == boats.stat().st_size - 1
    assert math.isclose(every.bits, model.score(boats.read_text()).bits, rel_tol=1e-6)
    split = model.evaluate(boats, part="dev", split=[100, 300, 0], one_pass=True, every_character=True)
    assert split.characters == 299
    same = lf.evaluate("char-lm", model.folder, data=boats, length=128, step=16, one_pass=True)
    assert same.metrics == {"bits_per_character": once.bits_per_character, "total_bits": once.bits, "characters": once.characters,
                            "equals_overlapping": 1} and same.predictions == []  # fmt: skip


def test_a_model_is_trained_stopped_and_resumed_to_the_same_bytes(lf, boats, tmp_path):
    how = {"data": boats, "schedule": SCHEDULE, "eval_every": 10, "save_every": 5, "seed": 7}
    events = []
    whole = lf.train("char-lm", output=tmp_path / "whole", on_event=events.append, **how)
    assert whole.steps == 36 and 0 < whole.metrics["bits_per_character"] < 2 and whole.best_step is not None
    assert [e.step for e in events if e.kind == "step"] == list(range(1, 37))
    trainer = lf.Trainer("char-lm", output=tmp_path / "parts", **how)

    def stop(event):
        if event.kind == "step" and event.step == 33:
            trainer.stop()

    assert trainer.run(on_event=stop).stopped
    with pytest.raises(lf.InputError, match="not empty; resume the run"):
        trainer.run()
    rest = trainer.run(resume=True)
    assert (rest.stopped, rest.steps, dict(rest.metrics)) == (False, 36, dict(whole.metrics))
    assert (tmp_path / "parts" / "model.safetensors").read_bytes() == (tmp_path / "whole" / "model.safetensors").read_bytes()
    with lf.CharacterLanguageModel.load(rest.folder) as trained:
        assert len(trained.generate("the ", characters=5)) == 5
    again = lf.train("char-lm", rest.folder, data=boats, output=tmp_path / "more", schedule=SCHEDULE)
    assert again.metrics["bits_per_character"] < whole.metrics["bits_per_character"]


def test_a_schedule_is_a_file_too(lf, boats, tmp_path):
    (tmp_path / "schedule.json").write_text(json.dumps(SCHEDULE | {"phases": SCHEDULE["phases"][:1]}))
    result = lf.train("char-lm", data=boats, output=tmp_path / "out", schedule=tmp_path / "schedule.json", characters=True, split=[5000, 500, 0])
    assert result.steps == 30
    with lf.CharacterLanguageModel.load(result.folder) as trained:
        assert not trained.is_bytes


def test_what_does_not_fit_is_refused_by_name(lf, model, boats, tmp_path):
    for call, words in [
        (lambda: model.generate("fog X"), "byte 0x58 'X' at byte 4 of the text is not among the vocabulary's"),
        (lambda: model.generate(""), "at least one character"),
        (lambda: model.generate("fog", characters=0), "characters: expected 1 or more"),
        (lambda: model.generate("fog", top_p=0), "expected more than 0 and at most 1"),
        (lambda: model.generate("fog", seed=-1), "seed: expected 0 to"),
        (lambda: model.generate(7), "prompt: expected a str"),
        (lambda: model.score("f"), "at least two symbols"),
        (lambda: model([[0, 99]]), "ids: expected symbols 0.."),
        (lambda: model([0, 1]), r"ids: expected int64 \[B, T\]"),
        (lambda: model([[0, 1]], [[0]]), "targets: expected shape"),
        (lambda: model.decode([99]), "ids: expected symbols 0.."),
        (lambda: model.evaluate(boats), "expected at least 32257 characters"),
        (lambda: model.evaluate(boats, part="tset"), "part: expected train, dev, test, all"),
        (lambda: model.evaluate(boats, every_character=True), "in one pass only"),
        (lambda: model.evaluate(boats, split=[1, 2]), "split: expected three lengths"),
        (lambda: lf.train("char-lm", data=boats, output=tmp_path / "a"), "expected one of preset"),
        (lambda: lf.train("char-lm", data=[boats, boats], output=tmp_path / "a", preset="small"), "data: expected one file, given 2"),
        (lambda: lf.train("char-lm", data=boats, eval=boats, output=tmp_path / "a", preset="small"), "eval: expected none"),
        (lambda: lf.train("char-lm", data=boats, output=tmp_path / "a", preset="medium"), "preset: expected small, large"),
        (lambda: lf.train("char-lm", data=boats, output=tmp_path / "a", preset="small", learning_rate=1), 'takes no "learning_rate"'),
        (lambda: lf.train("char-lm", data=boats, output=tmp_path / "a", preset="small"), "characters to train on in phase 1|sequence"),
        (lambda: lf.train("classify", data=boats, output=tmp_path / "a"), "checkpoint: expected "),
        (lambda: lf.train("char-ml", model.folder, data=boats, output=tmp_path / "a"), "task: expected masked-lm, .*char-lm"),
    ]:
        if words.endswith("|sequence"):
            boats.write_text("the boats ")
        with pytest.raises(lf.InputError, match=words):
            call()


def test_a_folder_without_a_vocabulary_runs_on_ids_alone(lf, models, tmp_path):
    shutil.copytree(models / "character", tmp_path / "bare")
    (tmp_path / "bare" / "vocabulary.json").unlink()
    with lf.CharacterLanguageModel.load(tmp_path / "bare") as bare:
        assert bare([[0, 1]])["last_hidden_state"].shape == (1, 2, 32)
        for call in (lambda: bare.symbols, lambda: bare.encode("t"), lambda: bare.generate("t"), lambda: bare.score("the")):
            with pytest.raises(lf.CheckpointError, match="no vocabulary.json"):
                call()
    with pytest.raises(lf.LongformerError, match="closed"):
        bare([[0, 1]])


def test_saved_and_pickled_models_are_the_same(lf, model, tmp_path):
    model.save(tmp_path / "copy")
    with lf.CharacterLanguageModel.load(tmp_path / "copy") as copy, pickle.loads(pickle.dumps(model)) as again:
        assert copy.score("the boats") == model.score("the boats") == again.score("the boats")
        assert set(copy.parameters()) == set(model.parameters()) and "r_w_bias" in copy.parameters()


def test_relative_attention_is_its_definition(lf):
    rng = np.random.default_rng(5)
    b, t, h, d, left = 2, 11, 3, 8, 4
    q, k, v = rng.standard_normal((3, b, t, h, d))
    table, content, position = rng.standard_normal((9, h, d)), rng.standard_normal((h, d)), rng.standard_normal((h, d))
    dilation = [1, 2, 2]
    out, logsumexp = lf.relative_banded_attention(
        q, k, v, table, (left, 0), content_bias=content, position_bias=position, dilation=dilation, return_logsumexp=True
    )
    for head in range(h):
        for i in range(t):
            seen = [j for j in range(i, -1, -dilation[head])][: left + 1]
            scores = np.stack([
                ((q[:, i, head] + content[head]) * k[:, j, head]).sum(-1) + ((q[:, i, head] + position[head]) * table[i - j, head]).sum(-1)
                for j in seen
            ]) / math.sqrt(d)  # fmt: skip
            total = np.log(np.exp(scores).sum(0))
            wanted = (np.exp(scores - total)[..., None] * np.stack([v[:, j, head] for j in seen])).sum(0)
            np.testing.assert_allclose(out[:, i, head], wanted, atol=1e-9)
            np.testing.assert_allclose(logsumexp[:, i, head], total, atol=1e-9)


@pytest.mark.parametrize("implementation", ["chunks", "loop"])
def test_relative_attention_is_the_same_by_every_implementation(lf, implementation):
    q, k, v = np.random.default_rng(1).standard_normal((3, 30, 2, 16), dtype=np.float32)
    table = np.random.default_rng(2).standard_normal((10, 2, 16), dtype=np.float32)
    how = {"window": (6, 3), "relative_zero": 3, "sequence_offsets": [0, 7, 30], "dropout": 0.2, "seed": 9}
    np.testing.assert_allclose(
        lf.relative_banded_attention(q, k, v, table, implementation=implementation, **how),
        lf.relative_banded_attention(q, k, v, table, **how), atol=1e-5,
    )  # fmt: skip


def test_relative_attention_refuses_by_name(lf):
    q = np.zeros((1, 4, 2, 8), np.float32)
    with pytest.raises(lf.InputError, match="global_index: expected no such option for relative_banded_attention"):
        lf.relative_banded_attention(q, q, q, q[0], (3, 0), global_index=[[0]])
    with pytest.raises(lf.LongformerError, match="relative"):
        lf.relative_banded_attention(q, q, q, q[0, :, :1], (3, 0))
    with pytest.raises(lf.LongformerError, match="relative"):
        lf.relative_banded_attention(q, q, q, q[0, :2], (3, 0))
