"""A program for torchrun: each case trains on two processes with half a batch each, and on one with the whole batch, and writes how far they
are apart. test_distributed.py runs it.

    torchrun --nproc-per-node 2 two_processes.py results.json"""
from __future__ import annotations

import copy
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
import transformers
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor
from torch.nn.parallel import DistributedDataParallel

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import longformer_interop.torch as lt  # noqa: E402 - after the path

STEPS = 10
Batch = dict[str, torch.Tensor]


class Own(torch.nn.Module):
    """A module of one's own over the operators: two layers with a window, global tokens, and parameters that only these use."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = torch.nn.Embedding(120, 32)
        self.layers = torch.nn.ModuleList(
            torch.nn.ModuleDict({n: torch.nn.Linear(32, 32) for n in ("q", "k", "v", "o", "gq", "gk", "gv")}) for _ in range(2)
        )
        self.head = torch.nn.Linear(32, 120)

    def forward(self, input_ids: torch.Tensor, global_attention_mask: torch.Tensor, labels: torch.Tensor) -> Any:
        x = self.embed(input_ids)
        b, t, c = x.shape
        index = _positions(global_attention_mask)
        for layer in self.layers:
            q, k, v = (layer[n](x).view(b, t, 4, 8) for n in "qkv")
            y = lt.banded_attention(q, k, v, 8, global_index=index)
            if index is not None:
                gq, gk, gv = (layer[n](x).view(b, t, 4, 8) for n in ("gq", "gk", "gv"))
                rows, slots = torch.nonzero(index >= 0, as_tuple=True)
                at = index[rows, slots]
                chosen = gq.gather(1, index.clamp(min=0)[:, :, None, None].expand(-1, -1, 4, 8))
                y = y.index_put((rows, at), lt.global_attention(chosen, gk, gv, index)[rows, slots])
            x = x + layer["o"](y.reshape(b, t, c))
        return torch.nn.functional.cross_entropy(self.head(x).flatten(0, 1), labels.flatten())


def _positions(mask: torch.Tensor) -> torch.Tensor | None:
    """int64 [B, G], padded with -1; None where no token is global."""
    count = int(mask.sum(1).max())
    if count == 0:
        return None
    return torch.stack([torch.nn.functional.pad(r.nonzero().flatten(), (0, count - int(r.sum())), value=-1) for r in mask])


def longformer(kind: str) -> torch.nn.Module:
    config = transformers.LongformerConfig(
        vocab_size=120, hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=48, max_position_embeddings=80,
        attention_window=[8, 16], initializer_range=0.2, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0,
    )  # fmt: skip
    return lt.accelerate(getattr(transformers, kind)(config))


def led() -> torch.nn.Module:
    config = transformers.LEDConfig(
        vocab_size=120, d_model=32, encoder_layers=2, decoder_layers=1, encoder_attention_heads=4, decoder_attention_heads=4, encoder_ffn_dim=48,
        decoder_ffn_dim=40, max_encoder_position_embeddings=80, max_decoder_position_embeddings=80, attention_window=[8, 16], init_std=0.2,
        dropout=0.0, attention_dropout=0.0, activation_dropout=0.0,
    )  # fmt: skip
    return lt.accelerate(transformers.LEDForConditionalGeneration(config))


def batch(globals_of: tuple[int, ...]) -> Batch:
    """Four sequences of 45 tokens, the first ``globals_of[i]`` of each global; two are each process's."""
    generator = torch.Generator().manual_seed(3)
    ids = torch.randint(5, 120, (4, 45), generator=generator)
    is_global = torch.zeros_like(ids)
    for row, count in enumerate(globals_of):
        is_global[row, :count] = 1
    return {"input_ids": ids, "global_attention_mask": is_global, "labels": torch.randint(5, 120, (4, 45), generator=generator)}


def loss_of(model: torch.nn.Module, inputs: Batch) -> torch.Tensor:
    if isinstance(unwrapped(model), transformers.LongformerModel):
        # The last hidden states alone: the pooler has no gradient.
        labels = inputs["labels"].to(torch.float64)[:, :, None] / 120
        return (model(**{k: v for k, v in inputs.items() if k != "labels"}).last_hidden_state - labels).square().mean()
    out = model(**inputs)
    return out if isinstance(out, torch.Tensor) else out.loss


def unwrapped(model: torch.nn.Module) -> torch.nn.Module:
    return model.module if isinstance(model, DistributedDataParallel) else model


def whole(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def train(model: torch.nn.Module, inputs: Batch, autocast: bool) -> tuple[dict[str, torch.Tensor | None], dict[str, torch.Tensor], list[float]]:
    """The first step's gradients, the parameters after ten steps, and the losses."""
    # AdamW divides by the size of a gradient: in float64 what is zero but for rounding stays far below its epsilon.
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3) if not autocast else torch.optim.SGD(model.parameters(), lr=0.1)
    first: dict[str, torch.Tensor | None] = {}
    losses = []
    for step in range(STEPS):
        optimizer.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
            loss = loss_of(model, inputs)
        loss.backward()
        if step == 0:
            first = {n: None if p.grad is None else whole(p.grad).clone() for n, p in unwrapped(model).named_parameters()}
        optimizer.step()
        losses.append(loss.item())
    return first, {n: whole(p.detach()).clone() for n, p in unwrapped(model).named_parameters()}, losses


def run(
    make: Callable[[], torch.nn.Module], globals_of: tuple[int, ...] = (2, 1, 1, 3), how: str = "ddp", unused: bool = False,
    checkpointing: bool = False, autocast: bool = False,
) -> dict[str, float]:  # fmt: skip
    torch.manual_seed(0)
    # Autocast leaves float64 alone.
    one = make().to(torch.float32 if autocast else torch.float64).train()
    if checkpointing:
        one.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    many = copy.deepcopy(one)
    if how == "ddp":
        many = DistributedDataParallel(many, find_unused_parameters=unused)
    else:
        mesh = init_device_mesh("cpu", (dist.get_world_size(),))
        for layer in many.longformer.encoder.layer:
            fully_shard(layer, mesh=mesh)
        fully_shard(many, mesh=mesh)
    everything, rank = batch(globals_of), dist.get_rank()
    own = {name: value[2 * rank : 2 * rank + 2] for name, value in everything.items()}
    wanted_first, wanted, wanted_losses = train(one, everything, autocast)
    first, given, losses = train(many, own, autocast)

    def apart(a: torch.Tensor | None, b: torch.Tensor | None) -> float:
        # What one process leaves out may be zeros on two.
        x, y = (torch.zeros(()) if t is None else t.double() for t in (a, b))
        return ((x - y).abs().max() / max(1e-3, float(y.abs().max()))).item()

    mean = torch.tensor(losses, dtype=torch.float64)
    dist.all_reduce(mean)
    torch.manual_seed(0)
    started = dict(make().named_parameters())
    return {
        "gradients": max(apart(first[n], wanted_first[n]) for n in wanted_first),
        "parameters": max(apart(given[n], wanted[n]) for n in wanted),
        "losses": max(abs(a - b) for a, b in zip((mean / dist.get_world_size()).tolist(), wanted_losses)),
        # Of one process: what has no gradient, what moved in ten steps, how much the loss fell.
        "unused": sum(g is None for g in wanted_first.values()),
        "used": sum(g is not None for g in wanted_first.values()),
        "moved": max((wanted[n].double() - started[n].detach().double()).abs().max().item() for n in wanted),
        "fell": wanted_losses[0] - wanted_losses[-1],
    }


def refuses() -> dict[str, float]:
    """Whether DDP says what is wrong where parameters have no gradient and nothing said so: 1 where its message names its switch."""
    torch.manual_seed(0)
    model = DistributedDataParallel(longformer("LongformerForMaskedLM"))
    inputs = {name: value[:2] for name, value in batch((0, 0, 0, 0)).items()}
    try:
        for _ in range(2):
            loss_of(model, inputs).backward()
    except RuntimeError as e:
        return {"refused": float("find_unused_parameters=True" in str(e))}
    return {"refused": 0.0}


NONE = (0, 0, 0, 0)
CASES: dict[str, Callable[[], dict[str, float]]] = {
    "accelerated masked LM": lambda: run(lambda: longformer("LongformerForMaskedLM")),
    "no global tokens": lambda: run(lambda: longformer("LongformerForMaskedLM"), NONE, unused=True),
    "global tokens on one process alone": lambda: run(lambda: longformer("LongformerForMaskedLM"), (2, 1, 0, 0), unused=True),
    "pooler without gradient": lambda: run(lambda: longformer("LongformerModel"), unused=True),
    "gradient checkpointing": lambda: run(lambda: longformer("LongformerForMaskedLM"), checkpointing=True),
    "gradient checkpointing without global tokens": lambda: run(
        lambda: longformer("LongformerForMaskedLM"), NONE, unused=True, checkpointing=True),
    "bfloat16 autocast": lambda: run(lambda: longformer("LongformerForMaskedLM"), autocast=True),
    "accelerated LED": lambda: run(led),
    "own module": lambda: run(Own),
    "own module without global tokens": lambda: run(Own, NONE, unused=True),
    "FSDP": lambda: run(lambda: longformer("LongformerForMaskedLM"), how="fsdp"),
    "FSDP without global tokens": lambda: run(lambda: longformer("LongformerForMaskedLM"), NONE, how="fsdp"),
    "DDP without a word about unused parameters": refuses,
}  # fmt: skip


def main() -> None:
    dist.init_process_group("gloo")
    torch.set_num_threads(1)
    results: dict[str, Any] = {}
    for name, case in CASES.items():
        results[name] = case()
        if dist.get_rank() == 0:
            # As far as it came: a case that ends the program is the first that is missing.
            Path(sys.argv[1]).write_text(json.dumps(results))
    dist.destroy_process_group()


if __name__ == "__main__":
    main()
