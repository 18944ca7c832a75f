#!/usr/bin/env python3
"""Makes the files of this folder with PyTorch and the safetensors library (made with torch 2.14.1, safetensors 0.8.0).

Usage: python3 make_torch_files.py OUTPUT_FOLDER

zip.bin, legacy.bin, protocol4.bin: one state dict in torch's two formats and with a later pickle protocol;
training.ckpt: the same inside a training checkpoint with classes of a script beside it; expected.safetensors: its tensors.
"""
import argparse
import collections
import enum
import pathlib
import sys

import safetensors.torch
import torch


class Stage(enum.Enum):
    FIRST = 1


def state_dict():
    torch.manual_seed(7)
    module = torch.nn.Sequential(collections.OrderedDict(
        linear=torch.nn.Linear(3, 4), norm=torch.nn.BatchNorm1d(4), embedding=torch.nn.Embedding(5, 2)))
    tensors = module.state_dict()  # an OrderedDict with _metadata
    table = torch.randn(4, 6)
    tensors["parameter"] = torch.nn.Parameter(torch.randn(2, 2))
    tensors["transposed"] = table.t()
    tensors["rows"] = table[1:3]
    tensors["column"] = table[:, 2]
    tensors["expanded"] = torch.arange(3).expand(2, 3)
    tensors["scalar"] = torch.tensor(2.5, dtype=torch.float64)
    tensors["empty"] = torch.zeros(0, 3)
    for name in ("float16", "bfloat16", "int32", "int16", "int8", "uint8", "bool", "complex64"):
        tensors["as." + name] = torch.arange(6).reshape(2, 3).to(getattr(torch, name))
    return tensors


def main(folder):
    folder.mkdir(parents=True, exist_ok=True)
    tensors = state_dict()
    torch.save(tensors, folder / "zip.bin")
    torch.save(tensors, folder / "legacy.bin", _use_new_zipfile_serialization=False)
    torch.save(dict(tensors), folder / "protocol4.bin", pickle_protocol=4)
    optimizer = torch.optim.AdamW([torch.nn.Parameter(torch.ones(2))])
    optimizer.param_groups[0]["params"][0].grad = torch.ones(2)
    optimizer.step()
    torch.save({
        "epoch": 4, "global_step": 100, "pytorch-lightning_version": "0.8.5", "state_dict": tensors,
        "callbacks": {torch.nn.Linear: {"best": torch.tensor(1.0)}}, "optimizer_states": [optimizer.state_dict()],
        "hyper_parameters": argparse.Namespace(lr=1e-4, path=pathlib.PurePosixPath("data"), stage=Stage.FIRST),
    }, folder / "training.ckpt")
    safetensors.torch.save_file({n: t.detach().clone().contiguous() for n, t in tensors.items()}, folder / "expected.safetensors", {"format": "pt"})


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]))
