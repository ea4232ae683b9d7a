"""The picture of a confusion matrix: what is on it, and that it is written whole."""

import numpy as np
import pytest

from seqmodels.analysis import confusion
from seqmodels.tasks.confusion import Confusion

MATRIX = Confusion(np.array([[30.0, 10.0], [0.0, 0.0]]), ("bad$_1", "good"))


def picture(matrix):
    made = confusion.figure(matrix, title="a run")
    made.draw_without_rendering()
    return made.axes[0]


def test_cells_are_the_counts_and_their_shares_of_the_row():
    axes = picture(MATRIX)
    assert [text.get_text() for text in axes.texts] == ["30\n75.0%", "10\n25.0%", "0\n0.0%", "0\n0.0%"]
    np.testing.assert_array_equal(axes.images[0].get_array(), [[0.75, 0.25], [0.0, 0.0]])
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("found", "true")
    assert [label.get_text() for label in axes.get_xticklabels()] == ["bad$_1", "good"]
    assert axes.get_title(loc="left") == f"accuracy 0.75   macro-F1 {MATRIX.macro_f1:.4g}"


def test_numbers_that_could_not_be_read_are_left_out():
    axes = picture(Confusion(np.eye(30), tuple(map(str, range(30)))))
    assert not axes.texts
    assert len(axes.get_yticklabels()) == 30


def test_a_picture_is_written_whole_or_not_at_all(tmp_path):
    confusion.draw(MATRIX, tmp_path / "confusion.png", title="a run")
    assert (tmp_path / "confusion.png").read_bytes().startswith(b"\x89PNG")
    assert [path.name for path in tmp_path.iterdir()] == ["confusion.png"]
    with pytest.raises(OSError, match="No such file"):
        confusion.draw(MATRIX, tmp_path / "missing" / "confusion.png", title="a run")
