"""models.py FOLDER [--cases N] [--seed N]: random Longformer and LED models and inputs, as HF's transformers computes them.

Runs where transformers is (tools/check-hf.sh runs it and compares). Writes FOLDER/models/random_K and FOLDER/led/random_K as parity cases.
Tolerances as in the goldens: eight times what float32 differs from float64 there, at least 1e-6 of the largest value.
"""
import argparse
import copy
import json
import random
from pathlib import Path

import torch
import transformers
from safetensors.torch import save_file
from transformers import LEDConfig, LongformerConfig

transformers.logging.set_verbosity_error()
VOCABULARY = 70
LONGFORMERS = ["LongformerModel", "LongformerForMaskedLM", "LongformerForSequenceClassification", "LongformerForQuestionAnswering",
               "LongformerForTokenClassification", "LongformerForMultipleChoice"]
LEDS = ["LEDModel", "LEDForConditionalGeneration", "LEDForQuestionAnswering"]


def make_model(chance, name):
    layers = chance.choice([1, 2, 3])
    windows = [chance.choice([4, 8, 16, 32]) for _ in range(layers)]
    heads = chance.choice([1, 2, 4])
    width = heads * chance.choice([4, 6, 8, 16])
    labels = 2 if name.endswith("QuestionAnswering") else chance.choice([1, 2, 3, 5])
    problem = chance.choice([None, "multi_label_classification"]) if name.endswith("SequenceClassification") and labels > 1 else None
    if name.startswith("LED"):
        config = LEDConfig(
            vocab_size=VOCABULARY, d_model=width, encoder_layers=layers, decoder_layers=chance.choice([1, 2]), encoder_attention_heads=heads,
            decoder_attention_heads=chance.choice([h for h in (1, 2, heads) if width % h == 0]), encoder_ffn_dim=chance.choice([17, 48]),
            decoder_ffn_dim=chance.choice([24, 33]), max_encoder_position_embeddings=160, max_decoder_position_embeddings=24,
            attention_window=windows, init_std=0.2, activation_function=chance.choice(["gelu", "relu", "gelu_new", "tanh", "silu"]), num_labels=labels)
    else:
        config = LongformerConfig(
            vocab_size=VOCABULARY, hidden_size=width, num_hidden_layers=layers, num_attention_heads=heads, intermediate_size=chance.choice([17, 48]),
            max_position_embeddings=162, attention_window=windows, type_vocab_size=chance.choice([1, 2]), initializer_range=0.2,
            hidden_act=chance.choice(["gelu", "relu", "gelu_new", "tanh", "silu"]), layer_norm_eps=chance.choice([1e-5, 1e-12]), pad_token_id=1,
            sep_token_id=2, num_labels=labels, problem_type=problem, tie_word_embeddings=chance.random() < 0.7)
    model = getattr(transformers, name)(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() == 1:
                parameter.add_(torch.randn_like(parameter) * 0.1)
        if hasattr(model, "final_logits_bias"):
            model.final_logits_bias.copy_(torch.randn_like(model.final_logits_bias))
    return model


def make_inputs(chance, name, config):
    rows, length = chance.choice([1, 2, 3]), chance.choice([1, 2, 5, 16, 33, 64, 97, 128])
    if name.endswith(("QuestionAnswering", "MultipleChoice")):
        length = max(length, 16)
    choices = (2,) if name.endswith("MultipleChoice") else ()
    shape = (rows, *choices, length)
    ids = torch.randint(4, VOCABULARY, shape)
    flat = ids.view(-1, length)
    if name in ("LongformerForQuestionAnswering", "LongformerForMultipleChoice"):
        for row in flat:  # <s> question </s></s> text </s>
            end = chance.randint(2, length - 6)
            row[end] = row[end + 1] = row[-1] = 2
    inputs = {"input_ids": ids}
    padding = chance.choice(["none", "right", "left", "holes", "no mask"])
    if padding != "no mask":
        mask = torch.ones_like(ids)
        for row in mask.view(-1, length):
            if padding == "right":
                row[chance.randint(1, length):] = 0
            elif padding == "left":
                row[:chance.randint(0, length - 1)] = 0
            elif padding == "holes":
                row[torch.rand(length) < 0.3] = 0
                row[chance.randrange(length)] = 1
        inputs["attention_mask"] = mask
        if padding in ("right", "left") and not name.endswith(("QuestionAnswering", "MultipleChoice")):
            ids[mask == 0] = 1
    explicit = name.endswith("Model") or name == "LongformerForMaskedLM" or name.startswith("LED")
    if chance.random() < (0.7 if explicit else 0.3):
        inputs["global_attention_mask"] = (torch.rand(shape) < chance.choice([0.0, 0.1, 0.5])).long()
        if chance.random() < 0.5:
            inputs["global_attention_mask"][..., 0] = 1
    if name.startswith("Longformer") and config.type_vocab_size == 2 and chance.random() < 0.5:
        inputs["token_type_ids"] = torch.randint(0, 2, shape)
    if name.startswith("LED"):
        if name == "LEDModel" or (name == "LEDForConditionalGeneration" and chance.random() < 0.5):
            inputs["decoder_input_ids"] = torch.randint(4, VOCABULARY, (rows, chance.randint(1, 20)))
        elif name == "LEDForConditionalGeneration":
            inputs["labels"] = torch.randint(4, VOCABULARY, (rows, chance.randint(1, 20)))
        else:  # its decoder reads the document itself, and has 24 positions
            inputs = {k: v[:, :20] for k, v in inputs.items()}
            if "attention_mask" in inputs:
                inputs["attention_mask"][:, 0] = 1  # this project refuses documents of nothing but padding
    if chance.random() < 0.6:
        length = inputs["input_ids"].shape[-1]
        if name == "LongformerForMaskedLM":
            inputs["labels"] = torch.where(torch.rand(shape) < 0.5, inputs["input_ids"], -100)
            inputs["labels"][0, 0] = 5
        elif name.endswith("SequenceClassification"):
            inputs["labels"] = (torch.rand(rows, config.num_labels).round() if config.problem_type else torch.randn(rows) if config.num_labels == 1
                                else torch.randint(0, config.num_labels, (rows,)))
        elif name.endswith("TokenClassification"):
            inputs["labels"] = torch.randint(0, config.num_labels, shape)
        elif name.endswith("MultipleChoice"):
            inputs["labels"] = torch.randint(0, 2, (rows,))
        elif name.endswith("QuestionAnswering"):
            inputs["start_positions"], inputs["end_positions"] = torch.randint(0, length + 1, (2, rows))
            inputs["start_positions"][0] = inputs["end_positions"][0] = 0
    return {k: v.contiguous() for k, v in inputs.items()}


def compute(model, inputs, traces):
    with torch.inference_mode():
        kind = next(model.parameters()).dtype
        given = {k: v.to(kind) if v.is_floating_point() else v.clone() for k, v in inputs.items()}
        if traces:
            given |= {"output_hidden_states": True, "output_attentions": True}
        if model.config.model_type == "led":
            given["use_cache"] = False
        out = model(**given)
    expected = {}
    for name, value in out.items():
        if isinstance(value, torch.Tensor):
            expected[name] = value
        elif isinstance(value, tuple) and all(isinstance(v, torch.Tensor) for v in value):
            expected |= {f"{name}.{i}": v for i, v in enumerate(value)}
    return {k: v.contiguous().clone() for k, v in expected.items()}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--cases", type=int, default=60)
    parser.add_argument("--seed", type=int, default=0)
    a = parser.parse_args()
    refused = {}
    made = tried = 0
    while made < a.cases:
        seed = a.seed * 100_000 + tried
        tried += 1
        chance = random.Random(seed)
        torch.manual_seed(seed)
        name = chance.choice(LONGFORMERS + LEDS)
        model = make_model(chance, name)
        inputs = make_inputs(chance, name, model.config)
        traces = chance.random() < 0.4
        try:
            expected = compute(model, inputs, traces)
            exact = compute(copy.deepcopy(model).double(), inputs, traces)
        except (ValueError, AssertionError, IndexError, RuntimeError) as error:
            refused[f"{name}: {str(error)[:100]}"] = refused.get(f"{name}: {str(error)[:100]}", 0) + 1
            continue
        group = "led" if name.startswith("LED") else "models"
        folder = a.folder / group / f"random_{made:03}"
        model.save_pretrained(folder)
        save_file(inputs, folder / "inputs.safetensors")
        save_file(expected, folder / "expected.safetensors")
        facts = {}
        for key, value in expected.items():
            finite = torch.isfinite(value) & torch.isfinite(exact[key])
            off = (value.double() - exact[key])[finite].abs().max().item() if finite.any() else 0
            largest = value[finite].abs().max().item() if finite.any() else 0
            facts[key] = {"shape": list(value.shape), "dtype": str(value.dtype)[6:], "atol": max(8 * off, 1e-6 * max(1, largest))}
        (folder / "case.json").write_text(json.dumps({
            "group": group, "name": folder.name, "description": f"random model and inputs, seed {seed}",
            "reference": f"transformers {transformers.__version__}: {name}", "expected": facts,
            "tolerance": {"atol": max(f["atol"] for f in facts.values()), "rtol": 1e-5}}, indent=1))
        made += 1
    print(f"{made} cases; transformers refused {sum(refused.values())}: {refused}")


if __name__ == "__main__":
    main()
