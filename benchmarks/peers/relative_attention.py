"""relative_attention.py [--threads N] [--runs N]: the attention with relative positions beside the one without, forward and backward, on a CPU.

Runs where longformer_interop.torch and PyTorch are. Float32, 8 heads of 64, causal windows; the least time of all runs, the two in turn. Prints one JSON
object.
"""
import argparse
import json
import time

import torch

import longformer_interop.torch as lt

parser = argparse.ArgumentParser()
parser.add_argument("--tokens", type=int, default=4096)
parser.add_argument("--windows", type=int, nargs="+", default=[32, 64, 128, 256, 512])
parser.add_argument("--threads", type=int, default=2)
parser.add_argument("--runs", type=int, default=7)
a = parser.parse_args()
torch.set_num_threads(a.threads)
torch.manual_seed(0)


def seconds(call, inputs):
    start = time.perf_counter()
    out = call()
    torch.autograd.grad(out, inputs, torch.ones_like(out))
    return time.perf_counter() - start


rows = []
for window in a.windows:
    q, k, v = (torch.randn(1, a.tokens, 8, 64, requires_grad=True) for _ in range(3))
    table = torch.randn(window + 1, 8, 64, requires_grad=True)
    content, place = (torch.randn(8, 64, requires_grad=True) for _ in range(2))
    plain, relative = [], []
    for run in range(a.runs + 1):
        plain.append(seconds(lambda: lt.banded_attention(q, k, v, (window, 0)), [q, k, v]))
        given = dict(content_bias=content, position_bias=place)
        relative.append(seconds(lambda: lt.relative_banded_attention(q, k, v, table, (window, 0), **given), [q, k, v, table, content, place]))
    rows.append({"window": window, "plain": min(plain[1:]), "relative": min(relative[1:])})
print(json.dumps({"tokens": a.tokens, "rows": rows}), flush=True)
