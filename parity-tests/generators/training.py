"""Trainings of random small models by transformers' models and PyTorch's optimizers, as cases for `longformer parity`. Runs inside the root folder
of tools/check-hf.sh.

    training.py FOLDER --cases N --seed S     writes FOLDER/NUMBER, each of 20 steps under random settings
"""

import json

import case_folders
import torch
from safetensors.torch import save_file
from transformers import LEDConfig, LEDForConditionalGeneration, LongformerConfig, optimization
from transformers import LongformerForMaskedLM, LongformerForQuestionAnswering, LongformerForSequenceClassification, LongformerForTokenClassification

STEPS = 20
VOCABULARY = 60
# Their gradients are 0 in exact arithmetic; an optimizer makes steps of the rounding noise.
NOISE = ("key.bias", "key_global.bias", "k_proj.bias", "qa_outputs.bias")

softmax = torch.nn.functional.softmax


def wide_softmax(scores, dim=None, _stacklevel=3, dtype=None):
    """Without the cast to float32 inside the models, where a float64's least value would be -inf and its gradient not a number."""
    return softmax(scores, dim=dim, dtype=None if scores.dtype == torch.float64 else dtype)


torch.nn.functional.softmax = wide_softmax


class Random:
    def __init__(self, seed):
        self.generator = torch.Generator().manual_seed(seed)

    def below(self, bound):
        return int(torch.randint(bound, (1,), generator=self.generator))

    def of(self, *values):
        return values[self.below(len(values))]

    def tensor(self, *shape, low=0, high=VOCABULARY):
        return torch.randint(low, high, shape, generator=self.generator)


def model_of(random):
    sizes = {"vocab_size": VOCABULARY, "attention_probs_dropout_prob": 0.0, "hidden_dropout_prob": 0.0}
    kind = random.of("sequence", "token", "masked", "question", "led")
    layers = random.of(1, 2)
    if kind == "led":
        window = random.of(4, 8)
        return kind, LEDForConditionalGeneration, LEDConfig(
            vocab_size=VOCABULARY, d_model=16, encoder_layers=layers, decoder_layers=1, encoder_attention_heads=2, decoder_attention_heads=4,
            encoder_ffn_dim=24, decoder_ffn_dim=20, max_encoder_position_embeddings=64, max_decoder_position_embeddings=32,
            attention_window=[window] * layers, dropout=0.0, attention_dropout=0.0, activation_dropout=0.0)
    classes = {"sequence": LongformerForSequenceClassification, "token": LongformerForTokenClassification, "masked": LongformerForMaskedLM,
               "question": LongformerForQuestionAnswering}
    return kind, classes[kind], LongformerConfig(
        **sizes, hidden_size=16, num_hidden_layers=layers, num_attention_heads=random.of(1, 2, 4), intermediate_size=24, max_position_embeddings=66,
        attention_window=[random.of(4, 8)] * layers, hidden_act=random.of("gelu", "relu"), type_vocab_size=1,
        num_labels=2 if kind == "question" else 3)


def batch_of(random, kind):
    rows, length = random.of(1, 2, 3), 12 + random.below(25)
    ids, mask = random.tensor(rows, length, low=5), torch.ones(rows, length, dtype=torch.long)
    ids[:, 0] = 0
    for row in range(rows):
        end = length if row == 0 else 6 + random.below(length - 6)
        ids[row, end:], mask[row, end:] = 1, 0
    batch = {"input_ids": ids, "attention_mask": mask, "global_attention_mask": (random.tensor(rows, length, high=8) == 0).long() * mask}
    batch["global_attention_mask"][:, 0] = 1
    if kind == "sequence":
        batch["labels"] = random.tensor(rows, high=3)
    elif kind in ("token", "masked"):
        labels = random.tensor(rows, length, high=3 if kind == "token" else VOCABULARY)
        labels[(random.tensor(rows, length, high=3) > 0) | (mask == 0)] = -100
        labels[0, 1] = 2
        batch["labels"] = labels
    elif kind == "question":
        for name in ("start_positions", "end_positions"):
            positions = torch.full((rows, 3), -1)
            for row in range(rows):
                for place in range(random.below(4)):
                    positions[row, place] = random.below(int(mask[row].sum()))
            batch[name] = positions
    else:
        # As long as no document, so that nobody takes it for labels of its tokens.
        labels = random.tensor(rows, 4 + random.below(6), low=5)
        labels[-1, -1] = -100
        batch["labels"] = labels
    return batch


def loss_of(model, kind, batch, smoothing):
    inputs = {name: tensor for name, tensor in batch.items() if name in ("input_ids", "attention_mask", "global_attention_mask")}
    if kind == "question":
        out, total = model(**inputs), 0.0
        for logits, gold in ((out.start_logits, batch["start_positions"]), (out.end_logits, batch["end_positions"])):
            for row, scores in enumerate(logits):
                places = gold[row][gold[row] >= 0].unique()
                if len(places):
                    total = total + torch.logsumexp(scores[batch["attention_mask"][row] == 1], 0) - torch.logsumexp(scores[places], 0)
        return 0.5 * total + 0.0 * out.start_logits.sum(), len(batch["input_ids"])
    if kind == "led":
        shifted = torch.cat([torch.full_like(batch["labels"][:, :1], model.config.decoder_start_token_id), batch["labels"][:, :-1]], 1)
        inputs["decoder_input_ids"] = shifted.masked_fill(shifted == -100, model.config.pad_token_id)
    logits, labels = model(**inputs).logits, batch["labels"]
    loss = torch.nn.functional.cross_entropy(
        logits.reshape(-1, logits.shape[-1]), labels.reshape(-1), ignore_index=-100, reduction="sum", label_smoothing=smoothing)
    return loss, int((labels != -100).sum())


def train(model, kind, batches, settings, smoothing):
    named = {name: p for name, p in model.named_parameters()}
    decays = [n for n in named if not (n.endswith("bias") or "LayerNorm" in n or "layernorm" in n or "layer_norm" in n)]
    given = settings["optimizer"]
    groups = [{"params": [named[n] for n in decays], "weight_decay": given["weight_decay"]},
              {"params": [p for n, p in named.items() if n not in decays], "weight_decay": 0.0}]
    if given["name"] == "AdamW":
        optimizer = torch.optim.AdamW(groups, lr=given["lr"], betas=(given["beta1"], given["beta2"]), eps=given["eps"])
    else:
        optimizer = optimization.Adafactor(groups, lr=given["lr"], scale_parameter=given["scale_parameter"], relative_step=False)
    schedule, warmup, total = settings["schedule"]["name"], settings["schedule"]["warmup_steps"], STEPS
    rates = {"linear": lambda: optimization.get_linear_schedule_with_warmup(optimizer, warmup, total),
             "cosine": lambda: optimization.get_cosine_schedule_with_warmup(optimizer, warmup, total),
             "polynomial": lambda: optimization.get_polynomial_decay_schedule_with_warmup(optimizer, warmup, total, lr_end=0.0, power=3.0),
             "constant_with_warmup": lambda: optimization.get_constant_schedule_with_warmup(optimizer, warmup)}[schedule]()
    losses, norms, used = [], [], []
    for step in batches:
        parts = [loss_of(model, kind, batch, smoothing) for batch in step]
        labels = sum(count for _, count in parts)
        loss = sum(part for part, _ in parts) / labels
        optimizer.zero_grad()
        loss.backward()
        gradients = [p.grad for p in named.values() if p.grad is not None]
        norms.append(float(torch.linalg.vector_norm(torch.stack([g.norm() for g in gradients]))))
        if settings["max_grad_norm"] is not None:
            torch.nn.utils.clip_grad_norm_(named.values(), settings["max_grad_norm"])
        used.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        rates.step()
        losses.append(float(loss.detach()))
    final = {f"final.{n}": p.detach().clone() for n, p in named.items() if not n.endswith(NOISE)}
    return {"loss": torch.tensor(losses), "grad_norm": torch.tensor(norms), "learning_rate": torch.tensor(used), **final}


def case(folder, number, seed):
    random = Random(seed * 100_003 + number)
    torch.manual_seed(seed * 100_003 + number)
    kind, model_class, config = model_of(random)
    model = model_class(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
    folder.mkdir(parents=True)
    model.save_pretrained(folder)
    name = random.of("AdamW", "AdamW", "Adafactor")
    optimizer = {"name": name, "lr": random.of(0.003, 0.01), "weight_decay": random.of(0.0, 0.1), "beta1": 0.9, "beta2": random.of(0.98, 0.999),
                 "eps": 1e-4}
    if name == "Adafactor":
        optimizer = {"name": name, "lr": 0.002, "weight_decay": 0.0, "eps": [1e-30, 1e-3], "clip_threshold": 1.0, "decay_rate": -0.8,
                     "scale_parameter": random.of(False, True)}
    smoothing = random.of(0.0, 0.1) if kind in ("led", "masked") else 0.0
    micro = random.of(1, 1, 2, 3)
    settings = {"steps": STEPS, "accumulation": micro, "optimizer": optimizer, "max_grad_norm": random.of(None, 0.5, 1.0),
                "loss": {"epsilon": smoothing}, "schedule": {
                    "name": random.of("linear", "cosine", "polynomial", "constant_with_warmup"), "warmup_steps": random.of(0, 3),
                    "total_steps": STEPS, "power": 3.0, "lr_end": 0.0, "num_cycles": 0.5}}
    batches = [[batch_of(random, kind) for _ in range(micro)] for _ in range(STEPS)]
    state = {n: t.clone() for n, t in model.state_dict().items()}
    expected = train(model, kind, batches, settings, smoothing)
    model.load_state_dict(state)
    exact = train(model.double(), kind, batches, settings, smoothing)
    save_file({f"{s}.{m}.{n}": t.contiguous() for s, step in enumerate(batches) for m, b in enumerate(step) for n, t in b.items()},
              folder / "batches.safetensors")
    save_file({n: t.float().contiguous() for n, t in expected.items()}, folder / "expected.safetensors")
    described = {}
    for n, value in expected.items():
        error = float((value.double() - exact[n].double()).abs().max())
        described[n] = {"atol": max(8 * error, 2e-6 * max(1.0, float(value.abs().max())))}
    description = {"group": "training", "name": f"random_{number}_{kind}", "settings": settings, "expected": described}
    (folder / "case.json").write_text(json.dumps(description))


if __name__ == "__main__":
    case_folders.main(case)
