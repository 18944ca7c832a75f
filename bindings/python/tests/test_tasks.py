"""The tasks over both backends."""
from __future__ import annotations

import pickle

import numpy as np
import pytest

LONG = "The old house stood on the hill. " * 30


def test_encode_gives_one_row_per_document_whatever_their_lengths(lf, models):
    documents = ["One.", LONG, "Two words."]
    with lf.DocumentEncoder.load(models / "encoder") as encoder:
        vectors = encoder.encode(documents)
        alone = [encoder.encode(d) for d in documents]
    assert vectors.shape == (3, 64) and vectors.dtype == np.float32
    for row, single in zip(vectors, alone):
        assert single.shape == (64,)
        np.testing.assert_allclose(row, single, atol=2e-6)


@pytest.mark.parametrize("pooling", ["mean", "cls", "tokens"])
def test_poolings_agree_with_the_tokens(lf, models, pooling):
    with lf.DocumentEncoder.load(models / "encoder") as encoder:
        result = encoder.encode([LONG], pooling, global_tokens="none")[0]
        tokens = encoder.encode(LONG, "tokens", global_tokens="none")
        length = len(encoder.tokenizer.encode(LONG))
    assert tokens.shape == (length, 64)
    expected = {"mean": tokens.mean(0), "cls": tokens[0], "tokens": tokens}[pooling]
    np.testing.assert_allclose(result, expected, atol=2e-6)


def test_normalized_vectors_have_length_one(lf, models):
    with lf.DocumentEncoder.load(models / "encoder") as encoder:
        vectors = encoder.encode(["a", LONG], normalize=True)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)


def test_a_folder_of_sentence_transformers_says_the_defaults_and_a_call_overrides_them(lf, models, tmp_path):
    import json
    import shutil

    folder = tmp_path / "sentences"
    shutil.copytree(models / "encoder", folder)
    modules = {"Transformer": "", "Pooling": "1_Pooling", "Normalize": "2_Normalize"}
    (folder / "modules.json").write_text(json.dumps([{"path": p, "type": f"sentence_transformers.models.{m}"} for m, p in modules.items()]))
    (folder / "1_Pooling").mkdir()
    (folder / "1_Pooling" / "config.json").write_text(json.dumps({"pooling_mode_cls_token": True, "pooling_mode_mean_tokens": False}))
    with lf.DocumentEncoder.load(models / "encoder") as plain, lf.DocumentEncoder.load(folder) as encoder:
        np.testing.assert_allclose(encoder.encode(LONG), plain.encode(LONG.strip(), "cls", normalize=True, global_tokens="none"), atol=1e-6)
        np.testing.assert_allclose(encoder.encode(LONG, "mean"), plain.encode(LONG.strip(), normalize=True), atol=1e-6)
        np.testing.assert_allclose(encoder.encode(LONG, "mean", normalize=False), plain.encode(LONG.strip()), atol=1e-6)
        assert abs(np.linalg.norm(plain.encode(LONG.strip())) - 1) > 1e-3


def test_no_documents_give_no_rows(lf, models):
    with lf.DocumentEncoder.load(models / "encoder") as encoder:
        assert encoder.encode([]).shape == (0, 64)
        assert encoder.encode([], "tokens") == []


def test_the_result_of_encode_is_not_a_copy(lf, models):
    with lf.DocumentEncoder.load(models / "encoder") as encoder:
        vectors = encoder.encode(["a", "b"])
    assert vectors.flags.writeable and vectors.flags.c_contiguous
    vectors[:] = 1  # the memory outlives the encoder
    assert vectors.sum() == 128


def test_the_library_writes_into_the_memory_of_the_result(models):
    import ctypes

    import longformer_interop as lf

    places = []
    with lf.DocumentEncoder.load(models / "encoder") as encoder:
        real = encoder._native._calls["encode_into"]

        def counted(*arguments):
            places.append((ctypes.addressof(arguments[5]), arguments[6]))
            return real(*arguments)

        encoder._native._calls["encode_into"] = counted
        vectors = encoder.encode(["a", "b"], "mean")
        one = encoder.encode("a", "mean")
    assert places == [(vectors.ctypes.data, 128), (one.ctypes.data, 64)] and vectors.flags.owndata
    np.testing.assert_array_equal(one, vectors[0])


def test_errors_come_by_kind_and_name_the_argument(lf, models, tmp_path):
    with pytest.raises(lf.CheckpointError, match="nowhere"):
        lf.DocumentEncoder.load(tmp_path / "nowhere")
    with pytest.raises(lf.CheckpointError):
        lf.QuestionAnswerer.load(models / "encoder")
    with pytest.raises(lf.InputError, match="attention"):
        lf.DocumentEncoder.load(models / "encoder", attention="magic")
    with pytest.raises(lf.InputError, match="dtype"):
        lf.DocumentEncoder.load(models / "encoder", dtype="int3")
    with pytest.raises(lf.LongformerError):
        lf.DocumentEncoder.load(models / "encoder", device="toaster")
    with lf.DocumentEncoder.load(models / "encoder") as encoder:
        with pytest.raises(lf.InputError, match=r"documents\[1\]"):
            encoder.encode(["fine", ""])
        with pytest.raises(lf.InputError, match="512"):
            encoder.encode(LONG * 50)
        with pytest.raises(lf.InputError, match="pooling"):
            encoder.encode("text", "max")
        with pytest.raises(lf.InputError, match=r"documents\[0\].*int"):
            encoder.encode([3])
        assert encoder.encode(LONG * 50, truncate=True).shape == (64,)
        assert issubclass(lf.InputError, ValueError)
    with pytest.raises(lf.LongformerError, match="closed"):
        encoder.encode("text")


def test_a_missing_cuda_device_is_a_device_error(lf, models):
    if lf.cuda_available():
        pytest.skip("there is a CUDA device here")
    with pytest.raises(lf.DeviceError):
        lf.DocumentEncoder.load(models / "encoder", device="cuda")


def test_answers_are_spans_of_the_document_in_characters(lf, models):
    document = "Caf\N{LATIN SMALL LETTER E WITH ACUTE} \N{MATHEMATICAL BOLD SMALL A}\N{GRINNING FACE} " * 40 + LONG * 3
    with lf.QuestionAnswerer.load(models / "answerer") as qa:
        answers = qa.answer("Where did it stand?", document, top=5)
        assert qa.max_tokens == 512
        one_window = qa.answer("Where did it stand?", document, truncate=True)
    assert len(answers) == 5 and len(one_window) == 1
    for a in answers:
        assert document[a.start : a.end] == a.text and 0 < a.score <= 1
    assert [a.logit for a in answers] == sorted((a.logit for a in answers), reverse=True)


def test_classify_scores_are_probabilities_best_first(lf, models):
    with lf.TextClassifier.load(models / "classifier") as classifier:
        assert classifier.labels == ("bad", "fair", "good")
        one = classifier.classify(LONG)
        rows = classifier.classify([LONG, "Short."])
        assert classifier.problem_type == "single_label_classification"
    assert sum(s.score for s in one) == pytest.approx(1, abs=1e-5)
    assert [s.score for s in one] == sorted((s.score for s in one), reverse=True)
    assert len(rows) == 2 and [s.label for s in rows[0]] == [s.label for s in one]


@pytest.mark.parametrize("aggregation", ["none", "simple", "first", "average", "max"])
def test_entities_are_spans_of_the_text(lf, models, aggregation):
    text = "Ada \N{GRINNING FACE} Lovelace wrote to Charles Babbage in M\N{LATIN SMALL LETTER U WITH DIAERESIS}nchen."
    with lf.TokenClassifier.load(models / "tagger") as tagger:
        assert tagger.labels == ("O", "B-PER", "I-PER")
        for e in tagger.tag(text, aggregation=aggregation):
            assert text[e.start : e.end] == e.text


def test_every_task_knows_its_limit_and_its_tokenizer(lf, models):
    for kind, name in (
        (lf.DocumentEncoder, "encoder"), (lf.QuestionAnswerer, "answerer"), (lf.TextClassifier, "classifier"), (lf.TokenClassifier, "tagger"),
        (lf.MultipleChoice, "chooser"), (lf.MaskFiller, "filler"), (lf.Summarizer, "summarizer"),
    ):  # fmt: skip
        with kind.load(models / name) as task:
            assert task.max_tokens == (1024 if name == "summarizer" else 512)
            tokenizer = task.tokenizer
        with tokenizer:
            assert tokenizer.decode(tokenizer.encode("One.").ids, skip_special_tokens=True) == "One."


def test_choices_are_ranked(lf, models):
    with lf.MultipleChoice.load(models / "chooser") as chooser:
        scores = chooser.choose(LONG, ["On the hill.", "By the sea.", "Nowhere."], "Where did the house stand?")
        with pytest.raises(lf.InputError, match="choices"):
            chooser.choose(LONG, ["only one"])
        with pytest.raises(lf.InputError, match="choices"):
            chooser.choose(LONG, "one text")
    assert sorted(s.index for s in scores) == [0, 1, 2] and sum(s.score for s in scores) == pytest.approx(1, abs=1e-5)


def test_masks_are_filled_each_on_its_own(lf, models):
    with lf.MaskFiller.load(models / "filler") as filler:
        mask = filler.mask_text
        text = f"\N{GRINNING FACE} The {mask} stood on the {mask}."
        masks = filler.fill(text, top=4)
        with pytest.raises(lf.InputError, match="mask"):
            filler.fill("Nothing to fill.")
    assert [text[m.start : m.end] for m in masks] == [mask, mask]
    assert all(len(m.candidates) == 4 and m.candidates[0].score >= m.candidates[3].score for m in masks)


def test_progress_is_reports_after_every_batch(lf, models):
    reports = []
    with lf.DocumentEncoder.load(models / "encoder") as encoder:
        encoder.encode(["one two three"] * 6, tokens_per_batch=16, progress=reports.append)
    assert reports[-1].done == reports[-1].total == 6 and len(reports) >= 2
    assert [p.done for p in reports] == sorted(p.done for p in reports)


def test_a_progress_bar_is_drawn_on_standard_error(lf, models, capsys):
    pytest.importorskip("tqdm", reason="tqdm is not installed")
    with lf.DocumentEncoder.load(models / "encoder") as encoder:
        encoder.encode(["one two three"] * 3, progress=True)
    captured = capsys.readouterr()
    assert "3/3" in captured.err and captured.out == ""


def test_an_exception_of_a_callback_stops_the_call_and_is_raised(lf, models):
    class Mine(Exception):
        pass

    reports = []

    def refuse(p):
        reports.append(p)
        raise Mine("enough")

    with lf.DocumentEncoder.load(models / "encoder") as encoder, pytest.raises(Mine, match="enough"):
        encoder.encode(["one two three"] * 50, tokens_per_batch=16, progress=refuse)
    assert len(reports) == 1


def test_objects_travel_by_pickle_as_folder_and_options(lf, models):
    options = lf.LoadOptions(attention="chunks")
    assert pickle.loads(pickle.dumps(options)) == options
    generation = lf.GenerationOptions(beams=3, seed=7)
    assert pickle.loads(pickle.dumps(generation)) == generation
    with lf.DocumentEncoder.load(models / "encoder", options=options) as encoder:
        with pickle.loads(pickle.dumps(encoder)) as other:
            assert type(other) is type(encoder) and other.options == options
            np.testing.assert_array_equal(other.encode(LONG), encoder.encode(LONG))
        with pickle.loads(pickle.dumps(encoder.tokenizer)) as tokenizer:
            assert type(tokenizer) is lf.Tokenizer


def test_representations_tell_something(lf, models):
    with lf.DocumentEncoder.load(models / "encoder", attention="loop") as encoder:
        shown = repr(encoder)
    assert "DocumentEncoder" in shown and "cpu" in shown and "loop" in shown and "512 tokens" in shown
    assert "closed" in repr(encoder)
    assert repr(lf.LoadOptions()) == "LoadOptions(device='cpu', dtype=None, attention='fused', trainable=False, tf32=None)"


def test_the_implementations_agree(lf, models):
    vectors = []
    for attention in ("fused", "chunks", "loop"):
        with lf.DocumentEncoder.load(models / "encoder", attention=attention) as encoder:
            vectors.append(encoder.encode(LONG, global_tokens=[0, 7]))
    np.testing.assert_allclose(vectors[0], vectors[1], atol=1e-5)
    np.testing.assert_allclose(vectors[0], vectors[2], atol=1e-5)


def test_subclasses_load_what_their_base_loads(lf, models):
    class Mine(lf.DocumentEncoder):
        pass

    with Mine.load(models / "encoder") as encoder:
        assert isinstance(encoder, Mine) and encoder.encode("text").shape == (64,)


def test_given_spans_are_classified_in_code_points(lf, models):
    text = "\U0001f600 Ada Lovelace wrote to Charles Babbage."
    with lf.SpanClassifier.load(models / "spans") as classifier:
        both = classifier.classify(text, [(2, 14), (24, 39)])
        alone = classifier.classify(text, [(24, 39)])[0]
        assert classifier.labels == ("PER", "ORG")
        with pytest.raises(lf.InputError, match="spans"):
            classifier.classify(text, [(2, 400)])
        with pytest.raises(lf.InputError, match="spans: expected at least one, given none"):
            classifier.classify(text, [])
    assert [sorted(s.label for s in row) for row in both] == [["ORG", "PER"]] * 2
    assert [s.label for s in alone] == [s.label for s in both[1]]
    np.testing.assert_allclose([s.logit for s in alone], [s.logit for s in both[1]], atol=1e-5)


def test_an_error_says_which_argument_what_it_may_be_and_what_it_is(lf, models):
    with lf.DocumentEncoder.load(models / "encoder") as encoder, pytest.raises(lf.InputError) as caught:
        encoder.encode(["short", "word " * 2000])
    error = caught.value
    assert (error.argument, error.index) == ("documents", 1)
    assert error.expected == "at most 512 tokens" and error.given.endswith(" tokens")
    assert str(error).startswith("documents[1]: ")


def test_clusters_are_mentions_of_the_text_in_code_points(lf, models):
    text = "\U0001f600 Ada Lovelace sang. She smiled at Charles. Then she wrote to him, and he wrote to her."
    with lf.CoreferenceResolver.load(models / "coref") as resolver:
        clusters = resolver.resolve(text)
        assert resolver.resolve(text, genre="bc") is not None
        with pytest.raises(lf.InputError, match="genre: expected one of bc, bn, mz, nw, pt, tc, wb, given \"xx\""):
            resolver.resolve(text, genre="xx")
        with pytest.raises(lf.InputError, match="at least one word"):
            resolver.resolve(" ")
    assert all(isinstance(c, lf.Cluster) and len(c.mentions) > 1 for c in clusters)
    assert all(m.text == text[m.start : m.end] for c in clusters for m in c.mentions)
    assert [c.mentions[0].start for c in clusters] == sorted(c.mentions[0].start for c in clusters)
