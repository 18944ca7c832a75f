"""hf_longformer.py MODEL DTYPE LENGTHS [--runs N] [--blas BACKEND]: HF transformers' Longformer on a checkpoint folder.

Runs inside an environment that has PyTorch and transformers (the reference root folder, see ../README.md). Prints one JSON object
a length: {"tokens", "dtype", "seconds": [..], "peak_mb"}. One global token, batch 1, no padding beyond what HF adds by itself.
"""
import argparse
import json
import resource
import time

import torch
from transformers import LongformerModel
from transformers.utils import logging

parser = argparse.ArgumentParser()
parser.add_argument("model")
parser.add_argument("dtype", choices=["float32", "bfloat16"])
parser.add_argument("lengths", type=int, nargs="+")
parser.add_argument("--runs", type=int, default=3)
parser.add_argument("--threads", type=int, default=2)
parser.add_argument("--save", help="write the last hidden state of the last length to this .npy file")
arguments = parser.parse_args()

logging.set_verbosity_error()
torch.set_num_threads(arguments.threads)
model = LongformerModel.from_pretrained(arguments.model, dtype=getattr(torch, arguments.dtype), add_pooling_layer=True).eval()
for length in arguments.lengths:
    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(5, min(50_000, model.config.vocab_size), (1, length), generator=generator)
    global_mask = torch.zeros_like(ids)
    global_mask[:, 0] = 1
    seconds = []
    with torch.inference_mode():
        for run in range(arguments.runs + 1):
            start = time.perf_counter()
            out = model(input_ids=ids, attention_mask=torch.ones_like(ids), global_attention_mask=global_mask)
            if run:  # the first one warms up
                seconds.append(time.perf_counter() - start)
    print(json.dumps({"tokens": length, "dtype": arguments.dtype, "seconds": seconds,
                      "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}), flush=True)
if arguments.save:
    import numpy
    numpy.save(arguments.save, out.last_hidden_state[0].float().numpy())
