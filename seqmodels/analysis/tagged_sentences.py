"""A coloured view of tagged sentences: in the terminal, as a page of HTML, and as a picture."""

import colorsys
import html
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.text import Text

from seqmodels.analysis.png import write_png
from seqmodels.tasks.tagged_view import TaggedView

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_COLUMNS = 100
_POINTS = 10.0
_CHARACTER_INCHES = 0.602 * _POINTS / 72.0  # the advance of DejaVu Sans Mono, which comes with matplotlib
_LINE_INCHES = 0.26


def colours(classes: Sequence[str]) -> dict[str, str]:
    """A light colour for each class, as "#rrggbb", on which black can be read.

    Up to five classes go from red to green, so that those in the order from bad to good look like it; more go round
    the whole circle of hues.

    Example:
      >>> colours(("negative", "neutral", "positive"))
      {'negative': '#ffb2b2', 'neutral': '#ffffb2', 'positive': '#b2ffb2'}
    """
    span = 1.0 / 3.0 if len(classes) <= 5 else 1.0 - 1.0 / len(classes)
    hues = (place * span / max(len(classes) - 1, 1) for place in range(len(classes)))
    return {
        label: "#" + "".join(f"{int(255 * part):02x}" for part in colorsys.hsv_to_rgb(hue, 0.3, 1.0))
        for label, hue in zip(classes, hues, strict=True)
    }


def terminal(views: Sequence[TaggedView], classes: Sequence[str], *, plain: str | None = None) -> Text:
    """What `rich.print` shows in colour: a line of the classes, then a line a sentence; wrong words are underlined.

    Args:
      views: the sentences.
      classes: all labels, in their order.
      plain: a label that gets no colour, such as "neutral".

    Example:
      >>> view = TaggedView(("a", "fine", "film"), ("neutral", "positive", "neutral"))
      >>> print(terminal([view], ("negative", "neutral", "positive"), plain="neutral"))
      negative positive
      a fine film
    """
    text = Text()
    for number, line in enumerate(_lines(views, classes, plain)):
        text.append("\n" if number else "")
        for place, (word, colour, wrong) in enumerate(line):
            text.append(" " if place else "")
            style = f"black on {colour}" if colour else ""
            text.append(word, style=f"{style} underline".strip() if wrong else style)
    return text


def page(views: Sequence[TaggedView], classes: Sequence[str], *, plain: str | None = None, title: str) -> str:
    """The same as a whole page of HTML, which needs no other file; wrong words are underlined.

    Args:
      views: the sentences.
      classes: all labels, in their order.
      plain: a label that gets no colour.
      title: the headline.
    """
    lines = []
    for line in _lines(views, classes, plain):
        words = []
        for word, colour, wrong in line:
            style = f"background:{colour};" * bool(colour) + "text-decoration:underline;" * wrong
            words.append(f'<span style="{style}">{html.escape(word)}</span>' if style else html.escape(word))
        lines.append(f"<p>{' '.join(words)}</p>")
    head = f'<meta charset="utf-8"><title>{html.escape(title)}</title>'
    body = f"<h1>{html.escape(title)}</h1>\n" + "\n".join(lines)
    return f"<!doctype html>\n<html><head>{head}</head>\n<body>\n{body}\n</body></html>\n"


def draw(
    views: Sequence[TaggedView], classes: Sequence[str], path: Path, *, plain: str | None = None, title: str
) -> None:
    """Writes the same as a PNG; a file of that name is replaced whole.

    Args:
      views: the sentences.
      classes: all labels, in their order.
      path: the picture.
      plain: a label that gets no colour.
      title: the headline.

    Raises:
      OSError: if the picture cannot be written.
    """
    write_png(figure(views, classes, plain=plain, title=title), path)


def figure(views: Sequence[TaggedView], classes: Sequence[str], *, plain: str | None = None, title: str) -> "Figure":
    """Returns the picture that `draw` writes, to change or to show; the arguments are those of `draw`."""
    from matplotlib.figure import Figure  # noqa: PLC0415 - importing this module must stay cheap

    lines = [part for line in _lines(views, classes, plain) for part in _folded(line)]
    width, height = _COLUMNS * _CHARACTER_INCHES + 0.4, (len(lines) + 2.2) * _LINE_INCHES
    picture = Figure(figsize=(width, height), dpi=100)
    picture.suptitle(title, fontsize=13, fontweight="bold", x=0.2 / width, horizontalalignment="left", parse_math=False)
    for number, line in enumerate(lines):
        column = 0
        for word, colour, wrong in line:
            box = {"facecolor": colour or "white", "edgecolor": "red" if wrong else "none", "pad": 1.5}
            place = (0.2 + column * _CHARACTER_INCHES) / width, 1.0 - (number + 2.2) * _LINE_INCHES / height
            picture.text(
                *place, word, family="DejaVu Sans Mono", fontsize=_POINTS, va="center", bbox=box, parse_math=False
            )
            column += len(word) + 1
    return picture


Word = tuple[str, str, bool]
"""A word, its colour or "", and whether its label is wrong."""


def _lines(views: Sequence[TaggedView], classes: Sequence[str], plain: str | None) -> Iterator[list[Word]]:
    """The classes, then each sentence."""
    colour = {label: "" if label == plain else found for label, found in colours(classes).items()}
    yield [(label, colour[label], False) for label in classes if label != plain]
    for view in views:
        rights = view.found if view.true is None else view.true
        yield [
            (word, colour[found], found != right)
            for word, found, right in zip(view.words, view.found, rights, strict=True)
        ]


def _folded(line: list[Word]) -> Iterator[list[Word]]:
    """A line in parts that are not too wide, each of one word at least."""
    part: list[Word] = []
    for word in line:
        if part and sum(len(other[0]) + 1 for other in part) + len(word[0]) > _COLUMNS:
            yield part
            part = []
        part.append(word)
    yield part
