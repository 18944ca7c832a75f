"""Text to tokens and back."""
from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ._errors import InputError
from ._loaded import Loaded
from ._options import LoadOptions, _one_of
from ._results import Encoding
from ._texts import texts as texts_of

if TYPE_CHECKING:
    from ._backend import Backend, NativeTokenizer

__all__ = ["Tokenizer"]

TRUNCATIONS = ("longest_first", "only_first", "only_second", "do_not_truncate")


class Tokenizer(Loaded["NativeTokenizer"]):
    """The tokenizer of a checkpoint: byte-level BPE (RoBERTa, BART, Longformer, LED) or WordPiece (BERT).

    >>> tokenizer = lf.Tokenizer.load(models / "encoder")
    >>> text = "Long documents \N{MATHEMATICAL BOLD SMALL A}!"
    >>> tokens = tokenizer.encode(text)
    >>> tokens.ids[0] == tokenizer.special_tokens["cls"], tokenizer.decode(tokens.ids, skip_special_tokens=True) == text
    (True, True)
    >>> start, end = tokens.offsets[1]
    >>> text[start:end]
    'L'
    """

    @classmethod
    def _open(cls, backend: Backend, folder: str, options: LoadOptions) -> Any:
        return backend.load_tokenizer(folder)

    @classmethod
    def load(cls, folder: str | os.PathLike[str], **_: Any) -> Tokenizer:
        """Loads ``tokenizer.json``, or ``vocab.json`` and ``merges.txt``, or ``vocab.txt`` from a folder.

        Raises:
            CheckpointError: The files are missing or malformed.
        """
        path = os.fspath(folder)
        return cls(cls._get_backend().load_tokenizer(path), path, LoadOptions())

    @staticmethod
    def _of(task: Loaded[Any], native: NativeTokenizer) -> Tokenizer:
        # The class of the task's own backend, so that pickling finds the way back.
        kind: type[Tokenizer] = getattr(task, "_tokenizer_class", Tokenizer)
        return kind(native, task.folder, LoadOptions())

    @property
    def vocabulary_size(self) -> int:
        with self._use() as native:
            return native.vocabulary_size

    @property
    def special_tokens(self) -> Mapping[str, int]:
        """Ids of the tokens with a role: ``bos``, ``eos``, ``cls``, ``sep``, ``pad``, ``mask``, ``unk``, those that there are."""
        with self._use() as native:
            return dict(native.special_tokens)

    def encode(
        self,
        text: str,
        pair: str | None = None,
        *,
        add_special_tokens: bool = True,
        max_length: int | None = None,
        stride: int = 0,
        truncation: str = "longest_first",
        add_prefix_space: bool | None = None,
    ) -> Encoding:
        """A text, or a pair of texts, as tokens.

        Args:
            text: The text.
            pair: A second text.
            add_special_tokens: Put the model's special tokens around the texts.
            max_length: Largest number of tokens, special tokens included; None: no limit. ``encode_windows`` gives what is cut off.
            stride: Tokens that each window repeats from the one before.
            truncation: ``"longest_first"``, ``"only_first"``, ``"only_second"`` or ``"do_not_truncate"``: what ``max_length`` cuts.
            add_prefix_space: Byte-level BPE: read the text as if it began with a space; None: as the files say.
        """
        return self._encode(text, pair, add_special_tokens, max_length, stride, truncation, add_prefix_space)[0]

    def encode_windows(
        self,
        text: str,
        pair: str | None = None,
        *,
        max_length: int,
        stride: int = 0,
        add_special_tokens: bool = True,
        truncation: str = "longest_first",
        add_prefix_space: bool | None = None,
    ) -> list[Encoding]:
        """A text as successive encodings of at most ``max_length`` tokens that together cover it.

        >>> windows = lf.Tokenizer.load(models / "encoder").encode_windows("one two three four five six", max_length=6, stride=1)
        >>> all(len(w) <= 6 for w in windows), windows[0].ids[-2] == windows[1].ids[1]
        (True, True)
        """
        first, rest = self._encode(text, pair, add_special_tokens, max_length, stride, truncation, add_prefix_space)
        return [first, *rest]

    def encode_batch(
        self,
        texts: Sequence[str],
        pairs: Sequence[str] | None = None,
        *,
        add_special_tokens: bool = True,
        max_length: int | None = None,
        truncation: str = "longest_first",
        padding: str = "none",
        padding_side: str | None = None,
        pad_to_multiple_of: int | None = None,
        add_prefix_space: bool | None = None,
    ) -> list[Encoding]:
        """Many texts, or pairs of texts, at once, on all cores.

        Args:
            texts: The texts.
            pairs: As many second texts.
            add_special_tokens: As for ``encode``.
            max_length: As for ``encode``.
            truncation: As for ``encode``.
            padding: ``"none"``, ``"longest"`` (all as long as the longest) or ``"max_length"``. The models need none.
            padding_side: ``"right"`` or ``"left"``; None: as the tokenizer's files say.
            pad_to_multiple_of: Lengths are rounded up to a multiple of this.
            add_prefix_space: As for ``encode``.

        >>> tokenizer = lf.Tokenizer.load(models / "encoder")
        >>> short, long = tokenizer.encode_batch(["One.", "One, two and three."], padding="longest")
        >>> len(short) == len(long), sum(short.attention_mask) < len(short)
        (True, True)
        """
        given = texts_of(texts, "texts")
        second = None if pairs is None else texts_of(pairs, "pairs")
        if second is not None and len(second) != len(given):
            raise InputError(f"pairs: expected {len(given)} texts, as many as texts, given {len(second)}")
        _one_of("truncation", truncation, TRUNCATIONS)
        _one_of("padding", padding, ("none", "longest", "max_length"))
        if padding_side is not None:
            _one_of("padding_side", padding_side, ("right", "left"))
        if padding == "max_length" and max_length is None:
            raise InputError("padding: max_length needs the argument max_length")
        options = {
            "add_special_tokens": add_special_tokens, "max_length": max_length, "truncation": truncation, "padding": padding,
            "padding_side": padding_side, "pad_to_multiple_of": pad_to_multiple_of, "add_prefix_space": add_prefix_space,
        }  # fmt: skip
        with self._use() as native:
            return native.encode_batch(given, second, options)

    def decode(self, ids: Sequence[int], *, skip_special_tokens: bool = False) -> str:
        """Tokens as text; bytes that make no character become U+FFFD."""
        with self._use() as native:
            return native.decode([int(i) for i in ids], skip_special_tokens)

    def token_to_id(self, token: str) -> int | None:
        """The id of a token as the vocabulary writes it, None if there is none."""
        with self._use() as native:
            return native.token_to_id(token)

    def id_to_token(self, index: int) -> str | None:
        """The token with an id as the vocabulary writes it, None if there is none."""
        with self._use() as native:
            return native.id_to_token(int(index))

    def _encode(
        self, text: str, pair: str | None, special: bool, longest: int | None, stride: int, truncation: str, space: bool | None
    ) -> tuple[Encoding, tuple[Encoding, ...]]:
        for name, value in (("text", text), ("pair", pair)):
            if not isinstance(value, str) and not (value is None and name == "pair"):
                raise InputError(f"{name}: expected a str, given {type(value).__name__}")
        _one_of("truncation", truncation, TRUNCATIONS)
        options = {
            "add_special_tokens": special, "max_length": longest, "stride": stride, "truncation": truncation, "add_prefix_space": space,
        }  # fmt: skip
        with self._use() as native:
            return native.encode(text, pair, options)

    def __len__(self) -> int:
        return self.vocabulary_size

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self.folder!r}, {'closed' if self.closed else f'{self.vocabulary_size} tokens'}>"
