"""The tools behind `make default-model`: data, tokenizer and scores, without a network."""
from __future__ import annotations

import collections
import gzip
import json
import lzma
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import bpe
import corpus
import debian
import pages
import scores
import start
import training

PAGE = """FROB(1)                     General Commands Manual                     FROB(1)

NAME
       frob, unfrob - turn knobs of a
       machine.

SYNOPSIS
       frob [-v] knob

DESCRIPTION
       Frob turns a knob. It needs no root.

SEE ALSO
       knob(5)
"""


def test_the_name_line_leaves_the_page_and_nothing_else_does():
    text, line = pages.split_name(PAGE)
    assert line == "turn knobs of a machine"
    assert "turn knobs of a" not in text and "NAME" not in text
    assert text.split() == [w for part in (PAGE.partition("NAME")[0], PAGE[PAGE.index("SYNOPSIS") :]) for w in part.split()]


@pytest.mark.parametrize("name", ["", "       frob turns knobs\n", "       frob -\n"])
def test_a_page_without_a_dash_in_name_has_no_line(name):
    assert pages.split_name(f"FROB(1)\n\nNAME\n{name}\nSYNOPSIS\n       frob\n") is None
    assert pages.split_name("FROB(1)\n\nSYNOPSIS\n       frob - x\n") is None


def test_a_second_name_with_its_own_dash_does_not_run_into_the_first():
    text = "FROB(1)\n\nNAME\n       frob - turn a knob\n       unfrob - turn it back\n\nSYNOPSIS\n       frob\n"
    assert pages.split_name(text)[1] == "turn a knob"


def test_a_title_that_says_the_line_too_is_cut():
    text, line = pages.split_name("FROB(1)\n       Turn a knob, 1.0\n\nNAME\n       frob - turn a knob\n\nSYNOPSIS\n       frob\n")
    assert (text, line) == ("FROB(1)\n\nSYNOPSIS\n       frob\n", "turn a knob")


@pytest.mark.parametrize("source, stub", [
    (b".so man1/frob.1\n", True), (b'.\\" comment\n.so man1/frob.1', True), (b".TH FROB 1\n.so man1/x.1\n", False), (b"", False), (b"\n" * 200 + b"x", False),
])  # fmt: skip
def test_a_stub_is_a_page_that_names_another_and_no_more(source, stub):
    assert pages.is_stub(source) is stub


@pytest.mark.parametrize("line, worth", [
    ("turn knobs", True), ("manual page for frob 1.0", False), ("Manual page for frob", False), ("knobs", False), ("делать что-то ещё", False),
    ("man page of frob", False), (" ".join(["word"] * 31), False), ("manual control of knobs", True),
])  # fmt: skip
def test_a_line_that_says_nothing_is_not_learnt(line, worth):
    assert pages.says_something(line) is worth


def test_the_baselines_come_from_the_page():
    text, _ = pages.split_name(PAGE)
    assert pages.first_sentence(text) == "Frob turns a knob"
    assert pages.first_sentence(text, 2) == "Frob turns"
    assert pages.title_words("GIT-CONFIG(1)   Git Manual") == "git config"
    assert pages.title_words("no title") == ""


def test_a_source_is_in_one_part_and_the_pages_of_the_demo_are_never_learnt():
    parts = collections.Counter(corpus.part_of(f"source-{i}", 42) for i in range(4000))
    assert 0.9 < parts["train"] / 4000 < 0.94 and parts["dev"] > 60 and parts["test"] > 120
    assert [corpus.part_of(s, seed) for s in ("bash", "tar", "git", "gcc-12") for seed in range(5)] == ["test"] * 20
    assert corpus.part_of("bash-completion", 42) == corpus.part_of("bash-completion", 42)


def package(name: str, source: str, size: int, count: int) -> debian.Package:
    return debian.Package(name, source, "1", "all", "net", size, "s", "d", "0", [f"usr/share/man/man1/{i}.1.gz" for i in range(count)])


def test_one_package_of_a_source_is_chosen_by_its_pages_and_its_size():
    s, t, u = [name for name in (f"source-{i}" for i in range(99)) if corpus.part_of(name, 42) != "train"][:3]
    listed = [package("a", s, 10, 1), package("b", s, 10, 3), package("c", s, 1000, 9), package("d", t, 10, 0), package("e", u, 10, 1)]
    largest = {"train": 5000, "others": 100}
    assert {p.name for p in corpus.choose(listed, 9, largest, 42)} == {"b", "e"}
    assert len(corpus.choose(listed, 1, largest, 42)) == 1
    assert corpus.choose(listed, 9, largest, 42) == corpus.choose(listed, 9, largest, 42)


def test_every_package_of_a_source_to_be_learnt_from_is_chosen_up_to_its_own_size():
    source = next(name for name in (f"source-{i}" for i in range(9)) if corpus.part_of(name, 42) == "train")
    listed = [package("a", source, 10, 1), package("b", source, 300, 3), package("c", source, 1000, 9), package("d", source, 10, 0)]
    assert [p.name for p in corpus.choose(listed, 9, {"train": 500, "others": 100}, 42)] == ["b", "a"]


def test_contents_are_read_by_owner():
    lines = ["usr/share/man/man1/frob.1.gz      net/frob,admin/unfrob\n", "usr/share/man/de/man1/frob.1.gz net/frob\n", "usr/bin/frob net/frob\n",
             "usr/share/man/man3/frob.3.gz net/frob-dev\n", "usr/share/man/man8/with space.8.gz    contrib/net/frob\n"]  # fmt: skip
    assert debian.contents(lines) == {
        "frob": ["usr/share/man/man1/frob.1.gz", "usr/share/man/man8/with space.8.gz"], "unfrob": ["usr/share/man/man1/frob.1.gz"],
        "frob-dev": ["usr/share/man/man3/frob.3.gz"],
    }  # fmt: skip


def test_stanzas_keep_what_continues():
    records = list(debian.stanzas("Package: a\nDescription: b\n c\n .\n d\n\n\nPackage: e\n"))
    assert records == [{"Package": "a", "Description": "b\nc\n.\nd"}, {"Package": "e"}]


def test_a_package_gives_its_pages_and_the_names_of_its_licences(tmp_path):
    root = tmp_path / "frob"
    for name, data in {
        "usr/share/man/man1/frob.1.gz": gzip.compress(b".TH FROB 1"), "usr/share/man/man1/bad.1.gz": b"no gzip", "usr/share/man/man5/plain.5": b".TH P 5",
        "usr/share/man/de/man1/frob.1.gz": gzip.compress(b".TH DE 1"), "usr/share/doc/frob/copyright": b"License: GPL-2+\n text\nLicense: Expat\n",
        "DEBIAN/control": b"Package: frob\nVersion: 1\nArchitecture: all\nMaintainer: x <x@y>\nDescription: x\n",
    }.items():  # fmt: skip
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(data)
    subprocess.run(["dpkg-deb", "--build", str(root), str(tmp_path / "frob.deb")], check=True, capture_output=True)
    found, licences = debian.unpack(tmp_path / "frob.deb")
    assert [(p.path, p.text) for p in found] == [("usr/share/man/man1/frob.1.gz", b".TH FROB 1"), ("usr/share/man/man5/plain.5", b".TH P 5")]
    assert licences == ["Expat", "GPL-2+"]


def test_a_description_has_the_form_of_a_page():
    described = debian.Package("frob", "frob", "1", "all", "net", 1, "turn knobs", " Frob turns\n knobs.\n\n" + "It is " * 30, "0", [])
    record = corpus.description_record(described)
    assert record["summary"] == "turn knobs"
    assert record["document"].startswith("FROB(1)  ") and "\n\nDESCRIPTION\n       Frob turns\n       knobs.\n\n       It is" in record["document"]
    assert pages.first_sentence(record["document"]) == "Frob turns knobs"


def test_a_text_is_seen_once_whatever_its_digits_and_case():
    once = corpus.Once()
    assert [once.is_new("Frob 1.0"), once.is_new("frob 2.17"), once.is_new("frob", "1"), once.is_new("unfrob")] == [True, False, True, True]


def merges_by_hand(pieces: dict[str, int], most: int) -> list[tuple[str, str]]:
    """All pairs counted anew for every merge."""
    words = {piece: list(piece) for piece in pieces}
    merges = []
    while len(merges) < most:
        counts = collections.Counter()
        for piece, word in words.items():
            for pair in zip(word, word[1:]):
                counts[pair] += pieces[piece]
        best = min(counts.items(), key=lambda item: (-item[1], item[0]), default=None)
        if best is None or best[1] < 2:
            break
        merges.append(best[0])
        for word in words.values():
            k = 0
            while k + 1 < len(word):
                if (word[k], word[k + 1]) == best[0]:
                    word[k : k + 2] = [word[k] + word[k + 1]]
                k += 1
    return merges


@settings(max_examples=200, deadline=None, database=None)
@given(st.dictionaries(st.text("abc", min_size=1, max_size=9), st.integers(1, 5), max_size=12), st.integers(0, 12))
def test_merges_are_those_of_counting_all_pairs_anew(pieces, most):
    assert bpe.learn_merges(pieces, most) == merges_by_hand(pieces, most)


@settings(database=None)
@given(st.text(max_size=60))
def test_pieces_cover_every_text(text):
    assert "".join(bpe.PIECE.findall(text)) == text


def test_the_tokenizer_has_the_size_asked_for_and_the_same_bytes_again(tmp_path):
    texts = [PAGE, "DESCRIPTION\n       Knobs turn as frob turns them.\n"] * 3
    for name in ("a", "b"):
        assert bpe.write_tokenizer(tmp_path / name, texts, 300, 64) == 300
    vocabulary = json.loads((tmp_path / "a" / "vocab.json").read_text("utf-8"))
    assert sorted(vocabulary.values()) == list(range(300))
    assert [vocabulary[t] for t in ("<s>", "<pad>", "</s>", "<unk>", "<mask>")] == [0, 1, 2, 3, 299]
    assert {p.name: p.read_bytes() for p in (tmp_path / "a").iterdir()} == {p.name: p.read_bytes() for p in (tmp_path / "b").iterdir()}


def with_paths(name, source, paths, size=10):
    return debian.Package(name, source, "1", "all", "utils", size, "s", "d", "x", [f"usr/share/man/man{p[-1]}/{p}.gz" for p in paths])


def test_of_a_source_the_package_with_most_pages_of_programs_is_chosen():
    many = with_paths("lib-dev", "bash", ["a.3", "b.3", "c.3"])
    few = with_paths("frob", "bash", ["frob.1"])
    large = with_paths("frob-all", "bash", ["frob.1", "x.8"], size=1000)
    largest = {"train": 0, "others": 100}
    assert corpus.choose([many, few, large], 9, largest, 1) == [few]
    assert corpus.choose([many], 9, largest, 1) == [many]


def test_a_package_gives_so_many_pages_of_each_kind(monkeypatch):
    class Fake:
        def pages(self, package):
            return [debian.RawPage(path, path.encode()) for path in package.pages], ["Expat"]

    monkeypatch.setattr(pages, "render", lambda mandoc, text: text.decode())
    monkeypatch.setattr(pages, "split_name", lambda text: (text * 40, "turn knobs of a machine"))
    monkeypatch.setattr(pages, "is_stub", lambda text: False)
    given = with_paths("frob", "frob", [f"p{i}.{s}" for i in range(5) for s in "1358"])
    found = corpus.page_records(given, Fake(), "mandoc", {"main": 4, "other": 2}, 7)
    assert collections.Counter(r["kind"] for r in found) == {"main": 4, "other": 2}
    assert all((r["kind"] == "other") == (r["page"][-1] == "3") for r in found)


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2**32))
def test_the_exercise_hides_words_and_asks_for_the_opening(seed):
    text = "FROB(1)  X  FROB(1)\n\nDESCRIPTION\n       " + "Frob turns a knob and then the other, as long as it is there. " * 6 + "\n"
    made = training.exercise({"document": text, "package": "frob", "summary": "x"}, seed)
    shown = made["document"].split()
    assert made["summary"].split() == pages.first_paragraphs(text).split()[:44]
    assert len(shown) == len(text.split())
    assert all(a == b or a.startswith("_") for a, b in zip(shown, text.split()))
    assert training.exercise({"document": "FROB(1)\n\nDESCRIPTION\n   Short.\n", "package": "frob", "summary": "x"}, seed) is None


def test_a_gap_is_the_opening_sentence_and_its_document_lacks_it():
    text = "FROB(1)  X  FROB(1)\n\nDESCRIPTION\n       Frob turns the knobs of\n       a large machine.  Then it rests.\n\n       " + "It does so every day of the year. " * 6
    made = training.gap({"document": text, "package": "frob", "summary": "x"})
    assert made["summary"] == "Frob turns the knobs of a large machine"
    assert made["document"] == text.replace("Frob turns the knobs of\n       a large machine.", "_")
    assert made["package"] == "frob"


@pytest.mark.parametrize("body", ["Too short. " + "It rests. " * 30, "The whole text is one sentence of enough words and nothing more follows it.", "+ - * / % & = ! " * 3 + ". A" * 200])
def test_a_text_without_a_sentence_worth_hiding_has_no_gap(body):
    assert training.gap({"document": f"FROB(1)\n\nDESCRIPTION\n       {body}\n", "package": "frob", "summary": "x"}) is None


def test_exercises_mix_what_each_part_has(tmp_path):
    long = "Frob turns the knobs of a large machine. " + "It does so every day of the year. " * 6
    for part in ("train", "dev"):
        for kind in ("pages", "descriptions"):
            record = {"document": f"{kind}(1)\n\nDESCRIPTION\n       {part} says: {long}\n", "package": kind, "summary": "turn knobs"}
            (tmp_path / f"{kind}-{part}.jsonl").write_text(json.dumps(record) + "\n")
    training.write_exercises(tmp_path, 3)
    for part in ("train", "dev"):
        mixed = [json.loads(line) for line in (tmp_path / f"mixed-{part}.jsonl").read_text().splitlines()]
        assert sorted((r["package"], r["summary"]) for r in mixed) == sorted(
            (kind, line) for kind in ("pages", "descriptions") for line in ("turn knobs", f"{part} says: Frob turns the knobs of a large machine"))
        assert all(part in r["document"] or "_" in r["document"] for r in mixed)
        assert len((tmp_path / f"copy-{part}.jsonl").read_text().splitlines()) == 2
        both = [json.loads(line) for line in (tmp_path / f"lines-{part}.jsonl").read_text().splitlines()]
        assert sorted((r["package"], r["summary"]) for r in both) == [("descriptions", "turn knobs"), ("pages", "turn knobs")]
    # What is missing is made, and nothing else.
    (tmp_path / "lines-dev.jsonl").unlink()
    before = (tmp_path / "mixed-dev.jsonl").stat().st_mtime_ns
    training.write_exercises(tmp_path, 3)
    assert (tmp_path / "lines-dev.jsonl").exists() and (tmp_path / "mixed-dev.jsonl").stat().st_mtime_ns == before


CONFIG = {"d_model": 192, "vocab_size": 500, "encoder_layers": 2, "decoder_layers": 2, "encoder_attention_heads": 6, "decoder_attention_heads": 6,
          "encoder_ffn_dim": 64, "decoder_ffn_dim": 64, "max_encoder_position_embeddings": 256, "max_decoder_position_embeddings": 32}  # fmt: skip


def attention(weights, name, head, queries, keys):
    """Where a head looks from each row of the queries."""
    r = start.rows(head)
    q, k = (x @ weights[f"{name}.{kind}.weight"][r].T for x, kind in zip((queries, keys), ("query", "key") if "longformer" in name else ("q_proj", "k_proj")))
    return (q @ k.T).argmax(1)


def normed(x):
    return (x - x.mean(1, keepdims=True)) / x.std(1, keepdims=True)


def test_the_start_looks_one_token_to_the_left_and_finds_what_follows_a_word():
    weights = start.start_weights(CONFIG, 3)
    words = np.random.default_rng(1).permutation(500)[:200]
    x = normed(weights["led.shared.weight"][words] + weights["led.encoder.embed_positions.weight"][:200])
    left = "led.encoder.layers.0.self_attn"
    for head in (0, 1):
        assert (attention(weights, f"{left}.longformer_self_attn", head, x, x)[1:] == np.arange(199)).mean() > 0.9
    value, out = weights[f"{left}.longformer_self_attn.value.weight"], weights[f"{left}.output.weight"]
    before = np.vstack([x[:1], x[:-1]])
    written = sum((before @ value[start.rows(h)].T) @ out[:, start.rows(h)].T for h in (0, 1))
    document = normed(x + written)
    last = normed(weights["led.shared.weight"][words[:20]] + weights["led.decoder.embed_positions.weight"][:20])
    for head in (0, 1, 2):
        assert (attention(weights, "led.decoder.layers.0.encoder_attn", head, last, document) == np.arange(1, 21)).mean() > 0.9


def test_the_start_is_a_function_of_its_seed_and_of_a_configuration_it_fits():
    weights = start.start_weights(CONFIG, 3)
    assert all(w.dtype == np.float32 for w in weights.values())
    assert all(np.array_equal(w, start.start_weights(CONFIG, 3)[n]) for n, w in weights.items())
    assert not np.array_equal(weights["led.shared.weight"], start.start_weights(CONFIG, 4)["led.shared.weight"])
    with pytest.raises(SystemExit, match="expected a width of 192"):
        start.start_weights({**CONFIG, "d_model": 128}, 3)


def test_scores_write_the_card_the_curves_and_the_packages(tmp_path, monkeypatch):
    work, model = tmp_path / "work", tmp_path / "model"
    model.mkdir()
    (work / "data").mkdir(parents=True)
    page = {"document": "FROB(1)\n\nDESCRIPTION\n       Frob turns knobs. It rests.\n", "summary": "turn knobs", "page": "frob.1"}
    for part in ("train", "test"):
        (work / "data" / f"pages-{part}.jsonl").write_text(json.dumps(page) + "\n")
    (work / "data" / "packages.jsonl").write_text(json.dumps({"package": "frob", "version": "1-2", "part": "test", "licences": ["Expat"]}) + "\n")
    settings_ = json.loads(Path(scores.__file__).with_name("settings.json").read_text())
    names = [phase["name"] for phase in settings_["schedules"]["toy"]]
    for name in names:
        (work / "runs" / name).mkdir(parents=True)
        (work / "runs" / name / "curves.svg").write_text('<svg x="12.3456 7.5"/>')
        (work / "runs" / name / "log.jsonl").write_text(json.dumps({"step": 1, "loss": 2.0, "tokens": 30, "seconds": 0.5}) + "\n")
    monkeypatch.setattr(scores, "written", lambda *_: ["turn knobs"])
    monkeypatch.setattr(scores, "predictions", lambda *_: ["knobs"])
    rows = dict(scores.write_scores(work, model, settings_, "toy", 1, None))
    assert next(iter(rows.values())) == 100 and rows["whole pages, greedily"] < 100
    assert json.loads((model / "scores.json").read_text()) == pytest.approx(rows)
    card = (model / "README.md").read_text()
    trained = json.loads((model / "training.json").read_text())
    assert [p["phase"] for p in trained] == names and trained[0]["tokens"] == 30 and trained[0]["loss"] == [2, 2]
    assert all(f"| {name} |" in card for name in names) and "| frob.1 | turn knobs | turn knobs |" in card
    assert sorted(path.name for path in model.glob("curves-*")) == ["curves-copy.svg", "curves-mixed.svg"], "of the two longest of the toy's phases"
    assert (model / "curves-copy.svg").read_text() == '<svg x="12.3 7.5"/>'
    assert lzma.decompress((model / "packages.tsv.xz").read_bytes()).decode() == "package\tversion\tpart\tlicences\nfrob\t1-2\ttest\tExpat\n"
    (work / "begun").mkdir()
    (work / "begun" / "training.json").write_text(json.dumps([{**trained[0], "phase": "before"}]))
    assert [p["phase"] for p in scores.phases_of(settings_, "toy", work)] == ["before", *names]
    monkeypatch.setattr(scores, "MOST_BYTES", 10)
    with pytest.raises(SystemExit, match="expected at most 16 MB"):
        scores.write_scores(work, model, settings_, "toy", 1, None)


def test_a_page_that_mandoc_never_ends_is_left_out(tmp_path, monkeypatch):
    endless = tmp_path / "mandoc"
    endless.write_text("#!/bin/sh\nexec sleep 30\n")
    endless.chmod(0o755)
    monkeypatch.setattr(pages, "LONGEST_RENDERING", 0.2)
    assert pages.render(str(endless), b".TH A 1\n") == ""
    assert pages.split_name("") is None


def test_a_run_continues_with_a_model_that_was_made(tmp_path):
    model, work = tmp_path / "model", tmp_path / "work"
    model.mkdir()
    work.mkdir()
    for name in training.TOKENIZER:
        (model / name).write_text(name)
    (model / "config.json").write_text(json.dumps({"max_encoder_position_embeddings": 8, "torch_dtype": "bfloat16", "d_model": 3}))
    values = np.random.default_rng(1).normal(size=(8, 3)).astype(np.float32)
    training.write_safetensors(model / "wide.safetensors", {
        "led.encoder.embed_positions.weight": ("F32", [8, 3], values.tobytes()), "led.shared.weight": ("F32", [8, 3], (2 * values).tobytes()),
    }, {"format": "pt"})  # fmt: skip
    training.to_bfloat16(model / "wide.safetensors", model / "model.safetensors")
    with pytest.raises(SystemExit, match="with training.json, to begin with"):
        training.take_over(model, work)
    (model / "training.json").write_text("[]")
    training.take_over(model, work)
    (model / "training.json").write_text('["another"]')
    training.take_over(model, work)
    assert (work / "begun" / "training.json").read_text() == "[]", "it is taken over once"
    start = training.start_folder(work, {}, {"name": "more", "positions": 5}, None)
    assert all((start / name).read_text() == name for name in training.TOKENIZER)
    assert json.loads((start / "config.json").read_text()) == {"max_encoder_position_embeddings": 5, "d_model": 3}
    tensors, _ = training.read_safetensors(start / "model.safetensors")
    dtype, shape, raw = tensors["led.encoder.embed_positions.weight"]
    assert (dtype, shape) == ("F32", [5, 3])
    assert np.abs(np.frombuffer(raw, np.float32).reshape(5, 3) - values[:5]).max() < 0.01
    assert np.abs(np.frombuffer(tensors["led.shared.weight"][2], np.float32).reshape(8, 3) - 2 * values).max() < 0.02


def test_no_run_that_is_under_way_continues_with_another_model(tmp_path):
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "training.json").write_text("[]")
    (tmp_path / "work" / "runs").mkdir(parents=True)
    with pytest.raises(SystemExit, match="expected no phases yet"):
        training.take_over(tmp_path / "model", tmp_path / "work")
