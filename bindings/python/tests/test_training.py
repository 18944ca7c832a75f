"""Training and evaluation: from files to a folder, options, events, stopping and resuming, errors."""
from __future__ import annotations

import dataclasses
import json
import math
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[3]
GOOD, BAD = ["lovely", "fine", "great"], ["awful", "poor", "sad"]
HOW = {"learning_rate": 2e-3, "epochs": 6, "batch_size": 8, "max_tokens": 64, "seed": 5, "eval_every": 6}


def review(i: int) -> dict[str, str]:
    words = GOOD if i % 2 == 0 else BAD
    return {"text": " ".join(words[(i + k) % 3] for k in range(3 + i % 5)), "label": "good" if i % 2 == 0 else "bad"}


@pytest.fixture
def data(tmp_path: Path) -> Path:
    (tmp_path / "train.jsonl").write_text("".join(json.dumps(review(i)) + "\n" for i in range(40)))
    (tmp_path / "held.csv").write_text('text,label\nlovely fine great,good\n"poor, sad",bad\n')
    return tmp_path


@pytest.fixture(autouse=True)
def one_thread(lf):
    before = lf.get_threads()
    lf.set_threads(1)
    yield
    lf.set_threads(before)


def test_a_classifier_is_trained_measured_and_used(lf, models, data):
    events, reports = [], []
    result = lf.train(
        "classify", models / "filler", data=data / "train.jsonl", eval=[data / "held.csv"], output=data / "out", on_event=events.append,
        progress=reports.append, **HOW,
    )  # fmt: skip
    assert (result.steps, result.stopped, result.metrics["accuracy"]) == (30, False, 1.0) and result.best_step in range(6, 31)
    assert result.folder == str(data / "out") and result.curves.read_text().startswith("<?xml")
    steps = [line for line in result.history if "loss" in line]
    assert [line["step"] for line in steps] == list(range(1, 31)) and steps[-1]["loss"] < steps[0]["loss"]
    assert [line["step"] for line in result.history if "eval" in line] == [6, 12, 18, 24, 30]
    assert [e.step for e in events if e.kind == "step"] == list(range(1, 31)) and {e.total_steps for e in events if e.kind == "step"} == {30}
    assert [e.loss for e in events if e.kind == "step"] == [line["loss"] for line in steps]
    assert [e.metrics["accuracy"] for e in events if e.kind == "evaluated"][-1] == 1.0
    assert any("new and random" in e.message for e in events if e.kind == "note") and any(e.kind == "saved" for e in events)
    assert [p.done for p in reports] == list(range(1, 31)) and reports[-1].total == 30 and reports[-1].tokens == sum(s["tokens"] for s in steps)
    with lf.TextClassifier.load(result.folder) as classifier:
        assert [best[0].label for best in classifier.classify(["lovely fine great", "poor sad"])] == ["good", "bad"]
    done = []
    found = lf.evaluate("classify", result.folder, data=data / "held.csv", max_tokens=64, progress=done.append)
    assert math.isclose(found.metrics["loss"], result.metrics["loss"], rel_tol=1e-4)
    assert [p["labels"] for p in found.predictions] == [["good"], ["bad"]] and (done[-1].done, done[-1].total) == (2, 2)


def test_both_backends_train_to_the_same_bytes(models, data):
    import importlib

    clr = pytest.importorskip("clr_loader") and importlib.import_module("longformer_interop.clr")
    c = importlib.import_module("longformer_interop")
    c.set_threads(1), clr.set_threads(1)
    folders = [b.train("classify", models / "filler", data=data / "train.jsonl", output=data / n, **HOW).folder for b, n in ((c, "c"), (clr, "clr"))]
    assert (Path(folders[0]) / "model.safetensors").read_bytes() == (Path(folders[1]) / "model.safetensors").read_bytes()


def test_a_stopped_run_continues_to_the_same_bytes(lf, models, data):
    arguments = {"data": data / "train.jsonl", "eval": data / "held.csv"} | HOW
    whole = lf.train("classify", models / "filler", output=data / "whole", **arguments)
    trainer = lf.Trainer("classify", models / "filler", output=data / "parts", **arguments)

    def stop(event):
        if event.kind == "step" and event.step == 8:
            trainer.stop()

    part = trainer.run(on_event=stop)
    assert part.stopped and 8 <= part.steps < 30 and not (data / "parts" / "model.safetensors").exists()
    with pytest.raises(lf.InputError, match="not empty"):
        trainer.run()
    rest = trainer.run(resume=True)
    assert (rest.stopped, rest.steps, rest.best_step, dict(rest.metrics)) == (False, 30, whole.best_step, dict(whole.metrics))
    assert (data / "parts" / "model.safetensors").read_bytes() == (data / "whole" / "model.safetensors").read_bytes()
    trainer.stop()  # nothing is under way


def test_an_exception_of_a_callback_saves_and_is_raised(lf, models, data):
    def refuse(event):
        if event.kind == "step" and event.step == 3:
            raise KeyError("enough")

    trainer = lf.Trainer("classify", models / "filler", data=data / "train.jsonl", output=data / "out", **HOW)
    with pytest.raises(KeyError, match="enough"):
        trainer.run(on_event=refuse)
    assert trainer.run(resume=True).steps == 30


@pytest.mark.parametrize("listens", [False, True])
def test_ctrl_c_saves_and_is_raised(lf, models, data, listens):
    trainer = lf.Trainer("classify", models / "filler", data=data / "train.jsonl", output=data / "out", **HOW | {"epochs": 100000})
    log = data / "out" / "log.jsonl"

    def interrupt():
        while not (log.exists() and log.read_text().count("\n") > 2):
            time.sleep(0.01)
        signal.raise_signal(signal.SIGINT)

    struck = threading.Thread(target=interrupt)
    struck.start()
    with pytest.raises(KeyboardInterrupt):
        trainer.run(on_event=(lambda event: None) if listens else None)
    struck.join()
    assert list((data / "out" / "checkpoints").glob("step-*/state.json"))


def test_a_bar_is_drawn(lf, models, data, capfd):
    pytest.importorskip("tqdm")
    lf.train("classify", models / "filler", data=data / "train.jsonl", eval=data / "held.csv", output=data / "out", progress=True, **HOW)
    shown = capfd.readouterr().err
    assert "30/30" in shown and "loss=" in shown and "eval_accuracy=1" in shown and "new and random" in shown


def test_data_of_every_kind_and_columns_by_name(lf, models, data):
    parquet = ROOT / "tests" / "Training.Tests" / "Fixtures" / "hub.parquet"
    result = lf.train(
        "classify", models / "filler", data=parquet, output=data / "out", column={"text": "id", "label": "label"}, labels=["1", "2", "3"],
        cache=data / "cache", steps=2, max_tokens=64,
    )  # fmt: skip
    assert result.steps == 2 and result.metrics == {} and result.best_step is None
    assert list((data / "cache").glob("*.lfdata")) and "3 examples" in (data / "out" / "README.md").read_text()
    with lf.TextClassifier.load(result.folder) as classifier:
        assert list(classifier.labels) == ["1", "2", "3"]


def test_what_does_not_fit_is_said(lf, models, data):
    def refused(match, error=lf.InputError, task="classify", **keywords):
        given = {"data": data / "train.jsonl", "output": data / "refused"} | keywords
        with pytest.raises(error, match=match):
            lf.train(task, keywords.pop("checkpoint", models / "filler"), **{k: v for k, v in given.items() if k != "checkpoint"})
        assert not (data / "refused").exists()

    refused("task: expected masked-lm, classify", task="paint")
    refused("learning_rte", learning_rte=1)
    refused('takes no "mask_probability"', mask_probability=0.5)
    refused("learning_rate: expected a float", learning_rate="much")
    refused("schedule: expected linear, cosine", schedule="steep")
    refused("column: expected a dict", column="text=review")
    refused("labels: expected several", labels="good,bad")
    refused("no such file", data=data / "nowhere.jsonl")
    refused("data: expected", data=3)
    refused("train.jsonl:1: no column", column={"text": "review"})
    refused("config.json", lf.CheckpointError, checkpoint=data)
    refused("an LED", lf.CheckpointError, task="summarize", column={"document": "text", "summary": "label"})
    (data / "half.jsonl").write_text('{"text": "fine", "label": "good"}\n{"text": "fi')
    refused("half.jsonl:2: not JSON", data=data / "half.jsonl")
    refused("epochs: expected more than 0", epochs=0)
    with pytest.raises(lf.InputError, match='takes no "learning_rate"'):
        lf.evaluate("classify", models / "classifier", data=data / "held.csv", learning_rate=1.0)


def test_a_loss_that_is_no_number_names_step_and_document(lf, models, data):
    with pytest.raises(lf.InputError, match=r"step \d+: the (loss|gradient's norm) is .* on .*train\.jsonl:\d+"):
        lf.train("classify", models / "filler", data=data / "train.jsonl", output=data / "out", learning_rate=1e30, max_grad_norm=0, max_tokens=64)


def test_the_options_are_those_of_the_command_line(lf):
    named = {f.name for f in dataclasses.fields(lf.TrainingOptions)}
    shown = set()
    tasks = ["masked-lm", "classify", "tag", "answer", "choose", "summarize", "wikihop", "triviaqa", "hotpotqa", "coref", "imdb", "hyperpartisan",
             "arxiv", "pairs", "char-lm"]  # fmt: skip
    # "part", "journal", "shortened" and "keep_gold_paragraphs" are of evaluations alone.
    for verb, task in [*(("train", task) for task in tasks), *(("evaluate", task) for task in ("imdb", "arxiv", "hotpotqa", "char-lm"))]:
        help_ = subprocess.run([ROOT / "longformer", verb, task, "--help"], capture_output=True, text=True, check=True).stdout
        shown |= {name.replace("-", "_") for name in re.findall(r"^\s+(?:-\S+, )*--([a-z0-9-]+)", help_, flags=re.M)}
    assert named == shown - {"data", "eval", "output", "threads", "json", "base", "help"}
    options = lf.TrainingOptions(learning_rate=1e-4, column={"text": "review"})
    assert repr(options) == "TrainingOptions(learning_rate=0.0001, column={'text': 'review'})"
    assert dataclasses.replace(options, epochs=2).given() == {"learning_rate": 1e-4, "column": {"text": "review"}, "epochs": 2}


def hotpot_question(i: int) -> dict[str, object]:
    town = ["Rome", "Oslo"][i % 2]
    return {"_id": f"q{i}", "question": "Where?", "answer": town if i % 3 else "yes", "type": "bridge", "level": "easy", "supporting_facts": [["Ada", 1]],
            "context": [["Bob", ["Bob is here."]], ["Ada", ["Ada is here.", f" It is {town}."]]]}  # fmt: skip


def test_predictions_of_hotpotqa_are_objects_and_official_files(lf, models, tmp_path):
    (tmp_path / "x.json").write_text(json.dumps([hotpot_question(i) for i in range(6)]))
    result = lf.train("hotpotqa", models / "filler", data=tmp_path / "x.json", output=tmp_path / "out", steps=2, max_tokens=100)
    found = lf.evaluate("hotpotqa", result.folder, data=tmp_path / "x.json", output=tmp_path / "official.json", shortened=tmp_path / "short.json",
                        keep_gold_paragraphs=True)  # fmt: skip
    assert found.metrics["questions"] == 6 and 0 <= found.metrics["joint_f1"] <= 1
    assert all(isinstance(p, lf.HotpotPrediction) and p.type in ("yes", "no", "span") and len(p.paragraph_scores) == 2 for p in found.predictions)
    official, shorter = json.loads((tmp_path / "official.json").read_text()), json.loads((tmp_path / "short.json").read_text())
    assert official["answer"] == {p.id: p.answer for p in found.predictions}
    assert {id_: tuple(lf.SupportingFact(*fact) for fact in facts) for id_, facts in official["sp"].items()} == {
        p.id: p.supporting_facts for p in found.predictions}  # fmt: skip
    assert all("Ada" in [title for title, _ in question["context"]] for question in shorter)
    with pytest.raises(lf.InputError, match="shortened: expected a file in a folder that exists"):
        lf.evaluate("hotpotqa", result.folder, data=tmp_path / "x.json", shortened=tmp_path / "nowhere" / "x.json")


def test_predictions_of_coreference_are_objects(lf, models, tmp_path):
    words = ["Ada", "sang", ".", "She", "smiled", "."]
    rows = "".join(f"nw/made 0 {i} {w} NN * - - - - * {'(0)' if w in ('Ada', 'She') else '-'}\n" for i, w in enumerate(words))
    (tmp_path / "x_conll").write_text(f"#begin document (nw/made); part 000\n{rows}\n#end document\n")
    found = lf.evaluate("coref", models / "coref", data=tmp_path / "x_conll", output=tmp_path / "predicted_conll")
    [prediction] = found.predictions
    assert isinstance(prediction, lf.CoreferencePrediction) and (prediction.document, prediction.part) == ("nw/made", 0)
    assert all(0 <= m.first <= m.last < 6 for cluster in prediction.clusters for m in cluster)
    assert (tmp_path / "predicted_conll").read_text().startswith("#begin document (nw/made); part 000")


def test_seeds_repeat_a_training(lf, models, tmp_path):
    for i in range(6):
        for folder, text in ("pos", "lovely fine great"), ("neg", "awful poor sad"):
            file = tmp_path / "reviews" / folder / f"{i}_{9 if folder == 'pos' else 2}.txt"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
    how = {"data": tmp_path / "reviews", "eval": tmp_path / "reviews", "output": tmp_path / "out", "steps": 3, "max_tokens": 64}
    result = lf.train("imdb", models / "filler", seeds=(3, 5), **how)
    written = json.loads((tmp_path / "out" / "seeds.json").read_text())
    assert result.steps == 6 and sorted(written["seeds"]) == ["3", "5"] and result.metrics == pytest.approx(written["mean"])
    assert result.deviation == pytest.approx(written["deviation"]) and (tmp_path / "out" / "seed-5" / "model.safetensors").exists()
    losses = [seed["loss"] for seed in written["seeds"].values()]
    assert result.metrics["loss"] == pytest.approx(sum(losses) / 2) and result.deviation["loss"] == pytest.approx(abs(losses[0] - losses[1]) / 2**0.5)
    with pytest.raises(lf.InputError, match='seeds: expected different numbers'):
        lf.train("imdb", models / "filler", seeds=[1, 1], **{**how, "output": tmp_path / "other"})
    with pytest.raises(lf.InputError, match='takes no "seeds"'):
        lf.train("classify", models / "filler", seeds=[1], **{**how, "output": tmp_path / "other"})


def test_a_program_that_trains_ends_cleanly(models, data):
    code = (
        f"import longformer_interop as lf\n"
        f"r = lf.train('masked-lm', {str(models / 'filler')!r}, data={str(data / 'train.jsonl')!r}, output={str(data / 'out')!r}, steps=2, max_tokens=64)\n"
        f"print(r.steps)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300, cwd=ROOT / "bindings" / "python")
    assert (run.returncode, run.stdout, run.stderr) == (0, "2\n", ""), run


def start(lf, models: Path, folder: Path, kind: str) -> Path:
    """A tiny RoBERTa, BERT or BART out of a Longformer or an LED under their names, or a configuration without weights."""
    source = models / ("summarizer" if kind == "bart" else "filler")
    folder.mkdir()
    for name in ("vocab.json", "merges.txt", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"):
        if (source / name).exists():
            (folder / name).write_bytes((source / name).read_bytes())
    configuration = json.loads((source / "config.json").read_text())
    if kind == "configuration":
        (folder / "config.json").write_text(json.dumps(configuration))
        return folder
    tensors = {name: array for name, array in lf.load_safetensors(source / "model.safetensors").items() if "_global" not in name}
    for name in ("attention_window", "max_encoder_position_embeddings", "max_decoder_position_embeddings", "architectures"):
        configuration.pop(name, None)
    configuration["model_type"] = kind
    if kind == "bart":
        # BART has as many positions on both sides, behind two rows that nobody uses.
        rows = min(tensors[f"led.{side}.embed_positions.weight"].shape[0] for side in ("encoder", "decoder"))
        names = {"led.": "model.", "longformer_self_attn.query": "q_proj", "longformer_self_attn.key": "k_proj", "longformer_self_attn.value": "v_proj",
                 "encoder_self_attn.output": "out_proj", "self_attn.output": "self_attn.out_proj"}  # fmt: skip
        for side in ("encoder", "decoder"):
            table = tensors[f"led.{side}.embed_positions.weight"][:rows]
            tensors[f"led.{side}.embed_positions.weight"] = np.concatenate([table[:2], table])
        configuration["max_position_embeddings"] = rows
    else:
        names = {"longformer.": f"{kind}."}
        table = tensors["longformer.embeddings.position_embeddings.weight"]
        if kind == "bert":
            for file in folder.iterdir():
                file.unlink()
            (folder / "vocab.txt").write_text("\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *GOOD, *BAD]))
            configuration["pad_token_id"] = 0
            names |= {"lm_head.dense": "cls.predictions.transform.dense", "lm_head.layer_norm": "cls.predictions.transform.LayerNorm", "lm_head.bias": "cls.predictions.bias"}
        configuration["max_position_embeddings"] = table.shape[0]
    for old, new in names.items():
        tensors = {name.replace(old, new): array for name, array in tensors.items()}
    (folder / "config.json").write_text(json.dumps(configuration))
    lf.save_safetensors(folder / "model.safetensors", tensors)
    return folder


@pytest.mark.parametrize("kind", ["roberta", "bert", "bart", "configuration"])
def test_every_starting_point(lf, models, data, kind):
    notes = []
    led = kind == "bart"
    result = lf.train(
        "summarize" if led else "classify", start(lf, models, data / kind, kind), data=data / "train.jsonl", output=data / "out", steps=2, batch_size=4,
        max_tokens=40,
        column={"document": "text", "summary": "label"} if led else None, max_target_tokens=16 if led else None,
        on_event=lambda event: notes.append(event.message) if event.kind == "note" else None,
    )  # fmt: skip
    said = "random weights" if kind == "configuration" else f"made of a {kind} with positions for"
    assert any(said in note for note in notes), notes
    assert said.split(" with")[0].lower() in (data / "out" / "README.md").read_text().lower()
    with (lf.Summarizer if led else lf.TextClassifier).load(result.folder) as task:
        assert task.summarize("lovely fine", max_tokens=3, truncate=True) is not None if led else task.classify("lovely fine")[0].label in ("good", "bad")
