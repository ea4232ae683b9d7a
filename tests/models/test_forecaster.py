"""The forecaster: what it reads, what it may not see, and in which forms it writes."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import seqmodels as sm
from seqmodels.models import Forecaster
from seqmodels.models.distribution_heads import Gaussian, NegativeBinomial, StudentT
from seqmodels.models.forecast_heads import Point, Quantiles

L, H, C, K, B = 12, 5, 3, 2, 4


def model(**changes):
    options = {"context": L, "horizon": H, "targets": C, "covariates": K, "head": Point(), "embedding_size": 8}
    return Forecaster(**{**options, "cell": sm.RNN(hidden_size=6), "method": "scan", **changes})


def data(seed=0):
    random = np.random.default_rng(seed)
    shapes = (B, L, C), (B, L + H, K), (B, H, C)
    return tuple(random.standard_normal(shape).astype(np.float32) for shape in shapes)


FORMS = [
    {"decoding": "direct"},
    {"decoding": "direct", "segment": 3, "independent": True},
    {"decoding": "parallel", "segment": 3},
    {"decoding": "parallel", "segment": 3, "independent": True},
    {"decoding": "recursive", "segment": 3},
    {"decoding": "recursive", "independent": True},
]


@pytest.mark.parametrize("form", [FORMS[3], FORMS[4]], ids=str)
def test_every_form_gives_every_step_and_uses_every_parameter(form):
    made = model(head=Gaussian(), **form)

    def loss(params):
        forecast = made.apply(params, *data())
        assert forecast.loc.shape == forecast.scale.shape == (B, H, C)
        return (forecast.loc**2).sum() + (forecast.scale**2).sum()

    gradient = jax.jit(jax.grad(loss))(made.init(jax.random.key(0)))
    for leaf in jax.tree.leaves(gradient):
        assert np.isfinite(leaf).all()
        assert np.any(leaf != 0)


@pytest.mark.parametrize("form", FORMS, ids=str)
def test_a_forecast_depends_on_its_own_row_step_and_target(form):
    """Covariates of a step to come act on its forecast alone, or on later ones that read it, and no row on another."""
    made = model(**form)
    params, given, others, apply = made.init(jax.random.key(0)), data(), data(seed=1), jax.jit(made.apply)
    whole = apply(params, *given)
    rows = np.arange(B)[:, None, None] == 1
    mixed = apply(params, *(np.where(rows, one, other) for one, other in zip(given, others, strict=True)))
    np.testing.assert_allclose(mixed[1], whole[1], atol=1e-5)
    assert np.abs(mixed - whole)[[0, 2, 3]].min() > 0
    past, covariates, future = given
    changed = covariates + (np.arange(L + H) == L + 2)[:, None].astype(np.float32)
    change = np.abs(apply(params, past, changed, future) - whole).max(axis=(0, 2))
    acts = np.arange(H) >= 2 if made.decoding == "recursive" else np.arange(H) == 2
    assert change[acts].min() > 1e-4
    np.testing.assert_allclose(change[~acts], 0.0, atol=1e-6)
    changed = past + np.array([0.0, 1.0, 0.0], np.float32)
    change = np.abs(apply(params, changed, covariates, future) - whole).max(axis=(0, 1))
    assert change[1] > 1e-4
    assert (change[[0, 2]] == 0).all() == made.independent


def test_independent_targets_share_their_weights():
    made = model(independent=True)
    params, (past, covariates, _) = made.init(jax.random.key(0)), data()
    apply = jax.jit(made.apply)
    found = apply(params, past, covariates)
    np.testing.assert_allclose(apply(params, past[..., ::-1], covariates), found[..., ::-1], atol=1e-6)


@pytest.mark.parametrize("head", [Point(), StudentT()])
def test_the_last_value_and_the_window_are_undone(head):
    past, covariates, _ = data()
    for normalise, factor in (("last", 1.0), ("window", 3.0)):
        made = model(head=head, normalise=normalise)
        params, apply = made.init(jax.random.key(0)), jax.jit(made.apply)
        plain = head.point(apply(params, past, covariates))
        moved = head.point(apply(params, factor * past + 7.0, covariates))
        np.testing.assert_allclose(moved, factor * plain + 7.0, rtol=0.05, atol=0.05)
        assert np.abs(moved - plain).max() > 5.0


def test_a_window_that_stands_still_is_harmless():
    made = model(normalise="window", head=StudentT())
    past, covariates = np.ones((B, L, C), np.float32), data()[1]

    def loss(params, past):
        return made.head.loss(made.apply(params, past, covariates), jnp.ones((B, H, C))).sum()

    for leaf in jax.tree.leaves(jax.jit(jax.grad(loss))(made.init(jax.random.key(0)), past)):
        assert np.isfinite(leaf).all()


def test_a_segment_is_read_as_one_input_oldest_step_first():
    made = model(segment=3, covariates=0, normalise="last")
    params, (past, *_) = made.init(jax.random.key(0)), data()
    segments = (past - past[:, -1:]).reshape(B, L // 3, 3 * C)
    xs = jax.nn.relu(segments @ params.input.w + params.input.b)
    _, ys = sm.unroll(made.cell, params.cell, xs)
    expected = (ys[:, -1] @ params.output.w + params.output.b).reshape(B, H, C) + past[:, -1:]
    found = jax.jit(made.apply)(params, past, np.ones((B, L + H, 0), np.float32))
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_parallel_decoding_is_a_step_of_the_cell_for_each_segment():
    made = model(segment=3, covariates=0, decoding="parallel", targets=1, independent=True)
    params, (past, *_) = made.init(jax.random.key(0)), data()
    xs = jax.nn.relu(past[..., :1].reshape(B, L // 3, 3) @ params.input.w + params.input.b)
    state, _ = sm.unroll(made.cell, params.cell, xs)
    steps = []
    for position in params.position:
        x = jnp.broadcast_to(position + params.target[0], (B, 8))
        steps.append(made.cell.step(params.cell, state, x)[1] @ params.output.w + params.output.b)
    expected = jnp.concatenate(steps, axis=1)[:, :H, None]
    found = jax.jit(made.apply)(params, past[..., :1], np.ones((B, L + H, 0), np.float32))
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_recursive_decoding_reads_the_segments_that_came_before():
    made = model(horizon=7, segment=3, decoding="recursive", covariates=0)
    params, past, future = made.init(jax.random.key(0)), data()[0], np.zeros((B, 7, C), np.float32)
    covariates, changed = np.zeros((B, L + 7, 0), np.float32), future.copy()
    changed[:, 4] = 1.0
    one, other = map(jax.jit(lambda future: made.apply(params, past, covariates, future)), (future, changed))
    np.testing.assert_array_equal(other[:, :6], one[:, :6])
    assert (np.abs(other - one)[:, 6] > 1e-4).all()
    longer = np.concatenate([past, changed[:, :3]], axis=1)[:, 3:]
    state, ys = sm.unroll(made.cell, params.cell, jax.nn.relu(segments(past, 3) @ params.input.w + params.input.b))
    _, y = made.cell.step(params.cell, state, jax.nn.relu(segments(longer, 3)[:, -1] @ params.input.w + params.input.b))
    for output, steps in ((ys[:, -1], one[:, :3]), (y, one[:, 3:6])):
        expected = (output @ params.output.w + params.output.b).reshape(B, 3, C)
        np.testing.assert_allclose(steps, expected, atol=1e-5)


def segments(values, width):
    return values.reshape(B, -1, width * C)


@pytest.mark.parametrize(("independent", "normalise"), [(False, "mean"), (True, "last")])
def test_the_path_of_a_number_is_its_own_forecast_read_again(independent, normalise):
    made = model(segment=2, decoding="recursive", independent=independent, normalise=normalise)
    params, (past, covariates, future) = made.init(jax.random.key(0)), data()
    (path,), apply = sample(made, params, past, covariates, paths=1), jax.jit(made.apply)
    np.testing.assert_allclose(apply(params, past, covariates, path), path, atol=1e-5)
    assert np.abs(apply(params, past, covariates, future) - path)[:, 2:].min() > 0


def sample(made, params, past, covariates, paths):
    draw = jax.jit(made.sample, static_argnames=("paths",))
    return np.asarray(draw(params, past, covariates, jax.random.split(jax.random.key(1), len(past)), paths=paths))


def test_paths_are_drawn_each_from_its_own_past():
    """What is left of a path, by the forecast that reads it, is standard noise without any order."""
    made = model(segment=2, decoding="recursive", independent=True, normalise="last", head=Gaussian())
    params, (past, covariates, _), number = made.init(jax.random.key(0)), data(), 500
    paths = sample(made, params, past, covariates, number)
    assert paths.shape == (number, B, H, C)
    tiled = (np.concatenate([given] * number) for given in (past, covariates))
    forecast = jax.jit(made.apply)(params, *tiled, paths.reshape(-1, H, C))
    noise = np.asarray((paths.reshape(-1, H, C) - forecast.loc) / forecast.scale).reshape(number, -1)
    np.testing.assert_allclose(np.cov(noise.T), np.eye(B * H * C), atol=0.25)
    assert abs(noise.mean()) < 0.02
    assert noise.std() == pytest.approx(1.0, abs=0.02)


@pytest.mark.parametrize("head", [StudentT(), NegativeBinomial()])
def test_what_is_drawn_for_a_window_depends_on_no_other(head):
    made = model(segment=2, decoding="recursive", head=head)
    params, (past, covariates, _), keys = made.init(jax.random.key(0)), data(), jax.random.split(jax.random.key(1), B)
    draw = jax.jit(functools.partial(made.sample, paths=3))
    paths, order = np.asarray(draw(params, past, covariates, keys)), np.array([2, 0, 2])
    found = np.asarray(draw(params, past[order], covariates[order], keys[order]))
    np.testing.assert_allclose(found, paths[:, order], rtol=1e-4, atol=1e-5)
    assert np.abs(paths - paths[:, :1])[:, 1:].max() > 0


def test_noise_needs_a_key():
    made = model(output_dropout=0.5)
    params, given = made.init(jax.random.key(0)), data()
    apply = jax.jit(made.apply)
    quiet, again, noisy = (apply(params, *given, key=key) for key in (None, None, jax.random.key(0)))
    np.testing.assert_array_equal(quiet, again)
    assert np.any(quiet != noisy)


@pytest.mark.parametrize("decoding", ["parallel", "recursive"])
def test_narrow_products_give_wide_forecasts(decoding):
    made, narrow = (model(decoding=decoding, compute_dtype=dtype) for dtype in ("float32", "bfloat16"))
    params, given = made.init(jax.random.key(0)), data()
    found = jax.jit(narrow.apply)(params, *given)
    assert found.dtype == jnp.float32
    np.testing.assert_allclose(found, jax.jit(made.apply)(params, *given), atol=0.1)


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"segment": 5}, "the context must be a multiple of the segment .got context 12, segment 5"),
        ({"normalise": "first"}, "normalise must be one of none, last, mean, window"),
        ({"decoding": "serial"}, "decoding must be one of direct, parallel, recursive"),
        ({"output_dropout": 1.0}, "output_dropout"),
        ({"head": Quantiles(), "decoding": "recursive"}, "a number or a distribution, not quantiles"),
        ({"head": NegativeBinomial(), "normalise": "last"}, "counts need normalise"),
    ],
)
def test_what_does_not_fit(change, fault):
    with pytest.raises(ValueError, match=fault):
        model(**change)
