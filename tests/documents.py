"""The code in the project's documents."""

import re

from small import ROOT

FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)


def blocks(document: str, language: str) -> list[tuple[int, str]]:
    """`(first line, text)` of every block in a language, in order."""
    text = (ROOT / document).read_text(encoding="utf-8")
    found = [match for match in FENCE.finditer(text) if match[1] == language]
    return [(text.count("\n", 0, match.start(2)), match[2]) for match in found]
