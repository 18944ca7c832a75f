"""Generation: streaming, options, the goldens' conditions by way of its own consistency."""
from __future__ import annotations

import asyncio

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
    told = []
    led.summarize([DOCUMENT, DOCUMENT], max_tokens=6, min_tokens=6, progress=told.append)
    assert told[-1].total == 2 and max(p.tokens for p in told) >= 5
