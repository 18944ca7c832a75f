"""make_field_files.py FOLDER: small files of torch.save as training scripts leave them, for tests/Checkpoints.Tests/FieldFileTests.cs.

Runs where torch is. Every file holds the same two weights under names that wrapping modules change, or beside things that no model needs.
"""
import sys
from collections import OrderedDict
from pathlib import Path

import torch

folder = Path(sys.argv[1])
folder.mkdir(parents=True, exist_ok=True)
torch.manual_seed(5)
WORDS, DENSE = torch.arange(12, dtype=torch.float32).reshape(4, 3), torch.tensor([[0.5, -1.0, 2.0]])
NAMES = ["longformer.embeddings.word_embeddings.weight", "longformer.encoder.layer.0.attention.self.query_global.weight"]


def state(rename=lambda n: n, **more):
    return OrderedDict([(rename(NAMES[0]), WORDS), (rename(NAMES[1]), DENSE), *more.items()])


def with_attributes():
    words, dense = torch.nn.Parameter(WORDS.clone()), DENSE.clone()
    words.tensor_model_parallel, words.partition_dim = True, 0
    dense.note = {"made by": "a script", "list": [1, 2.5, None]}
    return OrderedDict([(NAMES[0], words), (NAMES[1], dense)])


sparse = torch.sparse_coo_tensor(torch.tensor([[0, 1], [1, 0]]), torch.tensor([1.0, 2.0]), (2, 2))
FILES = {
    "attributes": with_attributes(),
    "sparse": state(**{"crf.adjacency": sparse, "crf.rows": sparse.to_sparse_csr(), "crf.complex": torch.zeros(2, dtype=torch.complex128)}),
    "deepspeed": {"module": state(lambda n: "module." + n), "ds_version": "0.14", "optimizer": None, "global_steps": 7},
    "fsdp": state(lambda n: "_fsdp_wrapped_module." + n.replace("encoder.layer.0.", "encoder.layer.0._fsdp_wrapped_module._checkpoint_wrapped_module.")),
    "compiled": state(lambda n: "_orig_mod.module." + n),
    "lightning": {"state_dict": state(lambda n: "model._orig_mod." + n), "epoch": 3, "pytorch-lightning_version": "2.1"},
    "nested": {"model": {"module": state(lambda n: "module._orig_mod." + n)}, "args": {"lr": 1e-4}},
}
for name, value in FILES.items():
    torch.save(value, folder / f"{name}.bin", _use_new_zipfile_serialization=name != "deepspeed")
print(len(FILES), "files")
