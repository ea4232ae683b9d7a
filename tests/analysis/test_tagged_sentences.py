"""The coloured view of tagged sentences: colours, marks and text in the terminal, on a page and on a picture."""

import io

import pytest
from rich.console import Console

from seqmodels.analysis import tagged_sentences
from seqmodels.tasks.tagged_view import TaggedView

CLASSES = ("negative", "neutral", "positive")
VIEW = TaggedView(("a", "<dull>", "film$_1"), ("neutral", "negative", "positive"), ("neutral", "negative", "neutral"))
RED, GREEN = "#ffb2b2", "#b2ffb2"


@pytest.mark.parametrize("number", [1, 2, 5, 17])
def test_every_class_has_a_colour_of_its_own(number):
    found = tagged_sentences.colours([str(place) for place in range(number)])
    assert len(set(found.values())) == number


def test_the_terminal_shows_colours_and_underlines_what_is_wrong():
    text = tagged_sentences.terminal([VIEW], CLASSES, plain="neutral")
    assert text.plain == "negative positive\na <dull> film$_1"
    styles = {text.plain[span.start : span.end]: str(span.style) for span in text.spans}
    assert styles["<dull>"] == f"black on {RED}"
    assert styles["film$_1"] == f"black on {GREEN} underline"
    assert "a" not in styles
    shown = io.StringIO()
    Console(file=shown, force_terminal=True, color_system="truecolor").print(text)
    assert "48;2;255;178;178m<dull>" in shown.getvalue()


def test_a_page_escapes_what_is_markup():
    page = tagged_sentences.page([VIEW], CLASSES, plain="neutral", title="a < b")
    assert "<h1>a &lt; b</h1>" in page
    assert f'a <span style="background:{RED};">&lt;dull&gt;</span>' in page
    assert f'<span style="background:{GREEN};text-decoration:underline;">film$_1</span>' in page


def test_a_picture_holds_every_word_within_its_width(tmp_path):
    words = tuple(f"word{number}" for number in range(60))
    long = TaggedView(words, ("positive",) * 60)
    picture = tagged_sentences.figure([VIEW, long], CLASSES, plain="neutral", title="a$_1 run")
    picture.draw_without_rendering()
    texts = [text.get_text() for text in picture.texts]
    assert [*VIEW.words, *words] == texts[-63:]
    assert all(text.get_window_extent().x1 <= picture.bbox.x1 for text in picture.texts)
    tagged_sentences.draw([VIEW], CLASSES, tmp_path / "view.png", title="a run")
    assert (tmp_path / "view.png").read_bytes().startswith(b"\x89PNG")
    assert [path.name for path in tmp_path.iterdir()] == ["view.png"]
