"""A sentence with the labels that were found for its words."""

from collections.abc import Sequence
from typing import NamedTuple


class TaggedView(NamedTuple):
    """A sentence as it is shown.

    Attributes:
      words: of the sentence.
      found: the label found for each.
      true: the right labels, or None where nobody knows them.
    """

    words: Sequence[str]
    found: Sequence[str]
    true: Sequence[str] | None = None

    def text(self, *, plain: str | None = None) -> str:
        """The words with their labels behind them, and the right label behind a wrong one.

        Args:
          plain: a label that is not written, unless it is wrong or there in place of another one.

        Example:
          >>> view = TaggedView(("a", "fine", "film"), ("DET", "NOUN", "NOUN"), ("DET", "ADJ", "NOUN"))
          >>> view.text(plain="DET")
          'a fine/NOUN(ADJ) film/NOUN'
        """
        rights = self.found if self.true is None else self.true
        return " ".join(map(_marked, self.words, self.found, rights, [plain] * len(self.words)))


def _marked(word: str, found: str, right: str, plain: str | None) -> str:
    if found != right:
        return f"{word}/{found}({right})"
    return word if found == plain else f"{word}/{found}"
