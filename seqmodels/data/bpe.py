"""Pieces of words: a vocabulary of byte pairs, put together as a text has them."""

import functools
import importlib
import importlib.util
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar, Final, Literal

import numpy as np
import numpy.typing as npt

from seqmodels.data.sources import DataError
from seqmodels.data.vocabulary import UNKNOWN_CHARACTER, Vocabulary

DEFAULT_SIZE: Final = 4096
_LINES_AT_ONCE = 10_000
_KEYS = {"unit", "symbols", "merges"}
_NOT_UTF_8 = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True)
class BytePairs:
    """Symbols that stand for one byte or several; the place of a symbol is its number.

    A text is cut at its line ends, these into words with the blank before them, and a word into bytes, which are joined
    pair by pair in the order in which the pairs were learnt. So every text can be read, and none has unknown parts.
    Symbols are written with one character a byte, in which a blank is `Ġ` and a line end is `Ċ`. It has the methods of
    `Vocabulary`; the work is done by the package `tokenizers` (an extra).

    Attributes:
      symbols: all different, those of the 256 single bytes among them.
      merges: the pairs of symbols that are joined, those learnt first in front.

    Raises:
      DataError: if the symbols are not such a vocabulary, or the package is not installed.

    References:
      Gage (1994), A new algorithm for data compression; Sennrich, Haddow & Birch (2016), Neural machine translation of
      rare words with subword units; Radford et al. (2019), Language models are unsupervised multitask learners (over
      bytes).
    """

    unit: ClassVar[Literal["bpe"]] = "bpe"
    symbols: tuple[str, ...]
    merges: tuple[tuple[str, str], ...]

    def __post_init__(self) -> None:
        known = set(self.symbols)
        if len(known) != len(self.symbols):
            raise DataError("vocabulary: a symbol of unit bpe is there twice")
        if missing := set(_part("pre_tokenizers").ByteLevel.alphabet()) - known:
            raise DataError(f"vocabulary: unit bpe must have all 256 bytes; {len(missing)} are missing")
        if wrong := [pair for pair in self.merges if not {*pair, "".join(pair)} <= known]:
            raise DataError(f"vocabulary: {wrong[0]} is joined, but not among the symbols")

    @classmethod
    def build(cls, text: str, *, limit: int | None = None) -> "BytePairs":
        """Learns the pairs that are most frequent in a text.

        Args:
          text: the training text.
          limit: number of symbols, the 256 bytes included; None: 4,096. A small text may give fewer: pairs that it has
            only once are not joined.

        Raises:
          DataError: if the limit leaves no room for anything but the bytes.
        """
        size = DEFAULT_SIZE if limit is None else limit
        alphabet = _part("pre_tokenizers").ByteLevel.alphabet()
        if size <= len(alphabet):
            raise DataError(f"data.vocabulary: unit bpe needs more than its {len(alphabet)} bytes (got {size})")
        tokenizer = _tokenizer({}, [])
        trainer = _part("trainers").BpeTrainer(
            vocab_size=size, min_frequency=2, initial_alphabet=sorted(alphabet), special_tokens=[], show_progress=False
        )
        tokenizer.train_from_iterator(_lines(text), trainer)
        model = json.loads(tokenizer.to_str())["model"]
        symbols = sorted(model["vocab"], key=model["vocab"].__getitem__)
        return cls(tuple(symbols), tuple((first, second) for first, second in model["merges"]))

    def __len__(self) -> int:
        return len(self.symbols)

    @functools.cached_property
    def sizes(self) -> npt.NDArray[np.float32]:
        """How many bytes each symbol stands for, float32 [V]."""
        return np.array([len(symbol) for symbol in self.symbols], np.float32)

    def encode(self, text: str) -> npt.NDArray[np.int32]:
        """Turns a text into numbers, int32 [n]; half of a surrogate pair, which UTF-8 has not, as U+FFFD."""
        lines = list(_lines(_NOT_UTF_8.sub(UNKNOWN_CHARACTER, text)))
        pieces = (lines[start : start + _LINES_AT_ONCE] for start in range(0, len(lines), _LINES_AT_ONCE))
        ids = [np.array(line.ids, np.int32) for piece in pieces for line in self._tokenizer.encode_batch(piece)]
        return np.concatenate(ids) if ids else np.zeros(0, np.int32)

    def decode(self, ids: npt.ArrayLike) -> str:
        """Turns numbers into text. Bytes that are not UTF-8 (a character cut in two, say) are shown as U+FFFD.

        Raises:
          ValueError: if a number is out of range.
        """
        numbers = np.asarray(ids, np.int64)
        if numbers.size and not 0 <= numbers.min() <= numbers.max() < len(self):
            raise ValueError(f"ids must be in 0..{len(self) - 1}, got {numbers.min()}..{numbers.max()}")
        return str(self._tokenizer.decode(numbers.tolist(), skip_special_tokens=False))

    def unseen(self, text: str) -> str:
        """Nothing: every text can be read."""
        del text
        return ""

    def check(self, text: str) -> None:
        """Raises DataError for what is no text: bytes that are not UTF-8, as a terminal may pass them on."""
        try:
            text.encode("utf-8")
        except UnicodeEncodeError as error:
            raise DataError(f"the text is not UTF-8 at position {error.start}; leave that out") from error

    def to_json(self) -> str:
        """A JSON text that `from_json` reads back."""
        return json.dumps({"unit": self.unit, "symbols": self.symbols, "merges": self.merges})

    @classmethod
    def from_json(cls, text: str) -> "BytePairs":
        """Reads what `to_json` wrote.

        Raises:
          DataError: if it is not that.
        """
        stored = json.loads(text)
        if not isinstance(stored, dict) or stored.keys() != _KEYS or stored["unit"] != cls.unit:
            raise DataError("vocabulary: of unit bpe, must be an object with the keys unit, symbols and merges")
        return cls(tuple(stored["symbols"]), tuple((first, second) for first, second in stored["merges"]))

    @functools.cached_property
    def _tokenizer(self) -> Any:
        return _tokenizer({symbol: number for number, symbol in enumerate(self.symbols)}, list(self.merges))


def vocabulary_from_json(text: str) -> Vocabulary | BytePairs:
    """Reads what `to_json` of either kind of vocabulary wrote.

    Raises:
      DataError: if it is not that.
    """
    try:
        stored = json.loads(text)
    except ValueError as error:
        raise DataError(f"vocabulary: not JSON ({error})") from error
    pairs = isinstance(stored, dict) and stored.get("unit") == BytePairs.unit
    return BytePairs.from_json(text) if pairs else Vocabulary.from_json(text)


def _tokenizer(vocabulary: dict[str, int], merges: list[tuple[str, str]]) -> Any:
    """A tokenizer of bytes with these symbols."""
    tokenizer = importlib.import_module("tokenizers").Tokenizer(_part("models").BPE(vocabulary, merges))
    tokenizer.pre_tokenizer = _part("pre_tokenizers").ByteLevel(add_prefix_space=False)
    tokenizer.decoder = _part("decoders").ByteLevel()
    return tokenizer


def _part(name: str) -> Any:
    """A module of the package that does the work.

    Raises:
      DataError: if the package is not installed.
    """
    if importlib.util.find_spec("tokenizers") is None:
        raise DataError('data.unit=bpe needs a package more: pip install "seqmodels[tokenizers]"')
    return importlib.import_module(f"tokenizers.{name}")


def _lines(text: str) -> Iterator[str]:
    """The lines of a text with their ends."""
    *lines, last = text.split("\n")
    yield from (f"{line}\n" for line in lines)
    if last:
        yield last
