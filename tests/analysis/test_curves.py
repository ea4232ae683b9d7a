"""The picture of a run: what is on it, and that odd runs still give one."""

import itertools
import math
import struct
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seqmodels.analysis import curves

BASELINES = {"unigram": 4.6, "gzip": 2.4, "bz2": 2.14, "xz": 2.12}


def run_rows(steps=400, every=10):
    rows = []
    for step in range(0, steps, every):
        bits = 1.7 + 5 * math.exp(-step / 80)
        rows.append({"step": step, "train/bits_per_char": bits, "grad_norm": 1.0 + bits, "learning_rate": 1e-3})
        if step % 100 == 50:
            # Lowest at 250.
            rows.append({"step": step, "valid/bits_per_char": 2.0 + abs(step - 250) / 100})
    return rows


def picture(rows, **settings):
    made = curves.figure(rows, **{"objective": "bits_per_char", "baselines": BASELINES, "title": "run", **settings})
    made.draw_without_rendering()
    return made.axes


def line(axes, colour):
    """The points of the first curve of a colour."""
    return next(line.get_xydata() for line in axes.lines if line.get_color() == colour)


def texts(axes):
    return [text.get_text() for text in axes.texts]


def test_the_curves_are_the_rows():
    rows = run_rows()
    upper, norm, rate = picture(rows)
    train = [(row["step"], row["train/bits_per_char"]) for row in rows if "train/bits_per_char" in row]
    validation = [(row["step"], row["valid/bits_per_char"]) for row in rows if "valid/bits_per_char" in row]
    np.testing.assert_array_equal(line(upper, curves.TRAIN), train)
    np.testing.assert_array_equal(line(upper, curves.VALIDATION), validation)
    np.testing.assert_array_equal(line(norm, curves.TRAIN), [(step, 1 + bits) for step, bits in train])
    np.testing.assert_array_equal(line(rate, curves.RATE), [(step, 1e-3) for step, _ in train])
    assert norm.get_yscale() == "log"
    assert upper.get_ylabel() == "bits per character"


def test_the_best_validation_is_marked_and_said():
    upper, _, _ = picture(run_rows())
    (mark,) = [line for line in upper.lines if line.get_fillstyle() == "none"]
    np.testing.assert_array_equal(mark.get_xydata(), [(250, 2.0)])
    assert upper.get_title(loc="right") == "best validation (circled): 2 at step 250"


def test_everything_is_named_at_the_right_edge():
    upper, norm, _ = picture(run_rows(), clip_norm=5.0)
    assert {"unigram 4.6", "gzip 2.4", "bz2 2.14", "xz 2.12", "validation 3"} < set(texts(upper))
    assert any(text.startswith("train 1.7") for text in texts(upper))
    assert texts(norm) == ["cap 5"]
    drawn = [line.get_ydata()[0] for line in upper.lines if line.get_linestyle() == "--"]
    assert drawn == list(BASELINES.values())


def test_labels_do_not_overlap():
    upper, _, _ = picture(run_rows())
    boxes = sorted((text.get_window_extent() for text in upper.texts), key=lambda box: box.y0)
    assert len(boxes) == 6
    assert all(low.y1 <= high.y0 for low, high in itertools.pairwise(boxes))


def test_steps_have_thousands_separators():
    upper, _, _ = picture([{"step": step, "train/bits_per_char": 2.0} for step in (0, 1_000_000)])
    assert "1,000,000" in [label.get_text() for label in upper.get_xticklabels()]


def test_many_noisy_points_get_a_running_mean():
    rng = np.random.default_rng(0)
    rows = [{"step": step, "train/bits_per_char": 2 + rng.normal()} for step in range(500)]
    upper, _, _ = picture(rows, baselines={})
    raw, mean, _ = (line.get_ydata() for line in upper.lines if line.get_color() == curves.TRAIN)
    assert len(raw) == len(mean) == 500
    assert np.std(mean) < 0.5 * np.std(raw)


def test_the_steep_start_does_not_squeeze_the_rest():
    rows = [{"step": step, "train/bits_per_char": 2 + 98 * (step < 3)} for step in range(200)]
    upper, _, _ = picture(rows, baselines={"gzip": 3.0})
    assert 3.0 < upper.get_ylim()[1] < 5.0


ODD_RUNS = {
    "none": [],
    "one row": [{"step": 1, "train/bits_per_char": 8.0, "grad_norm": 1.0, "learning_rate": 0.1}],
    "one validation": [{"step": 1, "valid/bits_per_char": 8.0}],
    "no validation": [row for row in run_rows() if "grad_norm" in row],
    "only validation": [row for row in run_rows() if "grad_norm" not in row],
    "nulls": [{key: value if key == "step" else None for key, value in row.items()} for row in run_rows()],
    "not finite": [{**row, "grad_norm": math.inf, "train/bits_per_char": math.nan} for row in run_rows()],
    "all the same": [{**row, "grad_norm": 0.0, "learning_rate": 0.0, "train/bits_per_char": 0.0} for row in run_rows()],
    "huge": [{"step": 10**9, "train/bits_per_char": 1e30, "grad_norm": 1e-30, "learning_rate": 1e9}],
}


@pytest.mark.parametrize("rows", ODD_RUNS.values(), ids=ODD_RUNS)
@pytest.mark.parametrize("baselines", [{}, BASELINES, {"broken": math.nan}], ids=["bare", "baselines", "nan"])
def test_odd_runs_give_a_picture_of_the_stated_size(rows, baselines, tmp_path):
    path = tmp_path / "curves.png"
    path.write_bytes(b"an older picture")
    curves.draw(rows, path, objective="bits_per_char", baselines=baselines, title="50 % of $x_1 {", clip_norm=1.0)
    content = path.read_bytes()
    assert content.startswith(b"\x89PNG\r\n\x1a\n")
    assert struct.unpack(">II", content[16:24]) == (1200, 800)
    assert [entry.name for entry in tmp_path.iterdir()] == ["curves.png"]


def test_nothing_logged_is_said():
    assert [texts(axes) for axes in picture([], baselines={})] == [["nothing logged"]] * 3


def test_a_missing_folder_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        curves.draw([], tmp_path / "absent" / "curves.png", objective="loss_nats", baselines={}, title="run")


def test_importing_is_cheap_and_drawing_leaves_no_global_state():
    code = (
        "import sys; from seqmodels.analysis import curves; assert 'matplotlib' not in sys.modules; "
        "curves.figure([], objective='loss_nats', baselines={}, title=''); "
        "assert 'matplotlib.pyplot' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@settings(deadline=None)
@given(st.lists(st.floats(-100, 100), max_size=8), st.floats(0.1, 10))
def test_spread_keeps_order_and_gap_and_moves_only_what_is_too_close(heights, gap):
    placed = curves.spread(heights, gap)
    order = sorted(range(len(heights)), key=heights.__getitem__)
    assert all(placed[high] - placed[low] >= gap - 1e-9 for low, high in itertools.pairwise(order))
    if all(heights[high] - heights[low] >= gap for low, high in itertools.pairwise(order)):
        assert placed == heights
    assert math.fsum(placed) == pytest.approx(math.fsum(heights), abs=1e-9)
