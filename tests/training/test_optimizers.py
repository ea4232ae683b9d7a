"""Optimizers: against optax's own, the laws of the gradient caps, and where weight decay acts."""

import dataclasses
import functools
import typing

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from seqmodels.config import ConfigError, config, validate
from seqmodels.training.optimizers import (
    Adadelta,
    Adagrad,
    Adam,
    AdamW,
    Lamb,
    Lion,
    Momentum,
    NAdam,
    Optimizer,
    OptimizerConfig,
    RAdam,
    RmsProp,
    Sgd,
    learning_rate,
)
from seqmodels.training.schedules import Cosine, ScheduleError, StepDecay, WarmupCosine

MEMBERS = typing.get_args(typing.get_args(OptimizerConfig)[0])
bare = functools.partial(functools.partial, clip_norm=None)
each_member = pytest.mark.parametrize("member", MEMBERS, ids=lambda member: member.name)


@config
class Holder:
    optimizer: OptimizerConfig = Adam()


def are_matrices(params):
    return jax.tree.map(lambda leaf: leaf.ndim >= 2, params)


def l2(weight_decay, optimizer):
    return optax.chain(optax.add_decayed_weights(weight_decay, are_matrices), optimizer)


def random_params(seed=0, dtype=jnp.float32):
    rng = np.random.default_rng(seed)
    return {"w": jnp.asarray(rng.normal(size=(3, 4)), dtype), "b": jnp.asarray(rng.normal(size=4), dtype)}


def run(optimizer, steps=6, params=None):
    """Params after some updates with gradients that depend on the step's number alone."""
    params = random_params() if params is None else params
    state = optimizer.init(params)
    for step in range(steps):
        gradient = jax.tree.map(lambda leaf, other: other.astype(leaf.dtype), params, random_params(step + 1))
        updates, state = optimizer.update(gradient, state, params)
        chex.assert_trees_all_equal_shapes_and_dtypes(updates, params)
        params = optax.apply_updates(params, updates)
    return params


ALIASES = [
    (bare(Sgd)(learning_rate=0.3), optax.sgd(0.3)),
    (bare(Sgd)(learning_rate=0.3, weight_decay=0.1), l2(0.1, optax.sgd(0.3))),
    (bare(Momentum)(learning_rate=0.3, momentum=0.8), optax.sgd(0.3, momentum=0.8)),
    (bare(Momentum)(learning_rate=0.3, nesterov=True), optax.sgd(0.3, momentum=0.9, nesterov=True)),
    (bare(Adam)(), optax.adam(1e-3)),
    (bare(Adam)(learning_rate=0.1, b1=0.0, b2=0.99, eps=1e-3), optax.adam(0.1, b1=0.0, b2=0.99, eps=1e-3)),
    (bare(Adam)(learning_rate=0.1, weight_decay=0.1), l2(0.1, optax.adam(0.1))),
    (
        bare(AdamW)(learning_rate=0.1, b1=0.8, weight_decay=0.1),
        optax.adamw(0.1, b1=0.8, weight_decay=0.1, mask=are_matrices),
    ),
    (bare(AdamW)(), optax.adamw(1e-3, mask=are_matrices)),
    (bare(NAdam)(learning_rate=0.1, b1=0.8), optax.nadam(0.1, b1=0.8)),
    (bare(RAdam)(learning_rate=0.1, b2=0.9), optax.radam(0.1, b2=0.9)),
    (bare(RmsProp)(), optax.rmsprop(1e-3)),
    (bare(RmsProp)(learning_rate=0.1, decay=0.7, eps=1e-3), optax.rmsprop(0.1, decay=0.7, eps=1e-3)),
    (
        bare(RmsProp)(learning_rate=0.1, centered=True, momentum=0.8),
        optax.rmsprop(0.1, centered=True, momentum=0.8),
    ),
    (bare(Adagrad)(learning_rate=0.1), optax.adagrad(0.1)),
    (
        bare(Adagrad)(learning_rate=0.1, initial_accumulator_value=0.5, eps=1e-2),
        optax.adagrad(0.1, initial_accumulator_value=0.5, eps=1e-2),
    ),
    (bare(Adadelta)(rho=0.8, eps=1e-3), optax.adadelta(1.0, rho=0.8, eps=1e-3)),
    (bare(Adadelta)(weight_decay=0.1), optax.adadelta(1.0, weight_decay=0.1, weight_decay_mask=are_matrices)),
    (bare(Lion)(), optax.lion(1e-4, mask=are_matrices)),
    (
        bare(Lion)(learning_rate=0.1, b1=0.5, b2=0.7, weight_decay=0.1),
        optax.lion(0.1, b1=0.5, b2=0.7, weight_decay=0.1, mask=are_matrices),
    ),
    (bare(Lamb)(learning_rate=0.1, weight_decay=0.1), optax.lamb(0.1, weight_decay=0.1, mask=are_matrices)),
    (bare(Adam)(learning_rate=0.1, schedule=Cosine()), optax.adam(optax.cosine_decay_schedule(0.1, 6))),
    (
        AdamW(clip_norm=0.5, clip_value=0.3),
        optax.chain(optax.clip(0.3), optax.clip_by_global_norm(0.5), optax.adamw(1e-3, mask=are_matrices)),
    ),
]


@pytest.mark.parametrize(("ours", "theirs"), ALIASES, ids=lambda value: str(getattr(value, "name", "")))
def test_equals_the_alias_in_optax(ours, theirs):
    actual = run(ours.build(steps=6))
    with jax.numpy_dtype_promotion("standard"):
        expected = run(theirs)
    chex.assert_trees_all_close(actual, expected, rtol=1e-6)
    assert not np.allclose(actual["w"], random_params()["w"], rtol=1e-6)


def test_every_optimizer_is_compared_and_can_be_named():
    assert {type(ours) for ours, _ in ALIASES} == set(MEMBERS)
    written = {member for member in _all_subclasses(Optimizer) if not member.__name__.startswith("_")}
    assert written == set(MEMBERS)
    for member in MEMBERS:
        assert type(validate(Holder, {"optimizer": {"name": member().name}}, "test.toml").optimizer) is member


def _all_subclasses(parent):
    return {child for direct in parent.__subclasses__() for child in {direct, *_all_subclasses(direct)}}


RATES = {Adadelta: 10.0, Adagrad: 0.5, Adam: 0.05, AdamW: 0.05, Lion: 0.01, Lamb: 0.02, Momentum: 0.05}


@each_member
def test_solves_a_small_quadratic(member):
    config = member(learning_rate=RATES.get(member, 0.05), weight_decay=0.0)
    optimizer = config.build(steps=400)
    target = random_params(seed=7)
    scale = {"w": jnp.asarray(0.5), "b": jnp.asarray(2.0)}

    def loss(params):
        return sum(jnp.sum(scale[key] * (params[key] - target[key]) ** 2) for key in params)

    def step(carry, _):
        params, state = carry
        updates, state = optimizer.update(jax.grad(loss)(params), state, params)
        return (optax.apply_updates(params, updates), state), None

    params = random_params(seed=8)
    (solved, _), _ = jax.lax.scan(step, (params, optimizer.init(params)), length=400)
    assert loss(solved) < 0.01 * loss(params)


@each_member
@pytest.mark.parametrize("dtype", [jnp.float32, jnp.float64])
def test_keeps_the_dtype_in_x64(member, dtype, x64):
    config = member(weight_decay=0.1, clip_value=0.5, schedule=WarmupCosine(warmup_steps=2))
    params = run(config.build(steps=6), steps=2, params=random_params(dtype=dtype))
    assert all(leaf.dtype == dtype for leaf in jax.tree.leaves(params))


def capped(gradient, **caps):
    optimizer = Sgd(learning_rate=1.0, **caps).build(steps=1)
    updates, _ = optimizer.update(gradient, optimizer.init(gradient), gradient)
    return jax.tree.map(jnp.negative, updates)


def flat(tree):
    return jnp.concatenate([jnp.ravel(leaf) for leaf in jax.tree.leaves(tree)])


def cosine(one, other):
    return jnp.vdot(flat(one), flat(other)) / (jnp.linalg.norm(flat(one)) * jnp.linalg.norm(flat(other)))


def test_the_cap_by_norm_keeps_the_direction_and_sets_the_norm():
    gradient = random_params()
    result = capped(gradient, clip_norm=0.25)
    assert jnp.linalg.norm(flat(result)) == pytest.approx(0.25, rel=1e-6)
    assert cosine(result, gradient) == pytest.approx(1.0, abs=1e-6)
    assert capped({"w": jnp.array([6.0, 8.0])})["w"].tolist() == pytest.approx([0.6, 0.8])


def test_the_cap_by_norm_leaves_a_small_gradient_alone():
    gradient = random_params()
    chex.assert_trees_all_equal(capped(gradient, clip_norm=100.0), gradient)


def test_the_cap_by_value_bounds_every_number_and_turns_the_direction():
    gradient = random_params()
    result = capped(gradient, clip_norm=None, clip_value=0.5)
    np.testing.assert_array_equal(flat(result), np.clip(flat(gradient), -0.5, 0.5))
    assert cosine(result, gradient) < 0.99


def test_by_value_comes_before_by_norm():
    result = capped({"w": jnp.array([10.0, -1.0])}, clip_value=2.0, clip_norm=1.0)
    np.testing.assert_allclose(result["w"], np.array([2.0, -1.0]) / np.sqrt(5.0), rtol=1e-6)


def test_weight_decay_is_not_capped():
    params = {"w": jnp.full((2, 2), 100.0)}
    optimizer = Sgd(learning_rate=0.5, weight_decay=0.1, clip_norm=1.0, clip_value=0.1).build(steps=1)
    updates, _ = optimizer.update({"w": jnp.zeros((2, 2))}, optimizer.init(params), params)
    np.testing.assert_allclose(updates["w"], np.full((2, 2), -0.5 * 0.1 * 100.0), rtol=1e-6)


@each_member
def test_weight_decay_acts_on_matrices_only(member):
    without = run(member(weight_decay=0.0).build(steps=6))
    decayed = run(member(weight_decay=0.5).build(steps=6))
    chex.assert_trees_all_equal(decayed["b"], without["b"])
    assert not np.allclose(decayed["w"], without["w"], rtol=1e-6)


@pytest.mark.parametrize("member", [AdamW, Lion])
def test_decoupled_decay_shrinks_by_rate_times_decay(member):
    params = random_params()
    change = jax.tree.map(
        jnp.subtract,
        run(member(learning_rate=0.1, weight_decay=0.5).build(steps=1), steps=1),
        run(member(learning_rate=0.1, weight_decay=0.0).build(steps=1), steps=1),
    )
    np.testing.assert_allclose(change["w"], -0.1 * 0.5 * params["w"], rtol=1e-4, atol=1e-6)


def test_the_schedule_scales_the_finished_update():
    config = Sgd(learning_rate=1.0, clip_norm=None, schedule=StepDecay(factor=0.5, every=2))
    optimizer = config.build(steps=6)
    gradient = {"w": jnp.ones(1)}
    state, sizes = optimizer.init(gradient), []
    for _ in range(6):
        updates, state = optimizer.update(gradient, state, gradient)
        sizes.append(-float(updates["w"][0]))
    assert sizes == [1.0, 1.0, 0.5, 0.5, 0.25, 0.25]
    assert sizes == [float(learning_rate(config, steps=6)(step)) for step in range(6)]


def test_a_schedule_longer_than_the_run_is_an_error():
    with pytest.raises(ScheduleError, match=r"warmup_steps.*run\.steps"):
        Adam(schedule=WarmupCosine(warmup_steps=10)).build(steps=5)


@each_member
def test_is_a_value(member):
    assert member() == member()
    assert hash(member()) == hash(member())
    assert member(learning_rate=0.5) != member(learning_rate=0.25)
    assert member().clip_norm == 1.0
    with pytest.raises(dataclasses.FrozenInstanceError):
        member().learning_rate = 0.5


@pytest.mark.parametrize(
    ("table", "key"),
    [
        ({"name": "adam", "learning_rat": 0.1}, "learning_rat"),
        ({"name": "adam", "learning_rate": 0.0}, "learning_rate"),
        ({"name": "adam", "learning_rate": "0.1"}, "learning_rate"),
        ({"name": "adam", "clip_norm": 0.0}, "clip_norm"),
        ({"name": "adam", "clip_value": -1.0}, "clip_value"),
        ({"name": "adam", "weight_decay": -0.1}, "weight_decay"),
        ({"name": "adam", "b1": 1.0}, "b1"),
        ({"name": "lamb", "eps": 0.0}, "eps"),
        ({"name": "sgd", "b1": 0.9}, "b1"),
        ({"name": "momentum", "nesterov": 1}, "nesterov"),
        ({"name": "adam", "schedule": {"name": "cosine", "final_fraction": 2.0}}, "final_fraction"),
        ({"name": "adm"}, "adm"),
        ({"learning_rate": 0.1}, "name"),
    ],
    ids=str,
)
def test_bad_tables_fail_by_name(table, key):
    with pytest.raises(ConfigError, match=rf"\b{key}\b"):
        validate(Holder, {"optimizer": table}, "test.toml")
