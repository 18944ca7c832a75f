"""Bare models: arguments of any kind, results in any form."""
from __future__ import annotations

import numpy as np
import pytest
from pytorch import pytorch


def inputs(length=21, rows=2):
    rng = np.random.default_rng(length)
    return {
        "input_ids": rng.integers(5, 900, (rows, length)),
        "attention_mask": np.ones((rows, length), np.int64),
        "global_attention_mask": np.eye(rows, length, dtype=np.int64),
    }


def test_outputs_are_named_as_hf_names_them(lf, models):
    with lf.load_model(models / "encoder") as model:
        out = model(**inputs(), output_hidden_states=True, output_attentions=True)
        assert model.architecture == "LongformerModel" and model.dtype == "float32"
    assert set(out) == {
        "last_hidden_state", "pooler_output", "hidden_states.0", "hidden_states.1", "hidden_states.2",
        "attentions.0", "attentions.1", "global_attentions.0", "global_attentions.1",
    }  # fmt: skip
    assert out["last_hidden_state"].shape == (2, 21, 64) and out["attentions.0"].shape == (2, 4, 21, 1 + 16 + 1)
    np.testing.assert_array_equal(out["hidden_states.2"], out["last_hidden_state"])
    assert isinstance(out["pooler_output"], np.ndarray)


def test_lists_dtypes_and_layouts_give_the_same(lf, models):
    given = inputs()
    ids = given["input_ids"]
    with lf.load_model(models / "encoder") as model:
        wanted = model(input_ids=ids)["last_hidden_state"]
        for other in (ids.tolist(), ids.astype(np.int32), np.asfortranarray(ids), ids[::-1][::-1], ids.astype(np.uint16), tuple(map(tuple, ids))):
            np.testing.assert_array_equal(model(input_ids=other)["last_hidden_state"], wanted)
        np.testing.assert_array_equal(model(input_ids=ids, attention_mask=None)["last_hidden_state"], wanted)
        np.testing.assert_allclose(model(input_ids=ids, attention_mask=np.ones(ids.shape, bool))["last_hidden_state"], wanted, atol=1e-6)


def test_a_batch_gives_what_single_rows_give(lf, models):
    given = inputs(37, 3)
    with lf.load_model(models / "encoder") as model:
        whole = model(**given)["last_hidden_state"]
        for row in range(3):
            alone = model(**{name: value[row : row + 1] for name, value in given.items()})["last_hidden_state"]
            np.testing.assert_allclose(alone[0], whole[row], atol=3e-6)


def test_tensors_keep_dtype_and_device_and_speak_dlpack(lf, models):
    with lf.load_model(models / "encoder", dtype="bfloat16") as model:
        out = model(**inputs(), as_tensors=True)["last_hidden_state"]
        as_numpy = model(**inputs())["last_hidden_state"]
    assert isinstance(out, lf.Tensor) and out.dtype == "bfloat16" and out.device == "cpu" and out.shape == (2, 21, 64) and len(out) == 2
    assert as_numpy.dtype == np.float32
    np.testing.assert_array_equal(out.numpy(), as_numpy)
    np.testing.assert_array_equal(np.asarray(out), as_numpy)
    assert "bfloat16[2, 21, 64] on cpu" in repr(out) and out.__dlpack_device__() == (1, 0)


def test_numpy_reads_a_tensor_by_dlpack_without_a_copy(lf, models):
    with lf.load_model(models / "encoder") as model:
        tensor = model(**inputs(), as_tensors=True)["last_hidden_state"]
    first, second = np.from_dlpack(tensor), tensor.numpy()
    assert first.ctypes.data == second.ctypes.data and not second.flags.owndata
    del tensor
    np.testing.assert_array_equal(first, second)
    del first
    second[:] = 0  # still ours


def test_an_unread_capsule_frees_what_it_holds(lf, models):
    from longformer_interop import _dlpack

    with lf.load_model(models / "encoder") as model:
        tensor = model(**inputs(), as_tensors=True)["last_hidden_state"]
    held = len(_dlpack._lent)
    capsule = tensor.__dlpack__()
    assert len(_dlpack._lent) == held + 1
    del capsule
    assert len(_dlpack._lent) == held


def test_torch_tensors_go_in_and_come_out(lf, models):
    torch = pytorch()
    given = inputs()
    with lf.load_model(models / "encoder", dtype="bfloat16") as model:
        wanted = model(**given)["last_hidden_state"]
        tensors = {name: torch.from_numpy(value) for name, value in given.items()}
        np.testing.assert_array_equal(model(**tensors)["last_hidden_state"], wanted)
        tensors["attention_mask"] = tensors["attention_mask"].bool()
        np.testing.assert_array_equal(model(**tensors)["last_hidden_state"], wanted)
        out = model(**tensors, as_tensors=True)["last_hidden_state"]
    there = torch.from_dlpack(out)
    assert there.dtype == torch.bfloat16 and there.shape == (2, 21, 64)
    np.testing.assert_array_equal(there.float().numpy(), wanted)
    x = torch.randn(1, 7, 2, 4, dtype=torch.bfloat16)
    np.testing.assert_allclose(lf.banded_attention(x, x, x, (0, 0)), x.float().numpy())
    with pytest.raises(lf.InputError, match="query"):
        lf.banded_attention(x.float().requires_grad_(), x, x, 1)


def test_wrong_inputs_are_refused_by_name(lf, models):
    given = inputs()
    with lf.load_model(models / "encoder") as model:
        with pytest.raises(lf.InputError, match="input_idz"):
            model(input_idz=given["input_ids"])
        with pytest.raises(lf.InputError, match="attention_mask"):
            model(input_ids=given["input_ids"], attention_mask=np.ones((2, 5)))
        with pytest.raises(lf.InputError):
            model()
        with pytest.raises(lf.InputError, match="input_ids"):
            model(input_ids=np.full((1, 4), 10**6))
        with pytest.raises(lf.InputError, match="input_ids"):
            model(input_ids=[[1, 2], [3]])
        with pytest.raises(lf.InputError):
            model(input_ids=np.zeros((1, 0), np.int64))
        with pytest.raises(lf.InputError):
            model(input_ids=np.ones((1, 513), np.int64) * 7)


def test_a_loss_comes_with_labels(lf, models):
    with lf.load_model(models / "classifier") as model:
        out = model(**inputs(), labels=[0, 2])
    assert out["loss"].shape == () and out["logits"].shape == (2, 3)
    logits = out["logits"].astype(np.float64)
    wanted = (np.log(np.exp(logits).sum(1)) - logits[[0, 1], [0, 2]]).mean()
    assert float(out["loss"]) == pytest.approx(wanted, abs=1e-5)


def test_results_outlive_the_model(lf, models):
    with lf.load_model(models / "encoder") as model:
        out = model(**inputs())["last_hidden_state"]
        before = out.copy()
    with pytest.raises(lf.LongformerError, match="closed"):
        model(**inputs())
    np.testing.assert_array_equal(out, before)
    model.close()


def led_inputs(length=30, rows=2):
    rng = np.random.default_rng(length)
    mask = np.ones((rows, length), np.int64)
    mask[1, length - 5 :] = 0
    return {"input_ids": rng.integers(5, 900, (rows, length)), "attention_mask": mask, "global_attention_mask": np.eye(rows, length, dtype=np.int64)}


def test_generate_gives_rows_of_results_with_their_scores(lf, models):
    options = lf.GenerationOptions(beams=3, n_best=2, max_tokens=7)
    with lf.load_model(models / "summarizer") as model:
        rows = model.generate(options, **led_inputs())
        again = model.generate(beams=3, n_best=2, max_tokens=7, **led_inputs())
        alone = model.generate(options, **{name: value[:1] for name, value in led_inputs().items()})
        prompted = model.generate(max_tokens=3, decoder_input_ids=[[2, 0, 5]], **{n: v[:1] for n, v in led_inputs().items()})
    assert [len(row) for row in rows] == [2, 2] and rows == again
    for row in rows:
        assert row[0].score >= row[1].score
        for result in row:
            # The start token is no generated one; HF's length penalty of 1 divides by the number of tokens.
            assert len(result.token_scores) == len(result.ids) - 1 and isinstance(result.ended, bool)
    assert [r.ids for r in alone[0]] == [r.ids for r in rows[0]]
    assert prompted[0][0].ids[:3] == (2, 0, 5) and len(prompted[0][0].ids) <= 6


def test_generate_refuses_what_does_not_fit(lf, models):
    given = led_inputs()
    with lf.load_model(models / "summarizer") as model:
        with pytest.raises(lf.InputError, match="labels"):
            model.generate(labels=[[1]], **given)
        with pytest.raises(lf.InputError):
            model.generate(beams=0, **given)
        with pytest.raises(lf.InputError, match="attention_mask"):
            model.generate(input_ids=given["input_ids"], attention_mask=np.ones((2, 3), np.int64))
    with lf.load_model(models / "encoder") as model, pytest.raises(lf.InputError, match="LongformerModel"):
        model.generate(**given)


def test_convert_makes_a_checkpoint_that_loads(lf, models, tmp_path):
    report = lf.convert(models / "encoder", tmp_path / "longer", positions=1024, window=[32, 64])
    assert {kind for kind, _ in report} <= {"source", "note", "file"} and ("file", "config.json") in [(k, t.split("/")[-1].split(" ")[0]) for k, t in report]
    with lf.load_model(tmp_path / "longer") as model, lf.load_model(models / "encoder") as before:
        assert model(input_ids=np.ones((1, 1000), np.int64) * 7)["last_hidden_state"].shape == (1, 1000, 64)
        # Positions are copied over and over: the first are as before.
        np.testing.assert_array_equal(
            model.parameters()["embeddings.position_embeddings.weight"][2:500], before.parameters()["embeddings.position_embeddings.weight"][2:500]
        )
    with pytest.raises(lf.CheckpointError, match="longer"):
        lf.convert(models / "encoder", tmp_path / "longer")
    lf.convert(models / "encoder", tmp_path / "longer", "safetensors", overwrite=True)
    with pytest.raises(lf.InputError, match="to"):
        lf.convert(models / "encoder", tmp_path / "other", "onnx")
    with pytest.raises(lf.CheckpointError):
        lf.convert(tmp_path / "nowhere", tmp_path / "other")


def test_save_writes_what_loads_the_same(lf, models, tmp_path):
    with lf.load_model(models / "encoder") as model:
        model.save(tmp_path / "saved")
        wanted = model(**inputs())["last_hidden_state"]
    with lf.load_model(tmp_path / "saved") as model:
        np.testing.assert_array_equal(model(**inputs())["last_hidden_state"], wanted)
