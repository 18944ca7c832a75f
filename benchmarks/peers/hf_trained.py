#!/usr/bin/env python3
"""Loads what benchmarks/train_debian.py trained in transformers, and compares with what this project predicts.

    tools/in-root.sh SID python3 benchmarks/peers/hf_trained.py WORK [DOCUMENTS]      # SID: a root folder of make check-hf, WORK inside this tree

classify-*: every held-out document (or the first DOCUMENTS), labels and logits against `longformer evaluate`'s predictions. masked-lm-*: every seventh token of held-out
texts hidden, logits against this package's model. Exit status 1 where a label differs that is not a tie, or a number by more than 1e-3."""
from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import torch
from transformers import AutoTokenizer, LongformerForMaskedLM, LongformerForSequenceClassification

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "bindings" / "python"))
import longformer_interop as lf  # noqa: E402

work = Path(sys.argv[1]).resolve()
held = [json.loads(line) for line in (work / "data" / "held.jsonl").read_text("utf-8").splitlines()]
held = held[: int(sys.argv[2])] if len(sys.argv) > 2 else held
failed = False
for folder in sorted(work.glob("classify-*/model.safetensors")):
    folder = folder.parent
    model, tokenizer = LongformerForSequenceClassification.from_pretrained(folder).eval(), AutoTokenizer.from_pretrained(folder)
    most = model.config.max_position_embeddings - model.config.pad_token_id - 1
    predictions = [json.loads(line) for line in (work / f"{folder.name}.predictions.jsonl").read_text("utf-8").splitlines()]
    same, right, worst = 0, 0, 0.0
    with torch.no_grad():
        for document, ours in zip(held, predictions):
            logits = model(**tokenizer(document["text"], truncation=True, max_length=most, return_tensors="pt", return_token_type_ids=False)).logits[0]
            worst = max(worst, float(np.abs(logits.numpy() - ours["logits"]).max()))
            label = model.config.id2label[int(logits.argmax())]
            same += [label] == ours["labels"]
            right += label == document["label"]
    print(f"{folder.name}: {same} of {len(held)} labels equal, logits differ by {worst:.1e} at most, HF's accuracy {right / len(held):.4f}")
    failed |= worst > 1e-3 or same < len(held) and worst > 1e-5
for folder in sorted(work.glob("masked-lm-*/model.safetensors")):
    folder = folder.parent
    model, tokenizer, ours = LongformerForMaskedLM.from_pretrained(folder).eval(), AutoTokenizer.from_pretrained(folder), lf.load_model(folder)
    worst, hidden, equal = 0.0, 0, 0
    with torch.no_grad():
        for document in held[:60]:
            ids = tokenizer(document["text"], truncation=True, max_length=512, return_tensors="pt")["input_ids"]
            places = torch.arange(3, ids.shape[1] - 1, 7)
            ids[0, places] = tokenizer.mask_token_id
            theirs, logits = model(input_ids=ids).logits[0].numpy(), ours(input_ids=ids)["logits"][0]
            worst = max(worst, float(np.abs(theirs - logits).max()))
            hidden += len(places)
            equal += int((theirs[places].argmax(1) == logits[places].argmax(1)).sum())
    print(f"{folder.name}: {equal} of {hidden} hidden words guessed alike, logits differ by {worst:.1e} at most")
    failed |= worst > 1e-3
    ours.close()
sys.exit(failed)
