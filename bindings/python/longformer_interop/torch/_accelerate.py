"""HF's Longformer and LED with the fused attention in place of their sliding chunks, and without their padding.

What changes in a model: the class of its attention layers (same parameters, same names), and that inputs are no longer padded to a
multiple of the window. ``state_dict``, ``save_pretrained``, training, gradient checkpointing and autocast work as before."""
from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from .._errors import InputError
from ._register import register

if TYPE_CHECKING:
    import torch

__all__ = ["accelerate", "fused_class", "restore"]

M = TypeVar("M")
_LAYERS = {
    "FusedLongformerSelfAttention": ("transformers.models.longformer.modeling_longformer", "LongformerSelfAttention"),
    "FusedLEDEncoderSelfAttention": ("transformers.models.led.modeling_led", "LEDEncoderSelfAttention"),
}
_classes: dict[str, type] = {}


def accelerate(model: M) -> M:
    """Swaps the fused attention into an HF Longformer or LED model, in place, and gives the model.

    Results equal those before up to rounding (hidden states, logits, gradients, attentions), with two differences that come from the
    absence of padding: ``global_attentions`` have T keys in place of T rounded up to the window, and their columns for global tokens
    that a sequence lacks are zeros.

    Raises:
        InputError: The model has no such attention layer.
    """
    register()
    count = 0
    for module in model.modules():  # type: ignore[attr-defined]
        base = type(module)
        if (base.__module__, base.__name__) in _LAYERS.values():
            module.__class__ = fused_class("Fused" + base.__name__)
            count += 1
        if hasattr(base, "_pad_to_window_size"):
            # A plain function on the instance: HF calls it with keywords only.
            module._pad_to_window_size = _no_padding_led if "LED" in base.__name__ else _no_padding
    already = any(type(m).__name__ in _LAYERS for m in model.modules())  # type: ignore[attr-defined]
    if count == 0 and not already:
        raise InputError(f"model: expected an HF Longformer or LED, given {type(model).__name__}, which has no attention layer of theirs")
    return model


def restore(model: M) -> M:
    """Undoes ``accelerate``."""
    for module in model.modules():  # type: ignore[attr-defined]
        if type(module).__name__ in _LAYERS:
            module.__class__ = type(module).__mro__[1]
        module.__dict__.pop("_pad_to_window_size", None)
    return model


def fused_class(name: str) -> type | None:
    """The subclass of one of HF's attention layers that computes with the fused operator."""
    if name not in _LAYERS:
        return None
    if name not in _classes:
        from importlib import import_module

        module, base = _LAYERS[name]
        body = {"forward": _forward, "__module__": __package__, "__doc__": f"HF's {base} over torch.ops.longformer."}
        _classes[name] = type(name, (getattr(import_module(module), base),), body)
    return _classes[name]


def _no_padding(input_ids: Any, attention_mask: Any, token_type_ids: Any, position_ids: Any, inputs_embeds: Any, pad_token_id: int) -> Any:
    return 0, input_ids, attention_mask, token_type_ids, position_ids, inputs_embeds


def _no_padding_led(input_ids: Any, attention_mask: Any, inputs_embeds: Any, pad_token_id: int) -> Any:
    return 0, input_ids, attention_mask, inputs_embeds


def _forward(
    self: Any,
    hidden_states: torch.Tensor,
    attention_mask: torch.Tensor | None = None,
    is_index_masked: torch.Tensor | None = None,
    is_index_global_attn: torch.Tensor | None = None,
    is_global_attn: bool | None = None,
    output_attentions: bool = False,
    **_: Any,
) -> tuple[torch.Tensor, ...]:
    """[B, T, C] of [B, T, C], then (asked for) probabilities [B, T, H, G + window + 1] and [B, H, G, T]."""
    import torch

    from ._traced import global_index

    ops = torch.ops.longformer
    batch, length, width = hidden_states.shape
    heads, size, w = self.num_heads, self.head_dim, self.one_sided_attn_window_size
    shape = (batch, length, heads, size)
    query, key, value = (layer(hidden_states).view(shape) for layer in (self.query, self.key, self.value))
    visible = None if is_index_masked is None else is_index_masked.logical_not()
    dropout = float(self.dropout) if self.training else 0.0
    if torch.compiler.is_compiling() and not output_attentions:
        # Whether a token is global may be known only when the graph runs; asking here would end the graph.
        perhaps = None if is_global_attn is False else is_index_global_attn
        return (_traced(self, query, key, value, hidden_states, perhaps, visible, dropout).reshape(batch, length, width),)
    is_global = is_index_global_attn if is_global_attn else None
    index = None if is_global is None else global_index(is_global)
    seed = int(torch.randint(2**62, ())) if dropout > 0 else 0
    # The operators choose their own precision inside (softmax in float32); autocast must not change it under them.
    with torch.autocast(hidden_states.device.type, enabled=False):
        output, _lse = ops.banded_attention(query, key, value, w, w, mask=visible, global_index=index, dropout=dropout, seed=seed)
    if index is not None:
        output, global_query = _add_global(self, ops, output, hidden_states, index, visible, dropout, seed)
    outputs: tuple[torch.Tensor, ...] = (output.reshape(batch, length, width),)
    if output_attentions:
        with torch.no_grad(), torch.autocast(hidden_states.device.type, enabled=False):
            probabilities = ops.banded_attention_probabilities(query, key, w, w, mask=visible, global_index=index)
            if index is not None:
                probabilities = probabilities.masked_fill(is_global[:, :, None, None], 0)  # type: ignore[index]
            outputs += (probabilities.to(hidden_states.dtype),)
            if index is not None:
                keys = self.key_global(hidden_states.to(self.key_global.weight.dtype)).view(shape).to(global_query.dtype)
                all_keys = ops.global_attention_probabilities(global_query, keys, index, mask=visible)  # [B, G, H, T]
                outputs += (all_keys.transpose(1, 2).to(hidden_states.dtype),)
    return outputs


def _traced(
    self: Any, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, hidden: torch.Tensor, is_global: torch.Tensor | None,
    visible: torch.Tensor | None, dropout: float,
) -> torch.Tensor:  # fmt: skip
    """[B, T, H, D] of the layer, by the one operator that a tracer sees: no graph ends at it, and none is made again for another length."""
    import torch

    # A tensor: as a number it would be another graph for each.
    seed = torch.randint(2**62, ()) if dropout > 0 else None
    globals_: list[Any] = [None] * 7
    if is_global is not None:
        layers = (self.query_global, self.key_global, self.value_global)
        globals_ = [hidden.to(query.dtype), *(t.to(query.dtype) for layer in layers for t in (layer.weight, layer.bias))]
    with torch.autocast(hidden.device.type, enabled=False):
        output, _lse = torch.ops.longformer._layer_attention(
            query, key, value, *globals_, is_global, visible, self.one_sided_attn_window_size, dropout, seed
        )
    return output


def _add_global(
    self: Any, ops: Any, output: torch.Tensor, hidden: torch.Tensor, index: torch.Tensor, visible: torch.Tensor | None, dropout: float, seed: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """The rows of global tokens overwritten with their own attention, and their queries [B, G, H, D]."""
    import torch

    batch, slots = index.shape
    rows = hidden.gather(1, index.clamp(min=0)[:, :, None].expand(-1, -1, hidden.shape[2]))
    query = self.query_global(rows).view(batch, slots, self.num_heads, self.head_dim)
    # Under autocast the layers give half precision, and the operator needs one dtype.
    states, key_weight, key_bias, value_weight, value_bias = (
        t.to(query.dtype)
        for t in (hidden, self.key_global.weight, self.key_global.bias, self.value_global.weight, self.value_global.bias)
    )
    attended = ops.folded_global_attention(
        query, states, key_weight, key_bias, value_weight, value_bias, index, mask=visible, dropout=dropout, seed=seed
    )
    which, slot = torch.nonzero(index >= 0, as_tuple=True)
    return output.index_put((which, index[which, slot]), attended[which, slot].to(output.dtype)), query
