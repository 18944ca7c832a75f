"""sentence_folders.py FOLDER GOLDENS [--cases N] [--seed N]: random folders of sentence-transformers, and the vectors of random texts.

Runs where transformers is (tools/check-hf.sh runs it and compares). GOLDENS is a copy of parity-tests/goldens/tokenizer, for its vocabularies.
Writes FOLDER/sentences/NNN as parity cases. sentence-transformers itself is not needed: its modules (Transformer, Pooling, Dense, LayerNorm,
Dropout, Normalize, version 5.1) are a few lines each over torch, and are written here as their documentation and their source describe them. Variations: the
modules and their order, poolings alone and together, prompts with and without their tokens pooled, the longest text, lower case, where the
files lie, tokenizers. Tolerances as in the goldens: eight times what float32 differs from float64, at least 2e-6 of the largest value.
"""
import argparse
import copy
import json
import random
import shutil
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
import texts as random_texts
import tokenizer_folders  # mends Debian's build of tokenizers

import torch
import transformers
from safetensors.torch import save_file
from transformers import AutoModel, AutoTokenizer, LongformerConfig, LongformerModel

transformers.logging.set_verbosity_error()
MODES = ["cls", "max", "mean", "mean_sqrt_len_tokens", "weightedmean", "lasttoken"]
FLAGS = ["cls_token", "max_tokens", "mean_tokens", "mean_sqrt_len_tokens", "weightedmean_tokens", "lasttoken"]
ACTIVATIONS = ["Tanh", "Identity", "ReLU", "Sigmoid", "SiLU", "GELU", "Softsign", "ReLU6", "ELU", "LeakyReLU"]
PROMPTS = {"query": "query: ", "passage": "Represent this:\n", "plain": "", "Upper": "FRAGE ΟΔΟΣ "}


def write(path, value):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value))


def make_transformer(chance, folder, goldens):
    bpe = chance.random() < 0.6
    names = ["vocab.json", "merges.txt"] if bpe else [chance.choice(["vocab.txt", "tokenizer.json"])]
    for name in names:
        shutil.copy(goldens / ("tiny" if bpe else "wordpiece") / name, folder / name)
    settings = {"tokenizer_class": chance.choice(["LongformerTokenizer", "RobertaTokenizer"]) if bpe else "BertTokenizer", "backend": "tokenizers"}
    if bpe and chance.random() < 0.3:
        settings["add_prefix_space"] = True
    if not bpe:
        settings["do_lower_case"] = chance.random() < 0.5
    settings["model_max_length"] = chance.choice([40, 512, 512])
    write(folder / "tokenizer_config.json", settings)
    write(folder / "config.json", {"model_type": "longformer"})
    tokenizer = AutoTokenizer.from_pretrained(folder)
    width = chance.choice([8, 16, 24])
    config = LongformerConfig(
        vocab_size=max(tokenizer.get_vocab().values()) + 1, hidden_size=width, num_hidden_layers=2, num_attention_heads=chance.choice([1, 2]), intermediate_size=24,
        max_position_embeddings=162, attention_window=[4, 8], type_vocab_size=1, initializer_range=0.2, pad_token_id=tokenizer.pad_token_id,
        sep_token_id=tokenizer.sep_token_id)
    model = LongformerModel(config, add_pooling_layer=chance.random() < 0.5)
    model.save_pretrained(folder)
    return width


def make_pooling(chance, width):
    count = chance.choice([1, 1, 1, 2, 3])
    chosen = chance.sample(MODES, count)
    modes = [m for m in MODES if m in chosen]
    config = {"word_embedding_dimension": width}
    if count == 1 and modes[0] in ("mean", "max", "cls", "weightedmean", "lasttoken") and chance.random() < 0.2:
        config["pooling_mode"] = modes[0]
    else:
        config |= {f"pooling_mode_{flag}": mode in modes for mode, flag in zip(MODES, FLAGS)}
        for flag, mode in zip(FLAGS, MODES):  # files of older versions lack what came later
            if mode not in modes and mode != "mean" and chance.random() < 0.3:
                del config[f"pooling_mode_{flag}"]
        if "mean" in modes and chance.random() < 0.2:
            del config["pooling_mode_mean_tokens"]
    include = chance.random() < 0.7
    if not include or chance.random() < 0.5:
        config["include_prompt"] = include
    return modes, include, config


def make(chance, folder, goldens):
    """The folder, and what it says: a dict that encode reads."""
    own = chance.choice(["", "", "0_Transformer"])
    inner = folder / own
    inner.mkdir(parents=True, exist_ok=True)
    width = make_transformer(chance, inner, goldens)
    modes, include, pooling = make_pooling(chance, width)
    write(folder / "1_Pooling/config.json", pooling)
    modules = [("Transformer", own), ("Pooling", "1_Pooling")]
    steps, width = [], width * len(modes)
    for kind in chance.choice([[], ["Normalize"], ["Dense"], ["Dense", "Normalize"], ["Dropout", "Dense"], ["Dense", "Dense"], ["LayerNorm"], ["Normalize", "Dense", "LayerNorm"]]):
        path = f"{len(modules)}_{kind}"
        modules.append((kind, path))
        if kind == "Dense":
            out, bias, name = chance.choice([3, 8, 33]), chance.random() < 0.7, chance.choice(ACTIVATIONS)
            linear = torch.nn.Linear(width, out, bias=bias)
            module = "linear" if name == "Identity" else "activation"
            write(folder / path / "config.json", {"in_features": width, "out_features": out, "bias": bias, "activation_function": f"torch.nn.modules.{module}.{name}"})
            state = {f"linear.{k}": v.detach() for k, v in linear.state_dict().items()}
            save_file(state, folder / path / "model.safetensors") if chance.random() < 0.5 else torch.save(state, folder / path / "pytorch_model.bin")
            steps.append(torch.nn.Sequential(linear, getattr(torch.nn, name)()))
            width = out
        elif kind == "LayerNorm":
            norm = torch.nn.LayerNorm(width)
            torch.nn.init.normal_(norm.weight)
            torch.nn.init.normal_(norm.bias)
            write(folder / path / "config.json", {"dimension": width})
            save_file({f"norm.{k}": v.detach() for k, v in norm.state_dict().items()}, folder / path / "model.safetensors")
            steps.append(norm)
        elif kind == "Normalize":
            (folder / path).mkdir()
            steps.append(None)
        else:
            write(folder / path / "config.json", {"dropout": 0.3})
    long_name = chance.random() < 0.5
    write(folder / "modules.json", [
        {"idx": i, "name": str(i), "path": path, "type": f"sentence_transformers.models.{kind}" if long_name or kind == "Transformer" else f"sentence_transformers.models.{kind}.{kind}"}
        for i, (kind, path) in enumerate(modules)])
    lower, limit = chance.random() < 0.4, chance.choice([None, 12, 32, 100])
    write(inner / "sentence_bert_config.json", {"max_seq_length": limit, "do_lower_case": lower})
    prompts = {n: PROMPTS[n] for n in chance.sample(list(PROMPTS), chance.choice([0, 1, 3]))}
    default = chance.choice([None, *prompts])
    if prompts or chance.random() < 0.5:
        write(folder / "config_sentence_transformers.json", {"prompts": prompts, "default_prompt_name": default, "similarity_fn_name": "cosine"})
    return {"transformer": inner, "modes": modes, "include": include, "steps": steps, "lower": lower, "limit": limit, "prompts": prompts, "default": default}


def tokenize(tokenizer, said, model, text):
    text = text.strip()
    limit = said["limit"] if said["limit"] is not None else min(model.config.max_position_embeddings, tokenizer.model_max_length)
    return tokenizer([text.lower() if said["lower"] else text], padding=True, truncation="longest_first", return_tensors="pt", max_length=limit)


def pool(hidden, mask, modes):
    weight = mask.unsqueeze(-1).to(hidden.dtype)
    place = torch.arange(1, hidden.shape[1] + 1, dtype=hidden.dtype).view(1, -1, 1)
    last = mask.shape[1] - 1 - mask.flip(1).max(1).indices
    made = {
        "cls": lambda: hidden[:, 0],
        "max": lambda: hidden.masked_fill(weight == 0, -1e9).max(1).values,
        "mean": lambda: (hidden * weight).sum(1) / weight.sum(1),
        "mean_sqrt_len_tokens": lambda: (hidden * weight).sum(1) / weight.sum(1).sqrt(),
        "weightedmean": lambda: (hidden * weight * place).sum(1) / (weight * place).sum(1),
        "lasttoken": lambda: hidden[torch.arange(len(hidden)), last],
    }
    return torch.cat([made[m]() for m in modes], 1)


def encode(model, tokenizer, said, prompt, text):
    """The vector of one text; None where it has no token of its own, which this project refuses, or all of its tokens are the prompt's."""
    tokens = tokenize(tokenizer, said, model, prompt + text)
    special = {tokenizer.bos_token_id, tokenizer.eos_token_id, tokenizer.sep_token_id, tokenizer.cls_token_id, tokenizer.pad_token_id}
    mask = tokens["attention_mask"].clone()
    if set(tokens["input_ids"][0].tolist()) <= special or mask.shape[1] > 160:
        return None
    if prompt and not said["include"]:
        own = tokenize(tokenizer, said, model, prompt)["input_ids"][0].tolist()
        mask[:, :len(own) - (own[-1] in tokenizer.all_special_ids)] = 0
        if not mask.any():
            return None
    with torch.inference_mode():
        vector = pool(model(**tokens).last_hidden_state, mask, said["modes"])
        for step in said["steps"]:
            vector = torch.nn.functional.normalize(vector, dim=1) if step is None else step(vector)
    return vector[0]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("goldens", type=Path)
    parser.add_argument("--cases", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    a = parser.parse_args()
    texts_made = 0
    for number in range(a.cases):
        seed = a.seed * 100_000 + number
        chance = random.Random(seed)
        torch.manual_seed(seed)
        folder = a.folder / "sentences" / f"{number:03}"
        folder.mkdir(parents=True)
        said = make(chance, folder, a.goldens)
        limit = {} if said["limit"] is None else {"model_max_length": said["limit"]}
        tokenizer = AutoTokenizer.from_pretrained(said["transformer"], **limit)
        model = AutoModel.from_pretrained(said["transformer"]).eval()
        wide = copy.deepcopy(said) | {"steps": [s if s is None else copy.deepcopy(s).double() for s in said["steps"]]}
        double = copy.deepcopy(model).double()
        name = chance.choice([None, *said["prompts"]])
        prompt = said["prompts"].get(name or said["default"], "")
        texts, narrow, exact = [], [], []
        while len(texts) < 6:
            text = random_texts.text(chance)
            vector = encode(model, tokenizer, said, prompt, text)
            if vector is not None:
                texts.append(text)
                narrow.append(vector)
                exact.append(encode(double, tokenizer, wide, prompt, text))
        value, best = torch.stack(narrow), torch.stack(exact)
        off = max(8 * (value.double() - best).abs().max().item(), 2e-6 * max(1.0, value.abs().max().item()))
        save_file({"embeddings": value.contiguous()}, folder / "expected.safetensors")
        write(folder / "case.json", {
            "group": "sentences", "name": folder.name, "description": f"a random folder of sentence-transformers, seed {seed}",
            "reference": f"transformers {transformers.__version__} and the modules of sentence-transformers 5.1", "prompt_name": name, "texts": texts,
            "expected": {"embeddings": {"shape": list(value.shape), "dtype": "float32", "atol": off}}, "tolerance": {"atol": off, "rtol": 1e-5}})
        texts_made += len(texts)
    print(f"{a.cases} folders, {texts_made} texts")


if __name__ == "__main__":
    main()
