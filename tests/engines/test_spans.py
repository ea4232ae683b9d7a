"""Wide products made span by span beside the loop: the numbers, when it is done, and that it can go on at once."""

import functools
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from cases import BATCH, CELLS, HIDDEN, INPUTS, STEPS, name, problem, run
from oracles import assert_close

import seqmodels as sm
from seqmodels.engines import Fused, names_for, spans

LENGTHS = np.array([STEPS, 4, 0])
RESETS = np.arange(BATCH * STEPS).reshape(BATCH, STEPS) % 5 == 2
GATED = [cell for cell in CELLS if "fused" in names_for(cell)]


@pytest.mark.parametrize("cell", GATED, ids=name)
def test_every_cell_comes_to_the_same(cell, x64):
    """Spans of one step, with padding and resets, and noise where a cell has it."""
    given, key = problem(cell), jax.random.key(3)
    expected = run(cell, given, LENGTHS, RESETS, key, method="scan", reverse=True)
    assert_close(run(cell, given, LENGTHS, RESETS, key, method=Fused(span=1), reverse=True), expected, np.float64)


def loss(cell, method, params, xs):
    return jnp.sum(jnp.sin(sm.unroll(cell, params, xs, method=method)[1].astype(jnp.float32)))


def slopes(cell, method, dtype, steps=12, inputs=INPUTS):
    params = cell.init(jax.random.key(0), inputs)
    xs = jax.random.normal(jax.random.key(1), (BATCH, steps, inputs)).astype(dtype)
    return gradient(cell, method, params, xs)


@functools.partial(jax.jit, static_argnums=(0, 1))
def gradient(cell, method, params, xs):
    return jax.grad(functools.partial(loss, cell, method), argnums=(0, 1))(params, xs)


@pytest.mark.parametrize(
    "engine",
    [Fused(span=4), Fused(span=6), Fused(span=3, unroll=2), Fused(span=4, packed=True), Fused(span=2, cap=1e9)],
    ids=repr,
)
@pytest.mark.parametrize("cell", [sm.LSTM(HIDDEN), sm.GRU(HIDDEN), sm.RNN(HIDDEN)], ids=name)
@pytest.mark.parametrize("inputs", [INPUTS, 3])
def test_spans_of_several_steps(cell, engine, inputs, x64):
    """Of three inputs, too few for eight units, u is made at once."""
    expected = slopes(cell, Fused(span=0), np.float64, inputs=inputs)
    assert_close(slopes(cell, engine, np.float64, inputs=inputs), expected, np.float64)


def test_a_cap_holds_in_spans_too(x64):
    cell = sm.LSTM(HIDDEN)
    capped = slopes(cell, Fused(span=4, cap=1e-3), np.float64)
    assert_close(capped, slopes(cell, Fused(span=0, cap=1e-3), np.float64), np.float64)
    with pytest.raises(AssertionError):
        assert_close(capped, slopes(cell, Fused(span=4), np.float64), np.float64)


@pytest.mark.parametrize("cell", [sm.LSTM(HIDDEN), sm.GRU(HIDDEN)], ids=name)
def test_narrow_gradients_are_summed_wide(cell):
    """Twelve spans come as near to float32 as no spans do."""
    exact = slopes(cell, Fused(span=0), np.float32)
    whole, cut = (slopes(cell, Fused(span=span), jnp.bfloat16) for span in (0, 1))

    def error(found):
        pairs = zip(jax.tree.leaves(found), jax.tree.leaves(exact), strict=True)
        return max(np.abs(np.asarray(a, np.float32) - b).max() / np.abs(b).max() for a, b in pairs)

    assert error(cut) < 1.5 * error(whole) < 0.1


def test_derivatives_of_derivatives_and_many_at_once(x64):
    cell = sm.GRU(HIDDEN)
    params = cell.init(jax.random.key(0), INPUTS)
    xs = jax.random.normal(jax.random.key(1), (2, BATCH, 8, INPUTS))

    def curvature(span):
        slope = jax.grad(functools.partial(loss, cell, Fused(span=span)))

        def norm(params, xs):
            return sum(jnp.sum(leaf**2) for leaf in jax.tree.leaves(slope(params, xs)))

        return jax.vmap(jax.grad(norm), in_axes=(None, 0))(params, xs)

    assert_close(curvature(4), curvature(0), np.float64)


def test_not_a_number_stays_in_its_row():
    cell = sm.LSTM(HIDDEN)
    xs = jnp.ones((2, 8, INPUTS)).at[0, 3, 0].set(jnp.nan)
    _, ys = sm.unroll(cell, cell.init(jax.random.key(0), INPUTS), xs, method=Fused(span=2))
    assert np.isnan(ys[0, 3:]).all()
    assert np.isfinite(ys[0, :3]).all()
    assert np.isfinite(ys[1]).all()


def size(steps, rows, inputs, hidden, gates=4, dtype=np.float32):
    def shape(*axes):
        return jax.ShapeDtypeStruct(axes, dtype)

    return spans.usual_size(shape(steps, rows, inputs), [shape(rows, hidden)] * gates, shape(rows, hidden))


@pytest.mark.parametrize(
    ("case", "steps"),
    [
        ((128, 16, 128, 128), 32),
        ((64, 32, 64, 256), 16),
        ((128, 64, 512, 512), 8),
        ((128, 64, 64, 64), 16),  # of 512 rows the products would be too small
        ((128, 16, 128, 128, 4, jnp.bfloat16), 0),
        ((35, 20, 650, 650), 0),  # 700 rows are too few
        ((256, 1, 128, 128), 0),
        ((127, 64, 512, 512), 0),  # a prime number of steps
        ((128, 64, 512, 128), 0),  # products enough, but hardly a loop beside them
        ((0, 64, 512, 512), 0),
    ],
    ids=str,
)
def test_when_it_is_done(case, steps, monkeypatch):
    monkeypatch.setattr(spans, "cores", lambda: 2)
    assert size(*case) == steps


def test_it_wants_a_cpu_with_a_second_core_that_shares_with_no_other_device(monkeypatch):
    monkeypatch.setattr(spans, "cores", lambda: 1)
    assert size(64, 32, 256, 256) == 0
    monkeypatch.setattr(spans, "cores", lambda: 2)
    assert size(64, 32, 256, 256) == 16
    monkeypatch.setattr(spans, "is_shared", lambda: True)
    assert size(64, 32, 256, 256) == 0
    monkeypatch.setattr(spans, "is_shared", lambda: False)
    for backend in ("gpu", "tpu"):
        monkeypatch.setattr(jax, "default_backend", lambda backend=backend: backend)
        assert size(64, 32, 256, 256) == 0


def test_the_devices_of_the_mesh_count_which_need_not_be_here(monkeypatch):
    monkeypatch.setattr(spans, "cores", lambda: 2)
    mesh = jax.make_mesh((1,), ("data",))
    with jax.set_mesh(mesh):
        assert size(64, 32, 256, 256) == 16
    device = type(mesh.abstract_mesh.abstract_device)(device_kind="TPU v5 lite", num_cores=1, platform="tpu")
    there = mesh.abstract_mesh.update(abstract_device=device)
    with jax.sharding.use_abstract_mesh(there):
        assert size(64, 32, 256, 256) == 0


def compiled(cell, engine, steps, rows, inputs=None):
    inputs = inputs or cell.hidden_size
    params = jax.eval_shape(lambda key: cell.init(key, inputs), jax.random.key(0))
    xs = jax.ShapeDtypeStruct((rows, steps, inputs), np.float32)
    slope = jax.grad(functools.partial(loss, cell, engine), argnums=(0, 1))
    return jax.jit(slope).lower(params, xs).compile()


@pytest.mark.parametrize(
    ("cell", "inputs", "found"),
    [(sm.LSTM(64), 64, [1, 3]), (sm.GRU(64), 32, [1, 3]), (sm.LSTM(64), 31, [3])],
    ids=["LSTM", "GRU", "LSTM of few inputs"],
)
def test_products_come_before_the_loop_beside_them_and_are_kept_until_behind_it(cell, inputs, found):
    """So that neither waits for the other, nor has its memory: of u forwards, of x and both weights backwards."""
    text = compiled(cell, Fused(span=8), 64, 8, inputs).as_text()
    assert "is_scheduled=true" in text  # the instructions stand as they come
    bodies = [
        text_of.splitlines() for text_of in re.split(r"\n\n", text) if " while(" in text_of and "ENTRY" not in text_of
    ]
    numbers = []
    for lines in bodies:
        (loop,) = (n for n, line in enumerate(lines) if " while(" in line)
        products = [
            n for n, line in enumerate(lines) if re.search(r" = f32\[\d+,\d+\]\S+ (dot\(|.*kind=kCustom)", line)
        ]
        numbers.append(len(products))
        for place in products:
            made = re.match(r"\s*(?:ROOT )?(%\S+) =", lines[place])[1]
            uses = [n for n, line in enumerate(lines) if re.search(rf"[(, ]{re.escape(made)}[,)]", line)]
            assert place < loop
            assert uses
            assert min(uses) > loop
    assert sorted(numbers) == found


def test_a_span_with_nothing_beside_it_is_made_of_what_is_compiled_for_the_others():
    """Else everything a loop does would be compiled twice."""
    text = compiled(sm.LSTM(64), Fused(span=8), 64, 8).as_text()
    parts = {part.split()[0].lstrip("%"): part for part in text.split("\n\n") if part.strip()}

    def kernels(body):
        """What the fusions of a loop compute, by everything but their names."""
        names = re.findall(r"calls=%([\w.\-]+)", parts[body])
        return {re.sub(r"metadata=\{[^}]*\}|%[\w.\-]+|param_[\w.]+", "", parts[name]) for name in names}

    bodies = re.findall(r" while\(.*body=%([\w.\-]+)", text)
    loops = [kernels(body) for body in bodies if " while(" not in parts[body]]
    assert len(loops) == 4  # forwards and backwards, beside products and alone
    assert all(len(found) > 4 for found in loops)
    assert len(set.union(*loops)) < 0.6 * sum(map(len, loops))


def test_what_is_made_in_spans_is_never_whole():
    cell = sm.LSTM(32)
    memory = {span: compiled(cell, Fused(span=span), 1024, 8).memory_analysis().temp_size_in_bytes for span in (0, 16)}
    assert memory[16] < 0.85 * memory[0]
