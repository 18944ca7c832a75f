"""Tokenizers: the goldens of HF's tokenizers, offsets in Python's characters, windows."""
from __future__ import annotations

import json

import pytest
from goldens import FOLDER


def rows(kind, file):
    return [json.loads(line) for line in (FOLDER / "tokenizer" / kind / file).read_text().splitlines()]


@pytest.mark.parametrize("kind", ["tiny", "roberta", "wordpiece"])
def test_ids_and_offsets_are_those_of_the_reference(lf, kind):
    with lf.Tokenizer.load(FOLDER / "tokenizer" / kind) as tokenizer:
        for row in rows(kind, "encode.jsonl"):
            tokens = tokenizer.encode(row["text"])
            assert list(tokens.ids) == row["ids"], row["text"]
            assert [list(o) for o in tokens.offsets] == row["offsets"], row["text"]


def test_decoding_gives_the_text_back(lf):
    with lf.Tokenizer.load(FOLDER / "tokenizer" / "roberta") as tokenizer:
        for text in ("Hello world", " leading", "\N{GRINNING FACE} \N{MATHEMATICAL BOLD SMALL A}", "a\nb\tc", "caf\u00e9 na\u00efve"):
            assert tokenizer.decode(tokenizer.encode(text).ids, skip_special_tokens=True) == text
        assert tokenizer.decode([]) == ""


def test_pairs_windows_and_special_tokens(lf, models):
    with lf.Tokenizer.load(models / "encoder") as tokenizer:
        pair = tokenizer.encode("one two", "three four")
        assert set(pair.sequence_ids) == {-1, 0, 1} and len(pair) == len(pair.ids) == len(pair.offsets)
        bare = tokenizer.encode("one two", add_special_tokens=False)
        assert list(pair.ids)[1 : 1 + len(bare)] == list(bare.ids) and set(bare.special_tokens_mask) == {0}
        text = "one two three four five six seven eight nine ten " * 3
        windows = tokenizer.encode_windows(text, max_length=12, stride=3)
        assert all(len(w) <= 12 for w in windows) and len(windows) > 3
        assert windows[0].ids[-4:-1] == windows[1].ids[1:4]
        assert tokenizer.encode(text, max_length=12).ids == windows[0].ids
        special = tokenizer.special_tokens
        assert special["mask"] == tokenizer.token_to_id("<mask>") and tokenizer.id_to_token(special["cls"]) == "<s>"
        assert tokenizer.token_to_id("no such token") is None and tokenizer.id_to_token(10**6) is None
        assert len(tokenizer) == tokenizer.vocabulary_size > 1000 and "tokens" in repr(tokenizer)


def test_a_batch_gives_what_each_text_gives_alone(lf, models):
    given = ["One.", "", "One two three four five.", "\N{GRINNING FACE} caf\u00e9"]
    with lf.Tokenizer.load(models / "encoder") as tokenizer:
        assert tokenizer.encode_batch(given) == [tokenizer.encode(t) for t in given]
        assert tokenizer.encode_batch(given, given[::-1], max_length=12) == [tokenizer.encode(a, b, max_length=12) for a, b in zip(given, given[::-1])]
        assert tokenizer.encode_batch([]) == []
        padded = tokenizer.encode_batch(given, padding="longest", padding_side="left", pad_to_multiple_of=4)
        assert len({len(e) for e in padded}) == 1 and len(padded[0]) % 4 == 0
        for e, t in zip(padded, given):
            own = tokenizer.encode(t)
            assert e.ids[-len(own) :] == own.ids and sum(e.attention_mask) == len(own) and e.ids[0] in (tokenizer.special_tokens["pad"], own.ids[0])
        assert {len(e) for e in tokenizer.encode_batch(given, max_length=6, padding="max_length")} == {6}
        with pytest.raises(lf.InputError, match="pairs"):
            tokenizer.encode_batch(given, ["one"])
        with pytest.raises(lf.InputError, match="padding"):
            tokenizer.encode_batch(given, padding="max_length")
        with pytest.raises(lf.InputError, match=r"texts\[1\]"):
            tokenizer.encode_batch(["a", 3])


def test_wrong_arguments_are_refused(lf, models, tmp_path):
    with pytest.raises(lf.CheckpointError):
        lf.Tokenizer.load(tmp_path)
    with lf.Tokenizer.load(models / "encoder") as tokenizer:
        with pytest.raises(lf.InputError, match="text"):
            tokenizer.encode(b"bytes")
        with pytest.raises(lf.InputError, match="truncation"):
            tokenizer.encode("text", truncation="sometimes")
        with pytest.raises(lf.LongformerError, match="-1"):
            tokenizer.decode([-1])
        assert tokenizer.decode([10**6]) == ""  # as HF's tokenizers: an id that the vocabulary leaves unused is no text


@pytest.mark.parametrize("text", ["a\ud83d b", "\udc4d", "caf\udce9 x"])
def test_half_a_surrogate_pair_is_the_character_of_replacement(lf, models, text):
    whole = "".join("\ufffd" if 0xD800 <= ord(c) < 0xE000 else c for c in text)
    with lf.DocumentEncoder.load(models / "encoder") as encoder:
        tokenizer = encoder.tokenizer
        given, expected = tokenizer.encode(text), tokenizer.encode(whole)
        assert given.ids == expected.ids and given.offsets == expected.offsets
        assert (encoder.encode([text, "b"]) == encoder.encode([whole, "b"])).all()
        assert (encoder.encode(text) == encoder.encode(whole)).all()


def test_an_id_that_cannot_be_is_an_argument_that_is_wrong(lf, models):
    with lf.DocumentEncoder.load(models / "encoder") as encoder:
        with pytest.raises(lf.InputError, match=r"ids\[1\]: expected an id of 0 or more, given -1"):
            encoder.tokenizer.decode([5, -1])
        with pytest.raises(lf.InputError, match="MaxLength"):
            encoder.tokenizer.encode("a", max_length=1)
        assert encoder.tokenizer.decode([10**6]) == ""
