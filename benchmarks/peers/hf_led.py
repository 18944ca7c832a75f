"""hf_led.py MODEL TOKENS [--new N] [--beams N] [--runs N] [--threads N] [--device D] [--dtype T] [--compile]: HF transformers' LED on a checkpoint folder.

Runs inside an environment that has PyTorch and transformers (the reference root folder, see ../README.md, or a machine with a GPU, see
../gpu.sh). Generates exactly N tokens from a document of seeded random ids, the first token global; one run more than asked for warms up.
Prints one JSON object: {"tokens", "new", "beams", "seconds": [..], "encode_seconds": [..], "peak_mb"}.
"""
import argparse
import json
import resource
import time

import torch
from transformers import LEDForConditionalGeneration
from transformers.utils import logging

parser = argparse.ArgumentParser()
parser.add_argument("model")
parser.add_argument("tokens", type=int)
parser.add_argument("--new", type=int, default=128)
parser.add_argument("--beams", type=int, default=4)
parser.add_argument("--runs", type=int, default=1)
parser.add_argument("--threads", type=int, default=2)
parser.add_argument("--device", default="cpu")
parser.add_argument("--dtype", default="float32", choices=["float32", "bfloat16", "float16"])
parser.add_argument("--compile", action="store_true", help="torch.compile of the decoder's step")
arguments = parser.parse_args()

logging.set_verbosity_error()
torch.set_num_threads(arguments.threads)
model = LEDForConditionalGeneration.from_pretrained(arguments.model, dtype=getattr(torch, arguments.dtype)).eval().to(arguments.device)
if arguments.compile:
    model.led.decoder.forward = torch.compile(model.led.decoder.forward)
ids = torch.randint(5, model.config.vocab_size, (1, arguments.tokens), generator=torch.Generator().manual_seed(0))
global_mask = torch.zeros_like(ids)
global_mask[:, 0] = 1
document = {"input_ids": ids, "attention_mask": torch.ones_like(ids), "global_attention_mask": global_mask}
document = {name: tensor.to(arguments.device) for name, tensor in document.items()}


def now():
    if arguments.device.startswith("cuda"):
        torch.cuda.synchronize()
    return time.perf_counter()


seconds, encode_seconds = [], []
with torch.inference_mode():
    for run in range(arguments.runs + 1):
        start = now()
        model.get_encoder()(**document)
        encoded = now()
        out = model.generate(**document, num_beams=arguments.beams, min_new_tokens=arguments.new, max_new_tokens=arguments.new, do_sample=False)
        if run:
            encode_seconds.append(encoded - start)
            seconds.append(now() - encoded)
assert out.shape[1] == arguments.new + 1, f"expected {arguments.new} new tokens, given {out.shape[1] - 1}"
print(json.dumps({"tokens": arguments.tokens, "new": arguments.new, "beams": arguments.beams, "seconds": seconds,
                  "encode_seconds": encode_seconds, "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}), flush=True)
