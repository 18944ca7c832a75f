"""hf_led.py MODEL TEXT [--new N] [--beams N] [--runs N] [--threads N] [--attention NAME]: HF transformers' LED on a checkpoint folder.

Runs inside an environment that has PyTorch and transformers (the reference root folder, see ../README.md). Encodes a text file with the
checkpoint's tokenizer and generates exactly N tokens from it, float32, the first token global. Prints one JSON object a run: {"tokens",
"new", "beams", "threads", "attention", "seconds", "encode_seconds", "peak_mb", "ids"}; the first run warms up and is printed as such.
"""
import argparse
import json
import resource
import time
from pathlib import Path

import torch
from tokenizers import ByteLevelBPETokenizer
from transformers import LEDForConditionalGeneration
from transformers.utils import logging

parser = argparse.ArgumentParser()
parser.add_argument("model")
parser.add_argument("text")
parser.add_argument("--new", type=int, default=128)
parser.add_argument("--beams", type=int, default=4)
parser.add_argument("--runs", type=int, default=1)
parser.add_argument("--threads", type=int, default=2)
parser.add_argument("--attention", default="eager", help="implementation of the decoder's attention: eager or sdpa, where the model has it")
arguments = parser.parse_args()

logging.set_verbosity_error()
torch.set_num_threads(arguments.threads)
folder = Path(arguments.model)
model = LEDForConditionalGeneration.from_pretrained(folder, attn_implementation=arguments.attention).eval()
tokenizer = ByteLevelBPETokenizer(str(folder / "vocab.json"), str(folder / "merges.txt"))
text = Path(arguments.text).read_text()
ids = torch.tensor([[model.config.bos_token_id, *tokenizer.encode(text).ids, model.config.eos_token_id]])
global_mask = torch.zeros_like(ids)
global_mask[:, 0] = 1
mask = torch.ones_like(ids)
for run in range(arguments.runs + 1):
    with torch.inference_mode():
        start = time.perf_counter()
        model.get_encoder()(input_ids=ids, attention_mask=mask, global_attention_mask=global_mask)
        encode = time.perf_counter() - start
        start = time.perf_counter()
        out = model.generate(input_ids=ids, attention_mask=mask, global_attention_mask=global_mask, num_beams=arguments.beams,
                             min_new_tokens=arguments.new, max_new_tokens=arguments.new, do_sample=False)
        seconds = time.perf_counter() - start
    print(json.dumps({"tokens": ids.shape[1], "new": out.shape[1] - 1, "beams": arguments.beams, "threads": arguments.threads,
                      "attention": arguments.attention, "warm_up": run == 0, "seconds": seconds, "encode_seconds": encode,
                      "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, "ids": out[0].tolist()}), flush=True)
    if arguments.runs == 0:
        break
