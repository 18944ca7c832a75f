"""Weights of eight bits: dtype="int8" of both backends, checkpoints of eight bits, what is refused."""
from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
import pytest

from conftest import ROOT

TEXT = "Ada Lovelace wrote the first program. She lived in London."


def cosine(a: np.ndarray, b: np.ndarray) -> float:
    return float((a * b).sum() / np.sqrt((a * a).sum() * (b * b).sum()))


def test_an_encoder_in_eight_bits_is_near_float32(lf, models: Path, tmp_path: Path) -> None:
    with lf.DocumentEncoder.load(models / "encoder") as plain, lf.DocumentEncoder.load(models / "encoder", dtype="int8") as int8:
        expected, given = plain.encode([TEXT], pooling="mean"), int8.encode([TEXT], pooling="mean")
    assert 0.998 < cosine(expected, given) < 1 - 1e-9
    command = [ROOT / "longformer", "convert", models / "encoder", "--to", "safetensors", "--dtype", "int8", "--output", tmp_path / "int8"]
    subprocess.run(command, check=True, capture_output=True, timeout=300)
    with lf.DocumentEncoder.load(tmp_path / "int8") as saved:
        np.testing.assert_array_equal(saved.encode([TEXT], pooling="mean"), given)
    # Any other dtype dequantizes it.
    with lf.DocumentEncoder.load(tmp_path / "int8", dtype="float32") as dequantized:
        assert cosine(dequantized.encode([TEXT], pooling="mean"), expected) > 0.999


def test_parameters_are_those_of_the_file(lf, models: Path) -> None:
    with lf.load_model(models / "encoder", dtype="int8") as model:
        assert model.dtype == "float32"
        name = "encoder.layer.0.attention.self.query.weight"
        parameters = {k: np.array(v) for k, v in model.parameters().items()}
        assert parameters[name].dtype == np.int8 and np.abs(parameters[name]).max() == 127
        assert parameters[name + "_scale"].shape == (parameters[name].shape[0], 1)


def test_a_summary_is_written_in_eight_bits(lf, models: Path) -> None:
    with lf.Summarizer.load(models / "summarizer", dtype="int8") as led:
        assert isinstance(led.summarize(TEXT, max_tokens=8, beams=2), str)


def test_training_and_unknown_dtypes_are_refused(lf, models: Path) -> None:
    with pytest.raises(lf.LongformerError, match="to train in"):
        lf.load_model(models / "encoder", dtype="int8", trainable=True)
    with pytest.raises(lf.InputError, match="int8"):
        lf.load_model(models / "encoder", dtype="int4")
