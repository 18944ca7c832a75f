"""The bare models."""
from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any, Literal, overload

from ._arrays import Tensor, borrow, to_numpy
from ._loaded import Loaded
from ._options import GenerationOptions, LoadOptions
from ._watch import Watch

if TYPE_CHECKING:
    import numpy as np

    from ._arrays import Borrowed, NativeTensor
    from ._backend import Backend, NativeModel
    from ._results import Generated

__all__ = ["Model", "load_model"]

#: What lists under these names become.
_KINDS = {
    "input_ids": "int64", "attention_mask": "int64", "global_attention_mask": "int64", "token_type_ids": "int64", "position_ids": "int64",
    "decoder_input_ids": "int64", "decoder_attention_mask": "int64", "start_positions": "int64", "end_positions": "int64",
    "inputs_embeds": "float32", "decoder_inputs_embeds": "float32",
}  # fmt: skip


class Model(Loaded["NativeModel"]):
    """A model without tokenizer: ids in, hidden states and logits out. Made by ``load_model``; thread-safe; a context manager."""

    @classmethod
    def _open(cls, backend: Backend, folder: str, options: LoadOptions) -> Any:
        return backend.load_model(folder, options)

    @property
    def architecture(self) -> str:
        """The class name of HF, such as ``LongformerForQuestionAnswering``."""
        with self._use() as native:
            return native.architecture

    @property
    def dtype(self) -> str:
        """Dtype of the weights and the hidden states."""
        with self._use() as native:
            return native.dtype

    # fmt: off
    @overload
    def __call__(
        self, *, output_hidden_states: bool = ..., output_attentions: bool = ..., as_tensors: Literal[False] = ..., **inputs: Any
    ) -> dict[str, np.ndarray]: ...
    @overload
    def __call__(
        self, *, output_hidden_states: bool = ..., output_attentions: bool = ..., as_tensors: Literal[True], **inputs: Any
    ) -> dict[str, Tensor]: ...
    # fmt: on
    def __call__(self, *, output_hidden_states: bool = False, output_attentions: bool = False, as_tensors: bool = False, **inputs: Any) -> Any:
        """Runs the model on arrays under HF's argument names.

        Args:
            output_hidden_states: Also ``hidden_states.0`` (the embeddings), ``hidden_states.1``, ...: [B, T, C].
            output_attentions: Also ``attentions.0``, ...: [B, H, T, G + window + 1], and ``global_attentions.0``, ... where tokens are
                global. Costs far more than the model itself.
            as_tensors: Give ``Tensor`` objects (any device, bfloat16, DLPack) in place of numpy arrays.
            inputs: ``input_ids`` [B, T] or ``inputs_embeds`` [B, T, C]; ``attention_mask``, ``global_attention_mask``,
                ``token_type_ids``, ``position_ids`` [B, T]; for LED ``decoder_input_ids`` [B, S] and its like; ``labels``. B sequences of T
                tokens: numpy arrays, nested lists or anything with ``__dlpack__``. An argument that is None is not given.

        Returns:
            A dict named as HF names its outputs: ``last_hidden_state`` [B, T, C], ``pooler_output`` [B, C], ``logits``,
            ``start_logits``, ``end_logits``, ``encoder_last_hidden_state``, ``loss``, ...

        Raises:
            InputError: An argument is unknown, or its shape, dtype or values are wrong.
            KeyboardInterrupt: Ctrl-C stops the pass in front of its next layer.
        """
        given = _borrow_all(inputs)
        watch = Watch()
        with self._use() as native:
            outputs = watch.run(lambda model: model.run(given, output_hidden_states, output_attentions, watch), native, native.polls)
        return {name: Tensor(output) if as_tensors else to_numpy(output) for name, output in outputs.items()}

    def generate(self, options: GenerationOptions | None = None, *, input_ids: Any, **inputs: Any) -> list[list[Generated]]:
        """Generates with an LED, as HF's ``generate``.

        Args:
            options: How to generate.
            input_ids: [B, T].
            inputs: ``attention_mask``, ``global_attention_mask`` [B, T] (None: no token is global), ``decoder_input_ids`` [B, S]; and the
                keywords of ``GenerationOptions``.

        Returns:
            For each row its results: of a beam search best first.
        """
        names = {f.name for f in fields(GenerationOptions)}
        chosen = replace(options or GenerationOptions(), **{n: inputs.pop(n) for n in list(inputs) if n in names})
        given = _borrow_all({"input_ids": input_ids, **inputs})
        watch = Watch()
        with self._use() as native:
            return watch.run(lambda model: model.generate(given, chosen, watch), native, native.polls)

    def gradients(self, **inputs: Any) -> dict[str, np.ndarray]:
        """``loss``, ``grad.<parameter>`` for every parameter that it depends on, and ``grad_input_embeds`` [B, T, C].

        The model must have been loaded with ``trainable=True``, and the inputs must hold labels.

        >>> with lf.load_model(models / "classifier", trainable=True) as model:
        ...     g = model.gradients(input_ids=[[0, 31, 41, 2]], labels=[1])
        >>> g["loss"].shape, g["grad.classifier.out_proj.bias"].shape
        ((), (3,))
        """
        given = _borrow_all(inputs)
        with self._use() as native:
            outputs = native.gradients(given)
        return {name: to_numpy(output) for name, output in outputs.items()}

    def parameters(self) -> dict[str, np.ndarray]:
        """The weights under HF's names, read-only and without a copy (bfloat16 as float32).

        >>> with lf.load_model(models / "encoder") as model:
        ...     model.parameters()["encoder.layer.0.attention.self.query.weight"].shape
        (64, 64)
        """
        with self._use() as native:
            return _read_only(native.parameters())

    def save(self, folder: str | os.PathLike[str]) -> None:
        """Writes ``config.json`` and ``model.safetensors`` under HF's names."""
        with self._use() as native:
            native.save(os.fspath(folder))

    def _describe(self) -> str:
        return f", {self.architecture} {self.dtype}"


def _borrow_all(inputs: Mapping[str, Any]) -> dict[str, Borrowed]:
    return {name: borrow(value, name, _KINDS.get(name)) for name, value in inputs.items() if value is not None}


def _read_only(tensors: Mapping[str, NativeTensor]) -> dict[str, np.ndarray]:
    # They are in a mapped file: writing there would end the process.
    arrays = {name: to_numpy(tensor) for name, tensor in tensors.items()}
    for array in arrays.values():
        array.flags.writeable = False
    return arrays


def load_model(
    folder: str | os.PathLike[str],
    *,
    device: str = "cpu",
    dtype: str | None = None,
    attention: str = "fused",
    trainable: bool = False,
    options: LoadOptions | None = None,
) -> Model:
    """Loads the bare model that ``architectures`` of the folder's ``config.json`` names.

    Arguments as those of the tasks' ``load``; ``trainable`` copies the weights out of the file, for ``Model.gradients``.

    >>> import numpy as np
    >>> with lf.load_model(models / "encoder") as model:
    ...     out = model(input_ids=[[0, 31, 41, 59, 2]], global_attention_mask=[[1, 0, 0, 0, 0]])
    >>> out["last_hidden_state"].shape, sorted(out)
    ((1, 5, 64), ['last_hidden_state', 'pooler_output'])
    """
    return Model.load(folder, options=options if options is not None else LoadOptions(device, dtype, attention, trainable))
