"""Checks checkpoints that this project wrote with HF's transformers. Runs inside the root folder of tools/check-hf.sh.

    check_hf.py make FOLDER     writes tiny models of every kind that is converted: FOLDER/NAME
    check_hf.py load FOLDER     loads every FOLDER/NAME strictly; exit status 1 if a key is missing, unexpected or of another shape
"""

import json
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


if __name__ == "__main__":
    sys.exit(make(Path(sys.argv[2])) if sys.argv[1] == "make" else load(Path(sys.argv[2])))
