"""Vocabularies: from characters, bytes or words to numbers and back."""

import functools
import json
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from seqmodels.data.corpora import Unit
from seqmodels.data.sources import DataError

UNKNOWN_CHARACTER = "\N{REPLACEMENT CHARACTER}"
UNKNOWN_WORD = "<unk>"
END_OF_LINE = "<eos>"
_NO_BYTE = re.compile("[\ud800-\udc7f\udd00-\udfff]")
"""Halves of surrogate pairs, which JSON may bring, but for those that stand for a byte that is not UTF-8."""

_BYTES = tuple(f"0x{byte:02x}" for byte in range(256))
_RESERVED: dict[str, tuple[str, ...]] = {
    "char": (UNKNOWN_CHARACTER,),
    "byte": _BYTES,
    "word": (UNKNOWN_WORD, END_OF_LINE),
}

Ids: TypeAlias = npt.NDArray[np.int32]


@dataclass(frozen=True)
class Vocabulary:
    """The symbols a model knows; the place of a symbol is its number.

    Symbol 0 of characters is U+FFFD, of words `<unk>`: every unknown symbol is read as that one. Words are parted by
    blanks, and each newline is the word `<eos>`. Bytes are those of the UTF-8 form, and none is unknown; half of a
    surrogate pair, which has no such form, is read as U+FFFD.

    Attributes:
      unit: "char", "byte" or "word".
      symbols: all different; bytes by name, `0x00` to `0xff`.

    Raises:
      DataError: if the symbols are not a vocabulary of this unit.

    Example:
      >>> vocabulary = Vocabulary.build("to be or not to be", "char")
      >>> len(vocabulary), vocabulary.encode("robot").tolist()
      (8, [6, 5, 2, 5, 7])
      >>> vocabulary.decode(vocabulary.encode("tenor")), vocabulary.unseen("tennis")
      ('tenor', 'is')
    """

    unit: Unit
    symbols: tuple[str, ...]

    def __post_init__(self) -> None:
        reserved = _RESERVED.get(self.unit)
        if reserved is None:
            raise DataError(f"vocabulary: unit {self.unit!r} is none of {', '.join(_RESERVED)}")
        if self.symbols[: len(reserved)] != reserved:
            raise DataError(f"vocabulary: the first symbols of unit {self.unit} must be {', '.join(reserved[:3])}")
        if len(set(self.symbols)) != len(self.symbols):
            twice = [symbol for symbol, count in Counter(self.symbols).items() if count > 1]
            raise DataError(f"vocabulary: symbol {twice[0]!r} is there twice")
        if self.unit == "byte" and self.symbols != _BYTES:
            raise DataError(f"vocabulary: there are 256 bytes, not {len(self.symbols)}")
        unfit = [symbol for symbol in self.symbols if not _fits(symbol, self.unit)]
        if unfit:
            raise DataError(f"vocabulary: symbol {unfit[0]!r} is not one {self.unit}")

    @classmethod
    def build(cls, text: str, unit: Unit, *, limit: int | None = None, least: int = 1) -> "Vocabulary":
        """Collects the symbols of a text.

        Characters are sorted; words come by falling frequency, then by alphabet; bytes are always all 256.

        Args:
          text: the training text.
          unit: what to split it into.
          limit: greatest number of symbols, the reserved ones included; the most frequent stay.
          least: how often a symbol must occur to be taken.

        Raises:
          DataError: if the limit leaves no room for anything but the reserved symbols, or bytes are given a limit.
        """
        reserved = _RESERVED[unit]
        if limit is not None and (unit == "byte" or limit <= len(reserved)):
            raise DataError(
                f"vocabulary: a limit of {limit} symbols does not fit unit {unit}: {len(reserved)} are fixed"
            )
        if unit == "byte":
            return cls(unit, reserved)
        counts = Counter(text if unit == "char" else _words(text))
        frequent = [symbol for symbol, count in counts.items() if count >= least and symbol not in reserved]
        frequent.sort(key=lambda symbol: (-counts[symbol], symbol))
        chosen = frequent[: None if limit is None else limit - len(reserved)]
        return cls(unit, reserved + tuple(sorted(chosen) if unit == "char" else chosen))

    def __len__(self) -> int:
        return len(self.symbols)

    def encode(self, text: str) -> Ids:
        """Turns a text into numbers; unknown characters and words become symbol 0.

        Args:
          text: any text.

        Returns:
          int32 [n], one number for each symbol of the text.
        """
        if self.unit == "byte":
            whole = _NO_BYTE.sub(UNKNOWN_CHARACTER, text)
            return np.frombuffer(whole.encode("utf-8", "surrogateescape"), np.uint8).astype(np.int32)
        if self.unit == "char":
            return self._by_code[np.minimum(_codes(text), len(self._by_code) - 1)]
        number = self._numbers.get
        return np.fromiter((number(word, 0) for word in _words(text)), np.int32)

    def decode(self, ids: npt.ArrayLike) -> str:
        """Turns numbers into text: words with blanks between them and a newline for `<eos>`.

        Bytes that are not UTF-8 (a character cut in two, say) are shown as U+FFFD.

        Args:
          ids: [n], each in 0 .. len(self) - 1.

        Raises:
          ValueError: if a number is out of range.
        """
        numbers = np.asarray(ids, np.int64)
        if numbers.size and not 0 <= numbers.min() <= numbers.max() < len(self):
            raise ValueError(f"ids must be in 0..{len(self) - 1}, got {numbers.min()}..{numbers.max()}")
        if self.unit == "byte":
            return numbers.astype(np.uint8).tobytes().decode("utf-8", "replace")
        symbols = [self.symbols[number] for number in numbers]
        if self.unit == "char":
            return "".join(symbols)
        return (
            " ".join("\n" if word == END_OF_LINE else word for word in symbols)
            .replace(" \n", "\n")
            .replace("\n ", "\n")
        )

    def unseen(self, text: str) -> str:
        """The characters of a text that are unknown here, sorted; of words those, with blanks between them."""
        if self.unit == "byte":
            return ""
        if self.unit == "char":
            return "".join(sorted(set(text).difference(self.symbols[1:])))
        return " ".join(sorted(set(_words(text)).difference(self.symbols)))

    def check(self, text: str) -> None:
        """Refuses a prompt with characters that the model never saw. Unknown words are read as `<unk>`.

        Raises:
          DataError: naming up to five of the characters and where they stand.
        """
        unseen = self.unseen(text) if self.unit == "char" else ""
        if not unseen:
            return
        first = sorted((text.index(character), character) for character in unseen)
        named = ", ".join(f"{character!r} (U+{ord(character):04X}, position {place})" for place, character in first[:5])
        more = f" and {len(first) - 5} more" if len(first) > 5 else ""
        raise DataError(
            f"the text has characters that the model was not trained on: {named}{more}; leave them out, or train on a "
            "text that has them"
        )

    def to_json(self) -> str:
        """A JSON text that `from_json` reads back."""
        return json.dumps({"unit": self.unit, "symbols": self.symbols})

    @classmethod
    def from_json(cls, text: str) -> "Vocabulary":
        """Reads what `to_json` wrote.

        Raises:
          DataError: if it is not that.
        """
        try:
            stored = json.loads(text)
        except ValueError as error:
            raise DataError(f"vocabulary: not JSON ({error})") from error
        if not isinstance(stored, dict) or stored.keys() != {"unit", "symbols"}:
            raise DataError("vocabulary: must be an object with the keys unit and symbols, and no others")
        unit, symbols = stored["unit"], stored["symbols"]
        if not isinstance(unit, str) or not isinstance(symbols, list) or not all(isinstance(s, str) for s in symbols):
            raise DataError("vocabulary: unit must be a string, symbols a list of strings")
        return cls(unit, tuple(symbols))  # type: ignore[arg-type]  # __post_init__ checks the unit

    @functools.cached_property
    def _by_code(self) -> Ids:
        """int32 [highest code point + 2]: code point -> number; the last entry stands for all code points above."""
        codes = _codes("".join(self.symbols[1:]))
        table = np.zeros(int(codes.max(initial=0)) + 2, np.int32)
        table[codes] = np.arange(1, len(self), dtype=np.int32)
        return table

    @functools.cached_property
    def _numbers(self) -> dict[str, int]:
        return {symbol: number for number, symbol in enumerate(self.symbols)}


def _fits(symbol: str, unit: Unit) -> bool:
    return len(symbol) == 1 if unit == "char" else symbol.split() == [symbol]


def _words(text: str) -> Iterable[str]:
    """The words of a text, each newline as `<eos>`."""
    lines = text.split("\n")
    for line in lines[:-1]:
        yield from line.split()
        yield END_OF_LINE
    yield from lines[-1].split()


def _codes(text: str) -> npt.NDArray[np.uint32]:
    """Code points, uint32 [n]. Lone surrogates, which a terminal may pass on, stay what they are."""
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.dtype("<u4"))
