"""The character language model: text as bytes or characters, without a tokenizer."""
from __future__ import annotations

import math
import os
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ._arrays import Borrowed, Tensor, as_dtype, borrow, to_numpy
from ._calls import Plan, awaitable, blocking
from ._errors import InputError
from ._loaded import Loaded
from ._model import _read_only
from ._options import plain_number
from ._streams import astreamed, streamed
from ._texts import one_text
from ._watch import ProgressArgument, Watch, watched

if TYPE_CHECKING:
    from ._arrays import NativeTensor
    from ._backend import Backend, NativeCharacterModel

__all__ = ["CharacterLanguageModel", "CharacterScore"]


@dataclass(frozen=True)
class CharacterScore:
    """How well a text was predicted. ``bits``: the sum of -log2 of the probabilities of ``characters`` characters.

    >>> score = CharacterScore(bits=12.0, characters=8)
    >>> score.bits_per_character, round(score.nats, 3)
    (1.5, 8.318)
    """

    bits: float
    characters: int

    @property
    def bits_per_character(self) -> float:
        return self.bits / self.characters

    @property
    def nats(self) -> float:
        """The sum in nats."""
        return self.bits * math.log(2)


class CharacterLanguageModel(Loaded["NativeCharacterModel"]):
    """Transformer-XL without memory, with causal windows that may differ from layer to layer: docs/charlm.md.

    Made by ``lf.train("char-lm", ...)``, or a state dict of transformer-xl. Thread-safe; a context manager.

    >>> with lf.CharacterLanguageModel.load(models / "character") as model:
    ...     text = model.generate("the ", characters=12, temperature=0.8, seed=1)
    ...     score = model.score("the boats came home")
    >>> len(text), score.characters, score.bits_per_character > 0
    (12, 18, True)
    """

    @classmethod
    def _open(cls, backend: Backend, folder: str, options: Any) -> Any:
        return backend.load_character_model(folder, options)

    @property
    def is_bytes(self) -> bool:
        """Whether the symbols are bytes; else Unicode characters."""
        with self._use() as native:
            return native.is_bytes

    @property
    def symbols(self) -> tuple[int, ...]:
        """The vocabulary: the byte or code point of each id."""
        with self._use() as native:
            return tuple(native.symbols)

    def encode(self, text: str) -> np.ndarray:
        """The ids of a text, int64 [T].

        >>> with lf.CharacterLanguageModel.load(models / "character") as model:
        ...     model.decode(model.encode("boats"))
        'boats'
        """
        given = one_text(text, "text")
        with self._use() as native:
            return to_numpy(native.encode(given))

    def decode(self, ids: Sequence[int]) -> str:
        """The text of ids; bytes that are no UTF-8 become U+FFFD."""
        given = [int(i) for i in ids]
        with self._use() as native:
            return native.decode(given)

    def __call__(self, ids: Any, targets: Any = None, *, logits: bool = False, hidden_states: bool = False, as_tensors: bool = False) -> dict[str, Any]:
        """Runs the model on sequences of one length; nothing is remembered between calls.

        Args:
            ids: [B, T], integers.
            targets: As the ids: the symbol after each. None: no losses.
            logits: Also ``logits`` [B, T, V].
            hidden_states: Also ``hidden_states.0`` (before the first layer), ``hidden_states.1``, ...: [B, T, C].
            as_tensors: Give ``Tensor`` objects (any device, bfloat16, DLPack) in place of numpy arrays.

        Returns:
            ``last_hidden_state`` [B, T, C]; with targets ``losses`` [B, T], the negative log-likelihoods in nats, and ``loss``, their mean.

        Raises:
            InputError: A shape is wrong, or an id is no symbol.
            KeyboardInterrupt: Ctrl-C stops the pass in front of its next layer.

        >>> with lf.CharacterLanguageModel.load(models / "character") as model:
        ...     ids = model.encode("the boats")[None]
        ...     out = model(ids[:, :-1], ids[:, 1:], logits=True)
        >>> out["logits"].shape[:2], out["losses"].shape
        ((1, 8), (1, 8))
        """
        first, second = _ids(ids, "ids"), None if targets is None else _ids(targets, "targets")
        watch = Watch()
        with self._use() as native:
            outputs = watch.run(lambda model: model.run(first, second, logits, hidden_states, watch), native, native.polls)
        return {name: Tensor(output) if as_tensors else to_numpy(output) for name, output in outputs.items()}

    def gradients(self, ids: Any, targets: Any) -> dict[str, np.ndarray]:
        """``loss``, the mean in nats, and ``grad.<parameter>`` for every parameter.

        The model must have been loaded with ``options=lf.LoadOptions(trainable=True)``.
        """
        first, second = _ids(ids, "ids"), _ids(targets, "targets")
        with self._use() as native:
            outputs: dict[str, NativeTensor] = native.gradients(first, second)
        return {name: to_numpy(output) for name, output in outputs.items()}

    def parameters(self) -> dict[str, np.ndarray]:
        """The weights under transformer-xl's names, read-only and without a copy (bfloat16 as float32)."""
        with self._use() as native:
            return _read_only(native.parameters())

    def save(self, folder: str | os.PathLike[str]) -> None:
        """Writes ``config.json``, ``model.safetensors`` and ``vocabulary.json``."""
        with self._use() as native:
            native.save(os.fspath(folder))

    def _losses(self, text: str) -> Plan[np.ndarray]:
        """The negative log-likelihood in nats of each symbol of a text behind the first, float64 [T - 1].

        One pass, in which a symbol sees all before it, as far as the windows reach; the memory does not grow with the text.
        """
        given, watch = one_text(text, "text"), Watch()
        return watch, lambda native: to_numpy(native.score(given, watch)), None

    losses, alosses = blocking(_losses), awaitable(_losses)

    def score(self, text: str) -> CharacterScore:
        """How well the model predicts a text: the sum of ``losses``."""
        losses = self.losses(text)
        return CharacterScore(float(losses.sum()) / math.log(2), len(losses))

    def _evaluate(
        self,
        file: str | os.PathLike[str],
        *,
        part: str = "test",
        split: Sequence[int] | None = None,
        length: int = 32256,
        step: int = 512,
        one_pass: bool = False,
        every_character: bool = False,
        progress: ProgressArgument = None,
    ) -> Plan[CharacterScore]:
        """Bits per character of a text file, as in the paper: overlapping sequences, of which the last ``step`` predictions count.

        Args:
            file: The file.
            part: ``"train"``, ``"dev"``, ``"test"`` or ``"all"``.
            split: Lengths of the first three parts; None: 90, 5 and 5 percent.
            length: Characters of a sequence.
            step: Characters between two sequences.
            one_pass: Compute each character once, with the keys and values of those before; counts the same characters.
            every_character: With ``one_pass``: count from the first character on.
            progress: True for a tqdm bar, or a function that gets a ``Progress`` as characters are counted.
        """
        settings: dict[str, Any] = {"part": part, "length": plain_number(length), "step": plain_number(step)}
        settings |= {name: True for name, flag in (("one_pass", one_pass), ("every_character", every_character)) if flag}
        if split is not None:
            settings["split"] = ",".join(str(int(n)) for n in split)
        watch, after = watched(progress, "character")
        path = os.fspath(file)

        def call(native: NativeCharacterModel) -> CharacterScore:
            found = native.evaluate(path, settings, watch)
            return CharacterScore(found["total_bits"], int(found["characters"]))

        return watch, call, after

    evaluate, aevaluate = blocking(_evaluate), awaitable(_evaluate)

    def _generate(
        self,
        prompt: str,
        *,
        characters: int = 256,
        greedy: bool = False,
        temperature: float = 1.0,
        top_k: int = 0,
        top_p: float = 1.0,
        seed: int = 0,
        on_text: Callable[[str], Any] | None = None,
        progress: ProgressArgument = None,
    ) -> Plan[str]:
        """Continues a text.

        Args:
            prompt: At least one character.
            characters: How many symbols to write.
            greedy: Always the most probable symbol.
            temperature: Below 1 the probable symbols become more so.
            top_k: Draw from so many of the most probable symbols only; 0: all.
            top_p: Draw from the most probable symbols that together have this probability; 1: all.
            seed: The same seed writes the same text.
            on_text: Gets the text piece by piece, on the thread that works.
            progress: True for a tqdm bar, or a function that gets a ``Progress`` after every symbol.

        Returns:
            What was written, without the prompt.
        """
        watch, after = watched(progress, "character", on_text)
        settings = _writing(characters, greedy, temperature, top_k, top_p, seed)
        given = one_text(prompt, "prompt")

        def call(native: NativeCharacterModel) -> str:
            return native.generate(given, settings, watch)

        return watch, call, after

    generate, agenerate = blocking(_generate), awaitable(_generate)

    def stream(self, prompt: str, **keywords: Any) -> Iterator[str]:
        """The text piece by piece; leaving the loop early stops the work. Keywords as ``generate`` has them.

        >>> with lf.CharacterLanguageModel.load(models / "character") as model:
        ...     "".join(model.stream("the ", characters=9)) == model.generate("the ", characters=9)
        True
        """
        return streamed(self, lambda put: self._streaming(prompt, keywords, put))

    def astream(self, prompt: str, **keywords: Any) -> AsyncIterator[str]:
        """``stream`` for ``async for``."""
        return astreamed(self, lambda put: self._streaming(prompt, keywords, put))

    def _streaming(
        self, prompt: str, keywords: dict[str, Any], put: Callable[[Any], Any]
    ) -> tuple[Watch, Callable[[NativeCharacterModel], Any]]:
        watch, call, _ = self._generate(prompt, on_text=put, **keywords)
        return watch, call


def _writing(characters: int, greedy: bool, temperature: float, top_k: int, top_p: float, seed: int) -> dict[str, Any]:
    settings = {"characters": characters, "temperature": temperature, "top_k": top_k, "top_p": top_p, "seed": seed}
    settings = {name: plain_number(value) for name, value in settings.items()}
    if not 0 <= settings["seed"] < 2**63:
        raise InputError(f"seed: expected 0 to 2**63 - 1, given {seed}")
    for name in ("temperature", "top_p"):
        settings[name] = float(settings[name])
    return settings | ({"greedy": True} if greedy else {})


def _ids(value: Any, name: str) -> Borrowed:
    return as_dtype(borrow(value, name, "int64"), name, ("int64", "int32"))
