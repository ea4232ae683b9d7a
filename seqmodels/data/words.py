"""English text taken apart into words."""

import re

_WORD = re.compile(r"n't|'?\w+|[^\w\s]")


def split_words(text: str) -> str:
    r"""The text in small letters with blanks between its words, punctuation marks and clitics, on one line.

    Args:
      text: any text, also one that is taken apart already.

    Example:
      >>> split_words("It's GOOD,\nisn't it?")
      "it 's good , is n't it ?"
    """
    text = text.lower().replace("\N{RIGHT SINGLE QUOTATION MARK}", "'").replace("n't", " n't")
    return " ".join(_WORD.findall(text))
