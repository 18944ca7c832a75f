"""Checks checkpoints that this project wrote with HF's transformers. Runs inside the root folder of tools/check-hf.sh.

    check_hf.py make FOLDER     writes tiny models of every kind that is converted: FOLDER/NAME
    check_hf.py load FOLDER     loads every FOLDER/NAME strictly; exit status 1 if a key is missing, unexpected or of another shape
    check_hf.py reviews FOLDER  writes data for a classifier: FOLDER/train.jsonl and FOLDER/held.jsonl
    check_hf.py classify MODEL DATA.jsonl JSON      compares HF's probabilities of each text with those of `longformer classify --json`
    check_hf.py summarize MODEL JSON TEXT...        compares what HF generates for each text, and its tokens, with `longformer summarize --json`
"""

import json
import random
import sys
from pathlib import Path

import torch
import transformers
from transformers import BartConfig, BertConfig, LEDConfig, LongformerConfig, MBartConfig, RobertaConfig

transformers.logging.set_verbosity_error()

ENCODER = {"vocab_size": 90, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 48}
SEQUENCES = {
    "vocab_size": 90, "d_model": 32, "encoder_layers": 2, "decoder_layers": 2, "encoder_attention_heads": 4, "decoder_attention_heads": 4,
    "encoder_ffn_dim": 48, "decoder_ffn_dim": 48,
}
ENCODER_HEADS = ["Model", "ForMaskedLM", "ForSequenceClassification", "ForQuestionAnswering", "ForTokenClassification", "ForMultipleChoice"]
SEQUENCE_HEADS = ["Model", "ForConditionalGeneration", "ForSequenceClassification", "ForQuestionAnswering"]


def sources():
    for head in ENCODER_HEADS:
        yield "Roberta" + head, RobertaConfig(**ENCODER, max_position_embeddings=42, type_vocab_size=1)
        yield "Bert" + head, BertConfig(**ENCODER, max_position_embeddings=40)
    for head in SEQUENCE_HEADS:
        yield "Bart" + head, BartConfig(**SEQUENCES, max_position_embeddings=48)
        yield "LED" + head, LEDConfig(**SEQUENCES, max_encoder_position_embeddings=64, max_decoder_position_embeddings=24, attention_window=[8, 8])
    yield "MBartForConditionalGeneration", MBartConfig(**SEQUENCES, max_position_embeddings=48, scale_embedding=True)
    yield "LongformerForMaskedLM", LongformerConfig(**ENCODER, max_position_embeddings=66, attention_window=[8, 8], type_vocab_size=1)


def make(folder: Path) -> None:
    torch.manual_seed(3)
    for name, config in sources():
        if not hasattr(transformers, name):
            print(f"transformers {transformers.__version__} has no {name}: left out")
            continue
        model = getattr(transformers, name)(config)
        model.save_pretrained(folder / name)
        # The same as torch's file, tied tensors and all, as old servers have it.
        old = folder / (name + ".bin")
        old.mkdir()
        torch.save(model.state_dict(), old / "pytorch_model.bin", _use_new_zipfile_serialization="Bert" not in name)
        (old / "config.json").write_bytes((folder / name / "config.json").read_bytes())


def load(folder: Path) -> int:
    passed, bad = 0, 0
    names = sorted(f.name for f in folder.iterdir() if (f / "config.json").exists())
    for name in names:
        architecture = json.loads((folder / name / "config.json").read_text())["architectures"][0]
        if not hasattr(transformers, architecture):
            print(f"{name:42} {architecture:34} left out: transformers {transformers.__version__} has no such class")
            continue
        model, info = getattr(transformers, architecture).from_pretrained(folder / name, output_loading_info=True, ignore_mismatched_sizes=True)
        problems = {k: sorted(map(str, v)) for k, v in info.items() if v}
        bad += bool(problems)
        passed += not problems
        print(f"{name:42} {type(model).__name__:34} {problems or 'no missing, unexpected or mismatched key'}")
    print(f"transformers {transformers.__version__}: {passed} passed, {bad} failed")
    return 1 if bad or not passed else 0


def reviews(folder: Path) -> None:
    generator = random.Random(5)
    words = {"good": ["lovely", "fine", "great"], "bad": ["awful", "poor", "sad"]}
    for name, count in ("train", 48), ("held", 20):
        with open(folder / f"{name}.jsonl", "w") as lines:
            for i in range(count):
                label = sorted(words)[i % 2]
                text = " ".join(generator.choice(words[label]) for _ in range(generator.randrange(4, 16)))
                lines.write(json.dumps({"text": text, "label": label}) + "\n")


def classify(model: Path, data: Path, predictions: Path) -> int:
    from texts import roberta  # as transformers makes it; of Debian's two packages one is too new for the other

    tokenizer = roberta(model)
    classifier, info = transformers.AutoModelForSequenceClassification.from_pretrained(model, output_loading_info=True)
    classifier.eval()
    problems = {k: sorted(map(str, v)) for k, v in info.items() if v}
    examples = [json.loads(line) for line in open(data)]
    documents = json.loads(predictions.read_text())["documents"]
    assert len(documents) == len(examples) > 0
    worst, right, same = 0.0, 0, 0
    for example, document in zip(examples, documents):
        ours = {label["label"]: label["score"] for label in document["labels"]}
        with torch.no_grad():
            scores = classifier(torch.tensor([tokenizer.encode(example["text"]).ids])).logits[0].softmax(-1).tolist()
        theirs = {classifier.config.id2label[i]: score for i, score in enumerate(scores)}
        worst = max(worst, *(abs(theirs[label] - ours[label]) for label in theirs))
        same += max(theirs, key=theirs.get) == max(ours, key=ours.get)
        right += max(theirs, key=theirs.get) == example["label"]
    print(f"{type(classifier).__name__} of the TorchSharp sample, {problems or 'no missing, unexpected or mismatched key'}: {same} of {len(examples)} "
          f"predictions are those of longformer classify, {right} right, probabilities differ by {worst:.1e} at most")
    return 1 if problems or same < len(examples) or worst > 1e-4 else 0


def summarize(model: Path, summaries: Path, *files: Path) -> int:
    from tokenizers import Tokenizer  # alone: of Debian's two packages one is too new for the other

    tokenizer = Tokenizer.from_file(str(model / "tokenizer.json"))
    led, info = transformers.LEDForConditionalGeneration.from_pretrained(model, output_loading_info=True, dtype=torch.float32)
    led.eval()
    problems = {k: sorted(map(str, v)) for k, v in info.items() if v}
    texts = [file.read_text("utf-8") for file in files]
    documents = json.loads(summaries.read_text("utf-8"))["documents"]
    assert len(documents) == len(texts) > 0
    bad = 0
    tokenizer.enable_truncation(led.config.max_encoder_position_embeddings)
    for text, document in zip(texts, documents):
        ids = torch.tensor([tokenizer.encode(text).ids])
        marks = torch.zeros_like(ids)
        marks[:, 0] = 1
        with torch.no_grad():
            written = led.generate(ids, global_attention_mask=marks)
        theirs = tokenizer.decode(written[0].tolist(), skip_special_tokens=True)
        if (ids.shape[1], theirs) != (document["tokens"], document["summary"]):
            bad += 1
            print(f"expected {ids.shape[1]} tokens and {theirs!r}, given {document['tokens']} and {document['summary']!r}")
    print(f"{type(led).__name__} of the model in the box, {problems or 'no missing, unexpected or mismatched key'}: {len(texts) - bad} of {len(texts)} "
          "lines are those of longformer summarize")
    return 1 if problems or bad else 0


if __name__ == "__main__":
    arguments = [Path(argument) for argument in sys.argv[2:]]
    sys.exit({"make": make, "load": load, "reviews": reviews, "classify": classify, "summarize": summarize}[sys.argv[1]](*arguments))
