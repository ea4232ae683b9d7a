"""English text taken apart into words."""

import re

_WORD = re.compile(r"n't|'?\w+|[^\w\s]", re.IGNORECASE)
_NEGATION = re.compile(r"(n't)", re.IGNORECASE)


def tokens(text: str) -> list[str]:
    """The words of a text as they are written, punctuation marks and clitics apart.

    Example:
      >>> tokens("It's GOOD, isn't it?")
      ['It', "'s", 'GOOD', ',', 'is', "n't", 'it', '?']
    """
    text = text.replace("\N{RIGHT SINGLE QUOTATION MARK}", "'")
    return _WORD.findall(_NEGATION.sub(r" \1", text))


def split_words(text: str) -> str:
    r"""The text in small letters with blanks between its words, punctuation marks and clitics, on one line.

    Args:
      text: any text, also one that is taken apart already.

    Example:
      >>> split_words("It's GOOD,\nisn't it?")
      "it 's good , is n't it ?"
    """
    return " ".join(tokens(text.lower()))
