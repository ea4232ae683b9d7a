"""The pictures and the report: that each is drawn, small, whole and alone, and that the story has them all."""

import re
import struct
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from small import ROOT

import seqmodels as sm
from seqmodels.analysis import drawings, pictures, report, story
from seqmodels.analysis.clipping import descend, wall
from seqmodels.analysis.gate_activity import Saturation, slow_units
from seqmodels.analysis.jacobians import Spectrum
from seqmodels.analysis.reader import Reader
from seqmodels.analysis.recall import Recall
from seqmodels.data.vocabulary import Vocabulary
from seqmodels.errors import UserError
from seqmodels.models import LanguageModel

STORY = ROOT / "docs" / "why_lstm.md"
ODD_NORMS = {"plain": np.geomspace(1e-3, 1.0, 9), "zeros": np.zeros(9), "huge": np.full(9, 1e200), "one": np.ones(1)}


ALWAYS = {"gradients", "gradients_by_layer", "spectrum", "memory"}
"""What is drawn of every model."""


def assert_picture(path):
    content = path.read_bytes()
    assert content.startswith(b"\x89PNG\r\n\x1a\n")
    assert len(content) < 100 * 1024
    width, height = struct.unpack(">II", content[16:24])
    assert 300 <= width <= 1600
    assert 200 <= height <= 1600
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize(
    "draw", [drawings.draw_unrolled, drawings.draw_memory_cell, drawings.draw_functions, drawings.draw_capping]
)
def test_drawings(draw, tmp_path):
    (tmp_path / "drawing.png").write_bytes(b"an older picture")
    draw(tmp_path / "drawing.png")
    assert_picture(tmp_path / "drawing.png")


@pytest.mark.parametrize("norms", ODD_NORMS.values(), ids=ODD_NORMS)
def test_flows(norms, tmp_path):
    flows = [pictures.Flow("a", norms, "red"), pictures.Flow("b", norms[::-1], "blue", dashed=True)]
    pictures.draw_flows({"one": flows, "two": flows[:1]}, tmp_path / "flows.png", title="flows")
    assert_picture(tmp_path / "flows.png")


def test_spectra(tmp_path):
    spectrum = Spectrum((1, 5), np.array([[0.0, -np.inf], [-2.0, -np.inf]]))
    pictures.draw_spectra({"a": spectrum, "b": spectrum}, tmp_path / "spectra.png", title="spectra")
    assert_picture(tmp_path / "spectra.png")


def test_gates_and_saturation(tmp_path):
    random = np.random.default_rng(0)
    text = [*"a $x_1 {\n\t", "word"] * 3
    bands = {"memory": random.uniform(-1, 1, (len(text), 3)), "f": random.uniform(0, 1, (len(text), 5))}
    pictures.draw_gates(text, bands, tmp_path / "gates.png", title="gates")
    assert_picture(tmp_path / "gates.png")
    (tmp_path / "gates.png").unlink()
    shares = {"f": Saturation(jnp.array([0.1, 0.9]), jnp.array([0.8, 0.0]))}
    pictures.draw_saturation(shares, tmp_path / "saturation.png", title="saturation")
    assert_picture(tmp_path / "saturation.png")


def test_the_wall(tmp_path):
    found = wall(jnp.linspace(0.9, 1.7, 9), jnp.linspace(-0.3, 0.1, 7))
    way = descend(jnp.array([1.3, 0.08]), steps=2, learning_rate=0.1, cap=1.0)
    pictures.draw_wall(found, {"a": (way, "red")}, tmp_path / "wall.png", title="wall")
    assert_picture(tmp_path / "wall.png")


def test_slow_units_hold_what_they_have():
    steps = np.arange(40)
    memory = np.stack([steps % 2, steps >= 20, np.zeros(40), (steps // 4) % 2], axis=1).astype(float)
    assert slow_units(memory, 2).tolist() == [1, 3]


def reader(cell, unit="char"):
    vocabulary = Vocabulary.build("the cat sat on the mat\n", unit)
    model = LanguageModel(len(vocabulary), 5, cell)
    return Reader(model, model.init(jax.random.key(0)), vocabulary)


def test_a_report_of_a_model_with_gates(tmp_path, monkeypatch):
    units, draw = {}, pictures.draw_gates

    def spy(text, bands, path, *, title):
        units[path.stem] = [np.shape(values)[1] for values in bands.values()]
        draw(text, bands, path, title=title)

    monkeypatch.setattr(pictures, "draw_gates", spy)
    cell = sm.Stack([sm.Zoneout(sm.GRU(6)), sm.MLSTM(6, heads=3)])
    model = reader(cell, "word")
    reading = model.reading("the cat sat on the mat")
    lines = report.analyze(reading, tmp_path / "new" / "folder")
    drawn = {path.stem for path in (tmp_path / "new" / "folder").glob("*.png")}
    assert drawn == {*ALWAYS, "gates", "saturation"}
    assert (tmp_path / "new" / "folder" / "report.txt").read_text().splitlines() == lines
    assert lines[0].startswith("largest Lyapunov exponent")
    assert re.fullmatch(r"gradient above 1% of its peak  for \d+ symbols back \(of \d+\)", lines[1])
    assert [line.split("closed")[0].strip() for line in lines[2:7]] == [
        *(f"layer 1, gate {gate}" for gate in "rz"),
        *(f"layer 2, gate {gate}" for gate in "ifo"),
    ]
    assert all(re.match(r"layer \d, over 6 steps +stretches a gradient by 10\^\S+ at most", line) for line in lines[7:])
    assert units["gates"] == [6, 6, 3, 3, 6]
    assert units["memory"] == [6, 6]


def test_a_report_of_a_model_without_gates_whose_first_layer_is_large(tmp_path, monkeypatch):
    monkeypatch.setattr(report, "LARGEST", 7)
    lines = report.analyze(reader(sm.Stack([sm.LSTM(4), sm.RNN(4)])).reading("the cat"), tmp_path)
    assert {path.stem for path in tmp_path.glob("*.png")} == ALWAYS
    assert lines[2].endswith("not shown by RNN")
    assert lines[3].startswith("layer 1, spectrum ")
    assert lines[3].endswith("more than 7 numbers (8)")
    assert lines[4].startswith("layer 2, over 7 steps ")


def test_what_a_report_cannot_do_is_said(tmp_path):
    with pytest.raises(UserError, match="two symbols at least"):
        report.analyze(reader(sm.LSTM(4)).reading("t"), tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot be written"):
        report.analyze(reader(sm.LSTM(4)).reading("the cat"), tmp_path / "file")


def test_long_names_and_headlines_have_their_room(tmp_path):
    names = ["word", "a", "extraordinarily-long", ".", "$x_1$"]
    pictures.draw_gates(names, {"f": np.zeros((5, 2))}, tmp_path / "gates.png", title="a headline $ of words " * 9)
    assert_picture(tmp_path / "gates.png")


def test_before_training_an_lstm_for_long_lags_keeps_what_a_plain_network_loses():
    """What the first picture of the story says, as numbers."""

    def norms(cell, scale):
        task = Recall(cell, story.LAG)
        return story.mean_norms(task, story.scaled(task, jax.random.key(0), scale), seed=0)

    plain, gated = norms(sm.RNN(story.HIDDEN), 0.8), norms(sm.LSTM(story.HIDDEN, chrono=story.LAG), 1.0)
    assert plain[-1] > gated[-1] / 10.0  # at the last step they are alike
    assert plain[0] < 1e-6 * gated[0]
    assert gated[0] > 0.01 * gated[-1]


def test_the_story_shows_every_picture_that_is_drawn_for_it_in_this_order():
    shown = re.findall(r"\]\(why_lstm/(\w+)\.png\)", STORY.read_text(encoding="utf-8"))
    assert shown == list(story.PICTURES)
    for name in shown:
        assert (STORY.parent / "why_lstm" / f"{name}.png").stat().st_size < 100 * 1024


@pytest.mark.parametrize("name", ["spectrum", "wall"])
def test_pictures_of_the_story_that_need_little_time(name, tmp_path):
    assert story.draw(name, tmp_path / "new", seed=1) == tmp_path / "new" / f"{name}.png"
    assert_picture(tmp_path / "new" / f"{name}.png")


@pytest.mark.slow
def test_the_whole_story(tmp_path):
    paths = story.draw_all(tmp_path)
    assert [path.stem for path in paths] == list(story.PICTURES)
    assert all(path.stat().st_size < 100 * 1024 for path in paths)


def test_an_unknown_picture_is_refused(tmp_path):
    with pytest.raises(ValueError, match="there is no picture 'door'; there are unrolled, "):
        story.draw("door", tmp_path)


def test_importing_is_cheap_and_drawing_leaves_no_global_state(tmp_path):
    code = (
        "import sys, pathlib; from seqmodels.analysis import report, story; assert 'matplotlib' not in sys.modules; "
        "story.draw('functions', pathlib.Path(sys.argv[1])); assert 'matplotlib.pyplot' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True)
