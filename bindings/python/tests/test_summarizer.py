"""Generation: streaming, options, the goldens' conditions by way of its own consistency."""
from __future__ import annotations

import asyncio
import pickle
import re

import numpy as np
import pytest

DOCUMENT = "The old house stood on the hill. " * 20


@pytest.fixture(scope="module")
def led(lf, models):
    with lf.Summarizer.load(models / "summarizer") as summarizer:
        yield summarizer


def test_the_streamed_pieces_are_the_text(led):
    pieces = []
    text = led.summarize(DOCUMENT, beams=2, max_tokens=20, on_token=pieces.append)
    assert "".join(pieces) == text == led.summarize(DOCUMENT, beams=2, max_tokens=20)
    assert all(isinstance(p, str) for p in pieces) and pieces
    assert "".join(led.stream(DOCUMENT, beams=2, max_tokens=20)) == text


def test_without_a_folder_the_model_in_the_box_is_loaded(lf, models, monkeypatch, led):
    monkeypatch.setenv("LONGFORMER_DEFAULT_MODEL", str(models / "summarizer"))
    with lf.Summarizer.load() as summarizer:
        assert summarizer.summarize(DOCUMENT, max_tokens=10) == led.summarize(DOCUMENT, max_tokens=10)
        with pickle.loads(pickle.dumps(summarizer)) as again:
            assert again.folder is None
    monkeypatch.setenv("LONGFORMER_DEFAULT_MODEL", str(models / "absent"))
    with pytest.raises(lf.CheckpointError, match="LONGFORMER_DEFAULT_MODEL: expected a checkpoint folder with config.json, given .*absent"):
        lf.Summarizer.load()


def test_several_documents_give_what_each_gives_alone(led):
    documents = [DOCUMENT, "Short."]
    assert led.summarize(documents, max_tokens=10) == [led.summarize(d, max_tokens=10) for d in documents]


def test_all_results_come_with_ids_and_scores(lf, led):
    [results] = led.summarize_all([DOCUMENT], beams=3, n_best=3, max_tokens=9)
    assert len(results) == 3 and [r.score for r in results] == sorted((r.score for r in results), reverse=True)
    tokenizer = led.tokenizer
    for r in results:
        assert tokenizer.decode(r.ids, skip_special_tokens=True) == r.text and len(r.ids) <= 10


def test_sampling_depends_on_its_seed_alone(led):
    how = {"sample": True, "temperature": 1.3, "top_k": 20, "top_p": 0.9, "max_tokens": 12}
    first = led.summarize(DOCUMENT, **how, seed=1)
    assert first == led.summarize(DOCUMENT, **how, seed=1)
    assert len({led.summarize(DOCUMENT, **how, seed=s) for s in (1, 2, 3, 2**40)}) > 1


def test_an_options_object_and_keywords_say_the_same(lf, led):
    options = lf.GenerationOptions(beams=2, max_tokens=11, no_repeat_ngram=2, length_penalty=2.0, early_stopping=True)
    assert led.summarize(DOCUMENT, options) == led.summarize(
        DOCUMENT, beams=2, max_tokens=11, no_repeat_ngram=2, length_penalty=2.0, early_stopping=True
    )
    assert led.summarize_all([DOCUMENT], options, max_tokens=3)[0][0].ids[:1] == led.summarize_all([DOCUMENT], options)[0][0].ids[:1]


def test_impossible_options_are_refused(lf, led):
    with pytest.raises(lf.InputError, match="beems"):
        led.summarize(DOCUMENT, beems=3)
    with pytest.raises(lf.InputError):
        led.summarize(DOCUMENT, beams=0)
    with pytest.raises(lf.InputError):
        led.summarize(DOCUMENT, sample=True, temperature=-1.0)
    with pytest.raises(lf.InputError, match="early_stopping"):
        led.summarize(DOCUMENT, early_stopping="maybe")
    with pytest.raises(lf.InputError, match="on_token"):
        led.summarize([DOCUMENT, DOCUMENT], on_token=print)
    with pytest.raises(lf.InputError, match="seed"):
        led.summarize(DOCUMENT, sample=True, seed=-1)


@pytest.mark.parametrize(
    "own, config, others",
    [
        ({"encoder_no_repeat_ngram": 1}, {"encoder_no_repeat_ngram_size": 1}, {}),
        ({"encoder_repetition_penalty": 50.0}, {"encoder_repetition_penalty": 50.0}, {}),
        ({"stop_string": "e"}, {"stop_strings": ["e"]}, {}),
        ({"max_time": 0.0}, {"max_time": 0.0}, {}),
        ({"min_p": 1.0}, {"min_p": 1.0}, {"sample": True, "temperature": 50.0}),
        ({"typical_p": 0.05}, {"typical_p": 0.05}, {"sample": True, "temperature": 50.0}),
        ({"epsilon_cutoff": 0.02}, {"epsilon_cutoff": 0.02}, {"sample": True, "temperature": 1.0}),
        ({"top_h": 0.1}, {"top_h": 0.1}, {"sample": True, "temperature": 5.0}),
    ],
)
def test_an_option_is_the_key_of_generation_config(led, own, config, others):
    given = led.summarize_all([DOCUMENT], max_tokens=12, **own, **others)[0][0].ids
    assert given == led.summarize_all([DOCUMENT], max_tokens=12, config=config, **others)[0][0].ids
    if not {"stop_string", "encoder_no_repeat_ngram"} & set(own):
        assert given != led.summarize_all([DOCUMENT], max_tokens=12, **others)[0][0].ids


def test_beams_are_ordered_by_probability_per_word_and_words_of_the_document(led):
    plain = led.summarize_all([DOCUMENT], max_tokens=12, beams=16, n_best=16)[0]
    known = set(re.findall(r"[^\W_]+", DOCUMENT.lower()))

    def score(summary, weight):
        words = re.findall(r"[^\W_]+", summary.text.lower())
        return (summary.score * (len(summary.ids) - 1) + weight * sum(w in known for w in words)) / max(1, len(words))

    for weight in (0.0, 4.0):
        ranked = led.summarize_all([DOCUMENT], max_tokens=12, beams=16, n_best=16, rerank=weight)[0]
        assert {s.ids for s in ranked} == {s.ids for s in plain}
        scores = [score(s, weight) for s in ranked]
        assert all(a >= b - 1e-4 for a, b in zip(scores, scores[1:]))
        assert led.summarize_all([DOCUMENT], max_tokens=12, config={"num_beams": 16, "rerank": weight})[0][0].ids == ranked[0].ids
    assert led.summarize(DOCUMENT, max_tokens=12, beams=16, rerank=-1.0) == plain[0].text


def test_no_token_of_the_document_is_repeated(led):
    token = led.tokenizer.encode(DOCUMENT).ids[3]
    towards = {"sequence_bias": [[[token], 1e6]]}
    assert set(led.summarize_all([DOCUMENT], max_tokens=8, config=towards)[0][0].ids[1:-1]) == {token}
    assert token not in led.summarize_all([DOCUMENT], max_tokens=8, config=towards, encoder_no_repeat_ngram=1)[0][0].ids


def test_any_key_of_generation_config_is_taken(led):
    plain = led.summarize_all([DOCUMENT], max_tokens=12)[0][0].ids
    biased = led.summarize_all([DOCUMENT], max_tokens=12, config={"sequence_bias": [[[plain[1]], -1e6], [[7], 1e6]]})[0][0].ids
    assert set(biased[1:]) == {7} and 7 not in plain[1:2]


@pytest.mark.parametrize(
    "config",
    [
        {"guidance_scale": 1.5},
        {"force_words_ids": [[5]]},
        {"constraints": [1]},
        {"num_beams": 4, "num_beam_groups": 2},
        {"dola_layers": "low"},
        {"penalty_alpha": 0.5, "top_k": 4},
        {"watermarking_config": {"bias": 2.5}},
        {"token_healing": True},
    ],
)
def test_what_is_not_built_is_refused_by_name(lf, led, config):
    with pytest.raises(lf.InputError, match="|".join(config)):
        led.summarize(DOCUMENT, max_tokens=4, config=config)


def test_numbers_of_numpy_are_numbers(led):
    plain = led.summarize(DOCUMENT, beams=2, max_tokens=6, length_penalty=0.5, early_stopping=True)
    assert plain == led.summarize(DOCUMENT, beams=np.int64(2), max_tokens=np.int32(6), length_penalty=np.float32(0.5), early_stopping=np.bool_(True))


def test_leaving_a_stream_early_stops_it(led):
    stream = led.stream(DOCUMENT, max_tokens=100, min_tokens=90)
    first = next(stream)
    stream.close()
    assert isinstance(first, str)


def test_an_exception_in_on_token_stops_and_is_raised(led):
    calls = []

    def refuse(piece):
        calls.append(piece)
        raise KeyError("enough")

    with pytest.raises(KeyError, match="enough"):
        led.summarize(DOCUMENT, max_tokens=100, min_tokens=90, on_token=refuse)
    assert len(calls) == 1


def test_asynchronous_streams_and_summaries(led):
    async def work():
        pieces = [p async for p in led.astream(DOCUMENT, max_tokens=8)]
        return "".join(pieces), await led.asummarize(DOCUMENT, max_tokens=8)

    streamed, whole = asyncio.run(work())
    assert streamed == whole


def test_progress_counts_tokens(led):
    reports = []
    led.summarize([DOCUMENT, DOCUMENT], max_tokens=6, min_tokens=6, progress=reports.append)
    assert reports[-1].total == 2 and max(p.tokens for p in reports) >= 5
