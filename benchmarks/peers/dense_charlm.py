"""dense_charlm.py FOLDER DATA TOKENS [--runs N] [--way einsum|sdpa] [--checkpointing]: the character model with n x n masks, in PyTorch.

Runs inside an environment that has PyTorch (../README.md). FOLDER is a character model that `longformer train char-lm` wrote: config.json and
model.safetensors. The attention is dense, as Transformer-XL's own code computes it (every query with every distance, then the shift), with the windows
and dilations as a mask; by products of its own, or by PyTorch's scaled_dot_product_attention with the distances as a bias. A step is forward, backward,
clipping and AdamW (fused) on the first TOKENS characters of DATA, batch 1, dropouts as the configuration has them. Prints one JSON object, with the loss in
bits before any step and without dropout, which shows that it is the same model.
"""
import argparse
import json
import math
import pathlib
import resource
import time

import torch
from torch import nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

DTYPES = {"F32": torch.float32, "BF16": torch.bfloat16}


def read(path):
    """The tensors of a safetensors file."""
    data = bytearray(path.read_bytes())
    size = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + size])
    header.pop("__metadata__", None)
    return {name: torch.frombuffer(data, dtype=DTYPES[e["dtype"]], offset=8 + size + e["data_offsets"][0], count=math.prod(e["shape"])).reshape(e["shape"])
            for name, e in header.items()}


def configuration(folder):
    c = {"dropout": 0, "activation": "relu", "pre_lnorm": False} | json.loads((folder / "config.json").read_text())
    return c | {"dilation": c.get("dilation") or [[1] * c["n_head"]] * c["n_layer"]}


class Masks:
    """True where a head does not see a key; one for all layers that see the same."""

    def __init__(self, length):
        self.distance = torch.arange(length)[:, None] - torch.arange(length)[None]
        self.made = {}

    def of(self, window, dilation):
        key = window, tuple(dilation)
        if key not in self.made:
            steps = sorted(set(dilation))
            hidden = {d: (self.distance < 0) | (self.distance > window * d) | (self.distance % d != 0) for d in steps}
            self.made[key] = hidden[steps[0]] if len(steps) == 1 else torch.stack([hidden[d] for d in dilation])
        return self.made[key]


class Layer(nn.Module):
    def __init__(self, c):
        super().__init__()
        width = c["n_head"] * c["d_head"]
        self.c, self.scale = c, 1 / math.sqrt(c["d_head"])
        self.qkv, self.r = nn.Linear(c["d_model"], 3 * width, bias=False), nn.Linear(c["d_model"], width, bias=False)
        self.o, self.first_norm = nn.Linear(width, c["d_model"], bias=False), nn.LayerNorm(c["d_model"])
        self.inner, self.outer = nn.Linear(c["d_model"], c["d_inner"]), nn.Linear(c["d_inner"], c["d_model"])
        self.second_norm, self.drop = nn.LayerNorm(c["d_model"]), nn.Dropout(c["dropout"])

    def attend(self, q, k, v, r, u, w, hidden, way):
        """q, k, v: [H, T, D]; r: [H, T, D], the distances T - 1 down to 0."""
        t = q.shape[1]
        by_place = (q + w[:, None]) @ r.transpose(1, 2)
        # Transformer-XL's shift: row i begins T - 1 - i columns further left.
        by_place = functional.pad(by_place, (1, 0)).view(-1, t + 1, t)[:, 1:].view(-1, t, t)
        if way == "sdpa":
            bias = (by_place * self.scale).masked_fill(hidden, -math.inf)
            return functional.scaled_dot_product_attention((q + u[:, None])[None], k[None], v[None], attn_mask=bias[None], scale=self.scale)[0]
        scores = ((q + u[:, None]) @ k.transpose(1, 2)).add_(by_place).mul_(self.scale).masked_fill_(hidden, -math.inf)
        return torch.softmax(scores, -1) @ v

    def forward(self, x, places, u, w, hidden, way):
        c, pre = self.c, self.c["pre_lnorm"]
        heads = lambda y: y.view(len(x), c["n_head"], c["d_head"]).transpose(0, 1)  # noqa: E731
        q, k, v = map(heads, self.qkv(self.first_norm(x) if pre else x).chunk(3, -1))
        y = self.attend(q, k, v, heads(self.r(places)), u, w, hidden, way).transpose(0, 1).reshape(len(x), -1)
        x = x + self.drop(self.o(y))
        x = x if pre else self.first_norm(x)
        y = self.inner(self.second_norm(x) if pre else x)
        y = functional.gelu(y) if c["activation"] == "gelu" else functional.relu(y)
        x = x + self.drop(self.outer(self.drop(y)))
        return x if pre else self.second_norm(x)


class DenseCharacterModel(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.c = c
        self.words = nn.Embedding(c["n_token"], c["d_model"])
        self.bias = nn.Parameter(torch.zeros(c["n_token"]))
        self.u, self.w = nn.Parameter(torch.zeros(c["n_head"], c["d_head"])), nn.Parameter(torch.zeros(c["n_head"], c["d_head"]))
        self.layers, self.drop = nn.ModuleList([Layer(c) for _ in range(c["n_layer"])]), nn.Dropout(c["dropout"])

    def load(self, tensors):
        names = {"qkv": "dec_attn.qkv_net", "r": "dec_attn.r_net", "o": "dec_attn.o_net", "first_norm": "dec_attn.layer_norm",
                 "inner": "pos_ff.CoreNet.0", "outer": "pos_ff.CoreNet.3", "second_norm": "pos_ff.layer_norm"}  # fmt: skip
        with torch.no_grad():
            for own, theirs in (("words.weight", "word_emb.emb_layers.0.weight"), ("bias", "crit.out_layers.0.bias"), ("u", "r_w_bias"), ("w", "r_r_bias")):
                dict(self.named_parameters())[own].copy_(tensors[theirs])
            for i, layer in enumerate(self.layers):
                for name, parameter in layer.named_parameters():
                    module, kind = name.rsplit(".", 1)
                    parameter.copy_(tensors[f"layers.{i}.{names[module]}.{kind}"])
        return self

    def forward(self, ids, masks, way, checkpointing):
        c, t = self.c, len(ids)
        frequency = 1 / 10000 ** (torch.arange(0, c["d_model"], 2.0) / c["d_model"])
        angles = torch.arange(t - 1, -1, -1.0)[:, None] * frequency
        places = self.drop(torch.cat([angles.sin(), angles.cos()], -1))
        x = self.drop(self.words(ids) * math.sqrt(c["d_model"]))
        for i, layer in enumerate(self.layers):
            hidden = masks.of(c["window"][i], c["dilation"][i])
            again = (x, places, self.u, self.w, hidden, way)
            x = checkpoint(layer, *again, use_reentrant=False) if checkpointing else layer(*again)
        return functional.linear(self.drop(x), self.words.weight, self.bias)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("data", type=pathlib.Path)
    parser.add_argument("tokens", type=int)
    parser.add_argument("--runs", type=int, default=1)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--way", choices=["einsum", "sdpa"], default="einsum")
    parser.add_argument("--checkpointing", action="store_true")
    a = parser.parse_args()

    torch.set_num_threads(a.threads)
    torch.manual_seed(0)
    c = configuration(a.folder)
    symbols = json.loads((a.folder / "vocabulary.json").read_text())["symbols"]
    numbers = {symbol: i for i, symbol in enumerate(symbols)}
    text = torch.tensor([numbers[b] for b in a.data.read_bytes()[: a.tokens + 1]])
    ids, targets = text[:-1], text[1:]
    model, masks = DenseCharacterModel(c).load(read(a.folder / "model.safetensors")), Masks(len(ids))
    with torch.no_grad():
        bits = functional.cross_entropy(model.eval()(ids, masks, a.way, False), targets).item() / math.log(2)
    model.train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=2.5e-4, weight_decay=0.01, fused=True)
    seconds = []
    for run in range(a.runs + 1):
        start = time.perf_counter()
        functional.cross_entropy(model(ids, masks, a.way, a.checkpointing), targets).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 0.25)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        if run or not a.runs:  # the first one warms up
            seconds.append(time.perf_counter() - start)
    print(json.dumps({"tokens": a.tokens, "way": a.way, "checkpointing": a.checkpointing, "seconds": seconds, "bits_per_character": bits,
                      "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}), flush=True)


if __name__ == "__main__":
    main()
