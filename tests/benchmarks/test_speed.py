"""The benchmark: everyone computes the same, timing is paired, tables say what was measured."""

import json
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.experimental import rnn

import seqmodels as sm
from seqmodels.benchmarks import contestants, cudnn, report, speed
from seqmodels.benchmarks.cases import Case, Data
from seqmodels.benchmarks.peers import PEERS
from seqmodels.benchmarks.timing import Samples, measure
from seqmodels.cli import main
from seqmodels.errors import UserError

TINY = Case(T=4, B=2, D=3, H=5)
NO_GPU = pytest.mark.skipif(jax.default_backend() == "gpu", reason="there is a GPU")
MODULES = {"flax linen": "flax", "flax nnx": "flax", "haiku": "haiku", "equinox": "equinox", "torch": "torch"}


@pytest.mark.parametrize("name", MODULES)
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # other libraries' own
def test_every_library_does_the_same_work(name):
    pytest.importorskip(MODULES[name], reason=f"{name} is not installed: pip install seqmodels[bench]")
    data = Data.of(TINY)
    expected = contestants.reference(data)
    assert contestants.error(PEERS[name](data, "float32").gradients(), expected) < 1e-5


@pytest.mark.parametrize("engine", ["scan", "fused:unroll=2", "fused:packed", "chunked"])
def test_so_do_ours(engine):
    data = Data.of(TINY)
    assert contestants.error(contestants.ours(data, "float32", engine).gradients(), contestants.reference(data)) < 1e-5


def test_cudnn_gets_its_weights_as_it_wants_them():
    data = Data.of(TINY)
    weights = rnn.unpack_lstm_weights(cudnn.flat(data.params), TINY.D, TINY.H, 1, bidirectional=False)
    zeros, lengths = jnp.zeros((1, TINY.B, TINY.H)), jnp.full(TINY.B, TINY.T, jnp.int32)
    ys, _, _ = rnn.lstm_ref(data.xs, zeros, zeros, *weights, lengths, TINY.D, TINY.H, 1, 0.0, False)
    np.testing.assert_allclose(ys, sm.unroll(sm.LSTM(TINY.H), data.params, data.xs)[1], rtol=1e-5, atol=1e-6)


@NO_GPU
def test_what_is_for_a_gpu_is_left_out_elsewhere():
    found = speed.run_case(TINY, "float32", engines=["fused"], peers=["jax cuDNN", "torch graph"], rounds=2)
    assert found.absent == ("jax cuDNN", "torch graph")
    assert list(found.samples.seconds) == ["ours, fused"]


def test_a_wrong_gradient_is_seen():
    expected = contestants.reference(Data.of(TINY))
    found = {**expected, "b": expected["b"] * 1.01}
    assert contestants.error(found, expected) > 1e-3


def test_everyone_runs_in_every_round():
    now, calls = [0.0], []

    def takes(name, seconds):
        def run():
            calls.append(name)
            now[0] += seconds

        return run

    samples = measure({"a": takes("a", 1.0), "b": takes("b", 2.0)}, rounds=5, clock=lambda: now[0])
    assert samples.seconds == {"a": [1.0] * 5, "b": [2.0] * 5}
    assert samples.ratio("a", "b") == 2.0
    rounds = [calls[n : n + 2] for n in range(6, 16, 2)]
    assert {tuple(sorted(names)) for names in rounds} == {("a", "b")}
    assert len({tuple(names) for names in rounds}) == 2  # shuffled


def test_ratios_are_of_rounds_not_of_medians():
    # The machine is twice as slow in the second round: the ratio is 2 in each.
    samples = Samples({"a": [1.0, 2.0, 1.0], "b": [2.0, 4.0, 2.0]})
    assert samples.ratio("a", "b") == 2.0
    assert samples.quartiles("a") == (1.0, 1.5)


def outcome(ours, flax, torch):
    samples = Samples({"ours, fused": [ours], "flax linen": [flax], "torch": [torch]})
    names = samples.seconds
    return speed.Outcome(
        TINY, "float32", samples, dict.fromkeys(names, 1e-6), {}, {}, bound_s=ours / 2, absent=("haiku",)
    )


def test_the_tables():
    outcomes = [outcome(1.0, 2.0, 0.5), outcome(1.0, 8.0, 0.5)]
    line = report.speed_table(outcomes)[2]
    assert (
        line == "| 4, 2, 3 → 5 | float32 | ours, fused | 1000.0 (1000.0 to 1000.0) | 2.00 | 0.50 | 50% |  |  | 1e-06 |"
    )
    assert report.summary(outcomes)[2] == "| float32 | ours, fused | 4.00 (least 2.00) | 0.50 (least 0.50) |"
    assert math.isclose(speed.geometric_mean([2.0, 8.0]), 4.0)


def test_narrow_types_are_measured_beside_float32():
    found = speed.run_case(TINY, "bfloat16", engines=["fused"], peers=[], rounds=2)
    assert list(found.samples.seconds) == ["ours, fused", "ours, fused in float32"]
    assert found.errors["ours, fused in float32"] < 1e-5 < found.errors["ours, fused"]


def test_the_summary_compares_a_type_with_float32():
    wide = outcome(1.0, 2.0, 0.5)
    samples = Samples({"ours, fused": [0.5], "ours, fused in float32": [0.75], "flax linen": [2.0], "torch": [0.25]})
    header, _, *rows = report.summary([wide, wide._replace(dtype="bfloat16", samples=samples)])
    assert header.endswith("| times faster than torch | times faster than ours in float32 |")
    assert rows == [
        "| float32 | ours, fused | 2.00 (least 2.00) | 0.50 (least 0.50) |  |",
        "| bfloat16 | ours, fused | 4.00 (least 4.00) | 0.50 (least 0.50) | 1.50 (least 1.50) |",
    ]


def test_the_floor_stands_beside_the_bound():
    assert "| 50%; floor 250.0 ms |" in report.speed_table([outcome(1.0, 2.0, 0.5)._replace(floor_s=0.25)])[2]


def test_the_floor_is_the_products_of_the_loop_alone():
    """A product forwards and one backwards, each in a loop over all steps; no input is read."""
    data = Data.of(TINY)
    h, z_bar = contestants.floor(data, "float32")()
    assert (h.shape, z_bar.shape) == ((2, 5), (2, 20))
    np.testing.assert_array_equal(h, np.ones((2, 5)))


def test_the_peak_is_that_of_the_type(monkeypatch):
    types = []

    def seen(x, w):
        types.append(x.dtype.name)
        return x @ w

    monkeypatch.setattr(speed, "product", seen)
    monkeypatch.setattr(speed, "PEAK_SIZES", {"cpu": 16, "gpu": 16})
    speed.peak.cache_clear()
    assert min(speed.peak(dtype) for dtype in ("float32", "bfloat16", "float32")) > 0.0
    assert types == ["float32", "bfloat16"]
    speed.peak.cache_clear()


def test_tables_go_between_their_markers(tmp_path):
    document = tmp_path / "a.md"
    document.write_text("before\n<!-- begin: speed -->\nold\n<!-- end: speed -->\nafter\n")
    report.put(document, "speed", ["new"])
    assert document.read_text() == "before\n<!-- begin: speed -->\nnew\n<!-- end: speed -->\nafter\n"
    with pytest.raises(UserError, match="begin: growth"):
        report.put(document, "growth", ["new"])


def test_flops_by_hand():
    # One step of one row: products 3 → 20 and 5 → 20, two operations each, once forwards and twice backwards.
    assert Case(1, 1, 3, 5).flops == 3 * 2 * (3 * 20 + 5 * 20)


def test_the_command(tmp_path, capsys):
    found = tmp_path / "found.json"
    command = [
        "benchmark",
        "speed",
        "--case",
        "3,2,4",
        "--dtype",
        "float32",
        "--peer",
        "none",
        "--rounds",
        "2",
        "--floor",
    ]
    assert main([*command, "--json", str(found)]) == 0
    assert "ours, fused" in capsys.readouterr().out
    (entry,) = json.loads(found.read_text())["speed"]
    assert entry["case"] == {"T": 3, "B": 2, "D": 4, "H": 4}
    assert np.all(np.array(entry["samples"]["ours, fused"]) > 0)
    assert entry["floor_s"] > 0.0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--case", "3,2"], "T,B,H"),
        (["--peer", "keras"], "no 'keras' to measure"),
        pytest.param(["--dtype", "tf32"], "--dtype tf32 is for GPUs", marks=NO_GPU),
        (["--engine", "warp"], "no 'warp' to measure"),
        (["--engine", "fused:unroll=0"], "--engine fused:unroll=0: there is no such option"),
        (["--engine", "chunked:unroll=2"], "there are scan:unroll=4, fused:unroll=4, fused:span=16, fused:packed"),
        (["--write", "nowhere.md", "--peer", "none"], "nowhere.md: no such file"),
    ],
)
def test_what_it_refuses(options, message, capsys):
    assert main(["benchmark", "speed", *options]) == 2
    assert message in capsys.readouterr().err
