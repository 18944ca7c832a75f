"""The operators inside PyTorch: ``torch.ops.longformer.*``, differentiable, and HF models that use them.

.. code-block:: python

    import longformer_interop.torch as lt
    from transformers import LongformerModel

    model = lt.accelerate(LongformerModel.from_pretrained(folder))   # same results, no padding
    out = lt.banded_attention(q, k, v, window=(256, 256))            # [B, T, H, D], with gradients

Importing this loads the operator library into the PyTorch of this process, which may be any from 2.10 on; nothing is built. An older one
is refused by its version.

Every operator takes part in ``torch.autograd``, ``torch.compile``, ``torch.export``, ``torch.func`` (``grad``, ``vjp``, ``jacrev``,
``vmap``) and ``torch.library.opcheck``. Derivatives that one does not have (forward mode and the second derivative of the banded
attention) are refused by the operator's name.
"""
from __future__ import annotations

from typing import Any

from ._accelerate import accelerate, restore
from ._operators import banded_attention, banded_attention_probabilities, global_attention, relative_banded_attention
from ._register import library_path, register

__all__ = [
    "accelerate", "banded_attention", "banded_attention_probabilities", "global_attention", "library_path", "register",
    "relative_banded_attention", "restore",
]  # fmt: skip

register()


def __getattr__(name: str) -> Any:
    # The classes that accelerate gives HF's layers are made when first needed; pickle finds them here by name.
    if name.startswith("Fused"):
        from ._accelerate import fused_class

        found = fused_class(name)
        if found is not None:
            return found
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
