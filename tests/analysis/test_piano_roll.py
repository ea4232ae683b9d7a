"""The picture of a piece of music."""

import numpy as np
import pytest

from seqmodels.analysis.piano_roll import draw, figure, keys_shown
from seqmodels.tasks.played_piece import PlayedPiece


def piece(keys=(39, 46, 51), frames=12):
    """Three keys, one after the other, and nothing certain."""
    random = np.random.default_rng(0)
    played = np.zeros((frames, 88), np.uint8)
    played[np.arange(frames), np.resize(keys, frames)] = 1
    return PlayedPiece(played, 0.1 * random.random((frames, 88)), lowest=21)


def test_what_was_played_lies_above_what_was_expected():
    shown = piece()
    picture = figure(shown, title="a run")
    above, below = picture.axes[:2]
    low, high = keys_shown(shown)
    assert (low, high) == (36, 55)
    for axes, values in ((above, shown.played), (below, shown.expected)):
        (image,) = axes.get_images()
        np.testing.assert_array_equal(image.get_array(), values.T[low:high])
        assert image.get_clim() == (0.0, 1.0)
        assert list(image.get_extent()) == [-0.5, 11.5, 56.5, 75.5]  # a key is at its MIDI number
    assert [label.get_text() for label in below.get_yticklabels()] == ["C4", "C5"]  # 60 and 72


def test_keys_that_are_likely_are_within_the_picture():
    shown = piece()
    shown.expected[3, 80] = 0.9
    assert keys_shown(shown) == (36, 84)
    assert keys_shown(shown._replace(played=0 * shown.played, expected=0 * shown.expected)) == (0, 88)


def test_the_file_is_written_whole(tmp_path):
    draw(piece(), tmp_path / "piano_roll.png", title="$a run$")
    assert [path.name for path in tmp_path.iterdir()] == ["piano_roll.png"]
    assert (tmp_path / "piano_roll.png").read_bytes().startswith(b"\x89PNG")
    with pytest.raises(OSError, match="No such file"):
        draw(piece(), tmp_path / "absent" / "piano_roll.png", title="a run")
