"""hf_train.py MODEL DTYPE TOKENS [--runs N] [--checkpointing] [--target N]: steps of training with HF transformers and PyTorch.

Runs inside an environment that has PyTorch and transformers (../README.md). A Longformer learns masked LM (15% of the tokens have labels, the others
-100), with --target an LED learns to write N tokens. Dropouts as the checkpoint has them, AdamW (fused), the gradient's norm clipped; bfloat16 is
autocast over float32 weights, as HF's Trainer does it. With several lengths the documents are padded to the longest. Prints one JSON object.
"""
import argparse
import json
import resource
import time

import torch
from transformers import LEDForConditionalGeneration, LongformerForMaskedLM
from transformers.utils import logging

parser = argparse.ArgumentParser()
parser.add_argument("model")
parser.add_argument("dtype", choices=["float32", "bfloat16"])
parser.add_argument("tokens", type=int, nargs="+")
parser.add_argument("--runs", type=int, default=1)
parser.add_argument("--threads", type=int, default=2)
parser.add_argument("--target", type=int, default=0)
parser.add_argument("--checkpointing", action="store_true")
arguments = parser.parse_args()

logging.set_verbosity_error()
torch.set_num_threads(arguments.threads)
kind = LEDForConditionalGeneration if arguments.target else LongformerForMaskedLM
model = kind.from_pretrained(arguments.model).train()
if arguments.checkpointing:
    model.gradient_checkpointing_enable()
generator = torch.Generator().manual_seed(0)
longest = max(arguments.tokens)
ids = torch.randint(5, model.config.vocab_size, (len(arguments.tokens), longest), generator=generator)
mask = torch.stack([(torch.arange(longest) < length).long() for length in arguments.tokens])
if arguments.target:
    labels = torch.randint(5, model.config.vocab_size, (len(arguments.tokens), arguments.target), generator=generator)
else:
    labels = ids.masked_fill((torch.rand(ids.shape, generator=generator) >= 0.15) | (mask == 0), -100)
given = {"input_ids": ids, "attention_mask": mask, "labels": labels}
if arguments.target:
    given["global_attention_mask"] = torch.zeros_like(ids)
    given["global_attention_mask"][:, 0] = 1
optimizer = torch.optim.AdamW(model.parameters(), lr=3e-5, weight_decay=0.01, fused=True)
seconds = []
for run in range(arguments.runs + 1):
    start = time.perf_counter()
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=arguments.dtype == "bfloat16"):
        loss = model(**given).loss
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    if run:  # the first one warms up
        seconds.append(time.perf_counter() - start)
print(json.dumps({"tokens": arguments.tokens, "target": arguments.target, "dtype": arguments.dtype, "checkpointing": arguments.checkpointing,
                  "seconds": seconds, "loss": loss.item(), "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}), flush=True)
