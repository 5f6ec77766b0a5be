"""Text: a string to token ids, with the very tokenizer.json of training."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
from tokenizers import Tokenizer

from bundle.errors import InvalidInput, ManifestError, TooLarge
from bundle.files import read
from bundle.modalities.modality import Array, Modality, Payload
from bundle.modalities.ranges import check_whole
from bundle.work import checkpoint, limits

FILE = "tokenizer.json"
MAX_LENGTH = 100_000
LARGEST_FILE = 1 << 27
"""Bytes of tokenizer.json: four times those of the largest vocabularies."""
WORDS = ("red", "green", "old", "small", "house", "river", "music", "winter", "paper", "garden", "naïve", "日本")


@dataclass(frozen=True)
class Text(Modality):
    """A text of any length; what is over `max_length` tokens is cut at the end."""

    name: ClassVar[str] = "text"
    dtype: ClassVar[str] = "int64"

    tokenizer: str
    """Content of tokenizer.json."""
    max_length: int = 64
    """Tokens kept, special tokens included."""
    pad_id: int = 0
    """The token that fills up shorter texts of a batch; the graph ignores it."""

    def __post_init__(self) -> None:
        special = self._tokenizer.num_special_tokens_to_add(False)
        check_whole("max_length", self.max_length, special + 1, MAX_LENGTH)
        check_whole("pad_id", self.pad_id, 0, self.vocabulary - 1)

    @property
    def shape(self) -> tuple[int | None, ...]:
        """`(tokens,)`, any number up to `max_length`."""
        return (None,)

    @cached_property
    def _tokenizer(self) -> Tokenizer:
        try:
            tokenizer = Tokenizer.from_str(self.tokenizer)
        except Exception as error:  # the library raises bare Exception
            raise ValueError(f"{FILE} is not a tokenizer: {error}") from None
        check_whole("max_length", self.max_length, 1, MAX_LENGTH)
        tokenizer.no_padding()
        tokenizer.enable_truncation(self.max_length)
        return tokenizer

    @property
    def vocabulary(self) -> int:
        """One more than the largest token id, added tokens included: rows of an embedding table."""
        return 1 + max(self._tokenizer.get_vocab().values())

    def blank(self) -> Array:
        """One token that is no padding, so that there is something to attend to."""
        return np.array([0 if self.pad_id else 1], np.int64)

    def decode(self, payload: Payload) -> Array:
        """A string, or its UTF-8 bytes, to `(tokens,)` int64 ids."""
        if isinstance(payload, bytes):
            try:
                payload = payload.decode("utf-8-sig")
            except UnicodeDecodeError:
                raise InvalidInput("text in UTF-8", f"{len(payload)} bytes that are not UTF-8") from None
        if not isinstance(payload, str):
            raise InvalidInput("a text", type(payload).__name__)
        if "\0" in payload:
            raise InvalidInput("a text", "binary data (it holds a NUL character)")
        if not payload.strip():
            raise InvalidInput("a text with at least one word", "an empty text")
        if len(payload) > limits().characters:
            raise TooLarge(f"at most {limits().characters:,} characters", f"{len(payload):,} characters")
        checkpoint()
        try:
            ids = self._tokenizer.encode(payload).ids
        except TypeError:  # half a surrogate pair, which JSON lets through and UTF-8 does not have
            raise InvalidInput("text in Unicode", "half a surrogate pair") from None
        if not ids:
            raise InvalidInput("a text with at least one word", "a text that gives no token")
        return np.asarray(ids, dtype=np.int64)

    def stack(self, arrays: Sequence[Array]) -> Array:
        """Join texts into `(batch, tokens)`, padded to the longest."""
        batch = np.full((len(arrays), max(len(ids) for ids in arrays)), self.pad_id, dtype=np.int64)
        for row, ids in zip(batch, arrays, strict=True):
            row[: len(ids)] = ids
        return batch

    def example(self, generator: np.random.Generator) -> bytes:
        """A few generated words."""
        return " ".join(generator.choice(WORDS, int(generator.integers(1, 24)))).encode()

    def parameters(self) -> dict[str, Any]:
        """Everything but the tokenizer, which is a file of its own."""
        return {"max_length": self.max_length, "pad_id": self.pad_id}

    def files(self) -> dict[str, bytes]:
        """The tokenizer, byte for byte that of training."""
        return {FILE: self.tokenizer.encode()}

    @classmethod
    def restore(cls, parameters: Mapping[str, Any], folder: Path) -> Self:
        """Read the parameters, and the tokenizer from `folder`."""
        try:
            tokenizer = read(folder, FILE, LARGEST_FILE).decode("utf-8")
        except (ManifestError, UnicodeDecodeError) as error:
            raise ManifestError(f"a text input needs {FILE}: {error}") from None
        if "tokenizer" in parameters:
            raise ManifestError(f"parameters of text: the tokenizer is expected in {FILE}, found among the parameters")
        return cls.checked({**parameters, "tokenizer": tokenizer})
