"""The default model's sense of meaning, its fast tokenizer and its demo, without a network and without the model."""
from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import bpe
import corpus
import demo
import meaning


def test_questions_are_synopses_that_say_something_of_packages_with_pages():
    records = [{"package": "b"}, {"package": "a"}, {"package": "a"}, {"package": "c"}]
    assert meaning.questions(records, {"a": "turns knobs.", "b": "x", "d": "a tool of another package"}) == [("turns knobs", "a")]


def test_ranks_are_those_of_the_first_page_of_the_right_package(monkeypatch):
    found = {"questions": [{"results": [{"source": "x/a.1#0"}, {"source": "right/b.1#1"}, {"source": "right/c.1#2"}]}, {"results": []}]}
    asked = []
    monkeypatch.setattr(meaning, "longformer", lambda *arguments: asked.append(arguments) or found)
    places = meaning.ranks(Path("index"), Path("model"), [("one", "right"), ("two", "other")], 2, "--by", "words")
    assert places == [2, 101]
    assert asked[0][:5] == ("search", Path("model"), "--corpus", Path("index"), "--top") and asked[0][-4:] == ("--question", "one", "--question", "two")
    assert meaning.recall(places) == {"recall at 1": 0, "recall at 10": 50, "recall at 100": 50}


@pytest.mark.parametrize(("meant", "reached"), [(70.0, False), (90.0, True)])
def test_the_card_says_whether_the_goal_was_reached(meant, reached):
    def row(ten):
        return {"recall at 1": 1.0, "recall at 10": ten, "recall at 100": 99.0}

    found = {
        "rows": {"words (BM25)": row(65.0), "meaning": row(meant), "both, 0.3 of meaning": row(72.5)}, "weight": 0.3, "pages": 5000, "dev": 499, "test": 851,
        "packages": 412, "dev_packages": 250, "passages": 30000, "passage_tokens": 256, "pairs": 47000, "held": {}, "max_tokens": 192, "dimension": 192,
    }  # fmt: skip
    text = meaning.section(found)
    assert "| words (BM25) | 1.0 | 65.0 | 99.0 |" in text and "5,000 whole pages" in text and "+7.5" in text
    assert ("was not reached" in text) != reached


def test_the_fast_tokenizer_has_the_pieces_of_the_other_and_reads_alike(tmp_path):
    bpe.write_tokenizer(tmp_path, ["Tar stores files in an archive, and extracts files of archives again. " * 9], 300, 64)
    bpe.write_fast(tmp_path)
    fast = json.loads((tmp_path / "tokenizer.json").read_text("utf-8"))
    assert fast["model"]["vocab"] == json.loads((tmp_path / "vocab.json").read_text("utf-8"))
    assert fast["model"]["merges"] == (tmp_path / "merges.txt").read_text("utf-8").split("\n")[1:-1]
    lf = pytest.importorskip("longformer_interop")
    text = "  Tar's <mask> archive\n\nextracts é files 7."
    both = lf.Tokenizer.load(tmp_path).encode(text)
    (tmp_path / "tokenizer.json").unlink()
    slow = lf.Tokenizer.load(tmp_path).encode(text)
    assert both.ids == slow.ids and both.offsets == slow.offsets


def test_pages_of_the_demo_are_never_learnt_from():
    assert {corpus.part_of(source, 42) for source in ("bash", "tar", "git", "tcc")} == {"test"}
    assert json.loads((Path(demo.__file__).with_name("settings.json")).read_text("utf-8"))["seed"] == 42


def test_a_demo_that_cannot_fetch_says_so_in_one_line(tmp_path, monkeypatch, capsys):
    def refuse(packages, folder):
        raise OSError("apt-get cannot download bash")

    monkeypatch.setattr(demo, "download", refuse)
    monkeypatch.setattr(sys, "argv", ["demo.py", str(tmp_path / "pages")])
    demo.main()
    assert capsys.readouterr().err == "demo: no manual pages to show: apt-get cannot download bash\n"
