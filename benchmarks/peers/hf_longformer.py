"""hf_longformer.py MODEL DTYPE LENGTHS [--batch N] [--runs N] [--device D] [--compile] [--case DIR]: HF transformers' Longformer on a checkpoint folder.

Runs inside an environment that has PyTorch and transformers (the reference root folder, see ../README.md, or a machine with a GPU, see
../gpu.sh). Prints one JSON object a length: {"tokens", "batch", "dtype", "seconds": [..], "peak_mb", "device_mb"}. One global token a
document, no padding beyond what HF adds by itself, TF32 off.

--case writes a parity case of the last length: HF's float32 result on that device as what is expected, DTYPE's distance from it as the
tolerance times two; prints {"case", "hf_error", "largest"}.
"""
import argparse
import json
import resource
import time
from pathlib import Path

import torch
from transformers import LongformerModel
from transformers.utils import logging

parser = argparse.ArgumentParser()
parser.add_argument("model")
parser.add_argument("dtype", choices=["float32", "bfloat16", "float16"])
parser.add_argument("lengths", type=int, nargs="+")
parser.add_argument("--batch", type=int, default=1)
parser.add_argument("--runs", type=int, default=3)
parser.add_argument("--threads", type=int, default=2)
parser.add_argument("--device", default="cpu")
parser.add_argument("--compile", action="store_true", help="torch.compile, anew for each length")
parser.add_argument("--save", help="write the last hidden state of the last length to this .npy file")
parser.add_argument("--case", type=Path, help="write a parity case to this folder")
arguments = parser.parse_args()

logging.set_verbosity_error()
torch.set_num_threads(arguments.threads)
on_gpu = arguments.device.startswith("cuda")


def load(dtype):
    return LongformerModel.from_pretrained(arguments.model, dtype=getattr(torch, dtype), add_pooling_layer=True).eval().to(arguments.device)


def wait():
    if on_gpu:
        torch.cuda.synchronize()


def inputs(length, vocabulary):
    ids = torch.randint(5, min(50_000, vocabulary), (arguments.batch, length), generator=torch.Generator().manual_seed(0))
    global_mask = torch.zeros_like(ids)
    global_mask[:, 0] = 1
    return {"input_ids": ids, "attention_mask": torch.ones_like(ids), "global_attention_mask": global_mask}


def write_case(given, half):
    """HF in float32 on the same inputs, as the case folder that `longformer parity` reads."""
    from safetensors.torch import save_file

    with torch.inference_mode():
        exact = load("float32")(**{k: v.to(arguments.device) for k, v in given.items()}).last_hidden_state.cpu()
    error = (half.float() - exact).abs().max().item()
    arguments.case.mkdir(parents=True)
    save_file(given, arguments.case / "inputs.safetensors")
    save_file({"last_hidden_state": exact.contiguous()}, arguments.case / "expected.safetensors")
    for file in Path(arguments.model).iterdir():
        (arguments.case / file.name).symlink_to(file.resolve())
    (arguments.case / "case.json").write_text(json.dumps({
        "group": "models", "name": f"hf_{arguments.dtype}", "tolerance": {"rtol": 0.0, "atol": 2 * error},
        "expected": {"last_hidden_state": {"atol": 2 * error}}}))
    print(json.dumps({"case": str(arguments.case), "hf_error": error, "largest": exact.abs().max().item()}), flush=True)


model = load(arguments.dtype)
if arguments.compile:
    model = torch.compile(model, dynamic=False)
for length in arguments.lengths:
    given = inputs(length, model.config.vocab_size)
    seconds = []
    with torch.inference_mode():
        for run in range(arguments.runs + 1):
            wait()
            start = time.perf_counter()
            out = model(**{k: v.to(arguments.device) for k, v in given.items()})
            wait()
            if run:  # the first one warms up
                seconds.append(time.perf_counter() - start)
    print(json.dumps({"tokens": length, "batch": arguments.batch, "dtype": arguments.dtype, "seconds": seconds,
                      "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
                      "device_mb": torch.cuda.max_memory_reserved() / 2**20 if on_gpu else 0}), flush=True)
if arguments.save:
    import numpy
    numpy.save(arguments.save, out.last_hidden_state[0].float().cpu().numpy())
if arguments.case:
    write_case(given, out.last_hidden_state.cpu())
