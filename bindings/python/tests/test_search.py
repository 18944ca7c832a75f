"""Search over a corpus: what it finds is checked against vectors and words computed here."""
from __future__ import annotations

import math
import re

import numpy as np
import pytest

DOCUMENTS = {
    "tar": "Tar stores files in an archive.\n\nIt extracts the files of an archive again \U0001f600 and lists them.",
    "lpr": "A queue of jobs waits for the printer; lpr puts files there.",
    "noodles": "Boil the noodles in salted water for nine minutes.",
}


@pytest.fixture(scope="module")
def encoder(lf, models):
    with lf.DocumentEncoder.load(models / "encoder") as loaded:
        yield loaded


def bm25(question):
    words = {name: re.findall(r"[^\W_]+", text.lower()) for name, text in DOCUMENTS.items()}
    mean = sum(map(len, words.values())) / len(words)

    def score(own):
        total = 0.0
        for word in re.findall(r"[^\W_]+", question.lower()):
            n, f = sum(word in w for w in words.values()), own.count(word)
            total += math.log(1 + (len(words) - n + 0.5) / (n + 0.5)) * f * 2.2 / (f + 1.2 * (0.25 + 0.75 * len(own) / mean))
        return total

    return {name: score(own) for name, own in words.items()}


def test_by_words_it_is_bm25_and_needs_no_encoder(lf, tmp_path):
    path = tmp_path / "words.lfindex"
    made = lf.SearchIndex.build(path, DOCUMENTS)
    assert (made.documents, made.reused) == (3, 0)
    expected = bm25("files of the archive")
    found = lf.SearchIndex(path).search("files of the archive")
    assert {r.source: pytest.approx(r.score, rel=1e-5) for r in found} == {n: s for n, s in expected.items() if s > 0}
    assert [r.score for r in found] == sorted((r.score for r in found), reverse=True)
    with pytest.raises(lf.InputError, match="no vectors"):
        lf.SearchIndex(path).search("files", by="meaning")


def test_by_meaning_it_is_the_cosine_of_every_passage(lf, encoder, tmp_path):
    path = tmp_path / "x.lfindex"
    seen = []
    made = lf.SearchIndex.build(path, DOCUMENTS.items(), encoder, passage_tokens=24, progress=seen.append)
    assert made.passages > 3 and [p.done for p in seen] == [1, 2, 3]
    question = encoder.encode("extract files", normalize=True)
    for result in lf.SearchIndex(path, encoder).search("extract files", by="meaning", passages=9):
        for p in result.passages:
            assert DOCUMENTS[result.source][p.start : p.end] == p.text
            assert p.score == pytest.approx(float(np.dot(encoder.encode(p.text, normalize=True), question)), abs=1e-5)
        assert result.score == pytest.approx(max(p.score for p in result.passages), abs=1e-6)
    assert lf.SearchIndex.build(path, DOCUMENTS, encoder, passage_tokens=24).reused == 3


def test_what_cannot_be_searched_is_named(lf, encoder, models, tmp_path):
    path = tmp_path / "x.lfindex"
    with pytest.raises(lf.InputError, match="documents: expected at least one"):
        lf.SearchIndex.build(path, {}, encoder)
    with pytest.raises(lf.CheckpointError, match="no such file"):
        lf.SearchIndex(path).search("x")
    lf.SearchIndex.build(path, DOCUMENTS, encoder)
    with pytest.raises(lf.InputError, match="question"):
        lf.SearchIndex(path, encoder).search(" ")
    with pytest.raises(lf.InputError, match="by: "):
        lf.SearchIndex(path).search("x", by="luck")
    with lf.DocumentEncoder.load(models / "filler") as other, pytest.raises(lf.InputError, match="another or a changed one"):
        lf.SearchIndex(path, other).search("x")


def test_without_a_folder_the_encoder_is_that_of_the_model_in_the_box(lf, models, monkeypatch, tmp_path):
    monkeypatch.setenv("LONGFORMER_DEFAULT_MODEL", str(models / "summarizer"))
    with lf.DocumentEncoder.load() as box:
        lf.SearchIndex.build(tmp_path / "x", DOCUMENTS, box)
        assert len(lf.SearchIndex(tmp_path / "x", box).search("archive", by="both")) == 3


def test_pairs_train_a_folder_that_encodes(lf, models, tmp_path):
    data = tmp_path / "pairs.jsonl"
    data.write_text("".join(f'{{"query": "number {i}", "text": "the text of {i}"}}\n' for i in range(40)))
    options = {"dimension": 16, "epochs": 2, "batch_size": 20, "max_tokens": 32, "poolings": ["mean"]}
    result = lf.train("pairs", models / "encoder", data=data, eval=data, output=tmp_path / "trained", **options)
    assert set(result.metrics) == {"recall_at_1", "recall_at_10", "recall_at_100", "mrr"}
    with lf.DocumentEncoder.load(tmp_path / "trained") as trained:
        assert trained.encode("number 3").shape == (16,)
