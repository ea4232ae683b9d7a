"""Schedules against tables worked by hand."""

import jax
import jax.numpy as jnp
import pytest

from seqmodels.config import ConfigError, config, validate
from seqmodels.training.schedules import (
    Constant,
    Cosine,
    Linear,
    Plateau,
    ScheduleConfig,
    ScheduleError,
    StepDecay,
    WarmupCosine,
)


@config
class Holder:
    schedule: ScheduleConfig = Constant()


TABLES = [
    (Constant(), 2.0, {0: 2.0, 50: 2.0, 99: 2.0, 10_000: 2.0}),
    (Plateau(factor=0.1, patience=3), 2.0, {0: 2.0, 99: 2.0}),
    # cos(π/3) = 1/2 and cos(2π/3) = -1/2 at 30 and 60 of 90 steps.
    (Cosine(), 2.0, {0: 2.0, 30: 1.5, 45: 1.0, 60: 0.5, 90: 0.0, 500: 0.0}),
    (Cosine(final_fraction=0.2), 1.0, {0: 1.0, 30: 0.8, 45: 0.6, 60: 0.4, 90: 0.2, 500: 0.2}),
    (Linear(), 3.0, {0: 3.0, 30: 2.0, 60: 1.0, 90: 0.0, 91: 0.0}),
    (Linear(final_fraction=0.5), 2.0, {0: 2.0, 9: 1.9, 45: 1.5, 90: 1.0, 500: 1.0}),
    (WarmupCosine(warmup_steps=30), 2.0, {0: 0.0, 1: 2 / 30, 15: 1.0, 29: 58 / 30, 30: 2.0, 50: 1.5, 60: 1.0, 90: 0.0}),
    (WarmupCosine(warmup_steps=30, final_fraction=0.2), 1.0, {15: 0.5, 30: 1.0, 50: 0.8, 70: 0.4, 90: 0.2, 500: 0.2}),
    (StepDecay(factor=0.1, every=20), 1.0, {0: 1.0, 19: 1.0, 20: 0.1, 39: 0.1, 40: 0.01}),
    (StepDecay(factor=0.5, every=20, start=1), 4.0, {0: 4.0, 1: 2.0, 20: 2.0, 21: 1.0, 41: 0.5}),
    (StepDecay(factor=0.5, every=1, start=88), 4.0, {0: 4.0, 87: 4.0, 88: 2.0, 89: 1.0, 90: 0.5}),
]


@pytest.mark.parametrize(("schedule", "learning_rate", "table"), TABLES, ids=str)
@pytest.mark.parametrize("as_step", [int, jnp.int32, jnp.float32])
def test_values_by_hand(schedule, learning_rate, table, as_step):
    rate = schedule.build(learning_rate, steps=90)
    for step, expected in table.items():
        assert float(rate(as_step(step))) == pytest.approx(expected, rel=1e-6, abs=1e-6), step


@pytest.mark.parametrize("schedule", [table[0] for table in TABLES], ids=str)
def test_jitted_is_eager_and_no_wider_than_the_default_float(schedule):
    rate = schedule.build(0.5, steps=90)
    traced = jax.jit(rate)(jnp.int32(40))
    assert float(traced) == pytest.approx(float(rate(40)), rel=1e-6)
    assert jnp.asarray(traced).dtype == jnp.float32


@pytest.mark.parametrize("schedule", [table[0] for table in TABLES], ids=str)
def test_is_exact_to_float64_in_x64(schedule, x64):
    first = float(schedule.build(0.3, steps=90)(jnp.int32(0)))
    assert first in (0.0, 0.3), "rounded to float32"


def test_zaremba_small_recipe_to_the_step():
    epoch = 2_323
    rate = jax.jit(StepDecay(factor=0.5, start=4 * epoch, every=epoch).build(1.0, steps=13 * epoch))
    steps = {0: 1.0, 9_291: 1.0, 9_292: 0.5, 11_614: 0.5, 11_615: 0.25, 13_937: 0.25, 13_938: 0.125, 30_198: 0.5**9}
    assert {step: float(rate(step)) for step in steps} == steps


def test_step_decay_jumps_once_at_every_boundary():
    rate = StepDecay(factor=0.5, start=700, every=7).build(1.0, steps=1_400)
    rates = jax.vmap(rate)(jnp.arange(1_400))
    jumps = jnp.flatnonzero(rates[1:] != rates[:-1]) + 1
    assert jumps.tolist() == list(range(700, 1_400, 7))


@pytest.mark.parametrize("warmup_steps", [90, 91])
def test_warmup_as_long_as_the_run_names_both_keys(warmup_steps):
    with pytest.raises(ScheduleError) as raised:
        WarmupCosine(warmup_steps=warmup_steps).build(0.1, steps=90)
    (line,) = raised.value.lines
    assert "optimizer.schedule.warmup_steps" in line
    assert "run.steps is 90" in line
    assert f"got {warmup_steps}" in line


@pytest.mark.parametrize(
    ("table", "key"),
    [
        ({"name": "cosine", "final_fraction": 1.5}, "final_fraction"),
        ({"name": "linear", "final_fraction": -0.1}, "final_fraction"),
        ({"name": "warmup_cosine"}, "warmup_steps"),
        ({"name": "warmup_cosine", "warmup_steps": 0}, "warmup_steps"),
        ({"name": "step_decay"}, "every"),
        ({"name": "step_decay", "every": 0}, "every"),
        ({"name": "step_decay", "every": 5, "start": 0}, "start"),
        ({"name": "step_decay", "every": 5, "factor": 1.0}, "factor"),
        ({"name": "plateau", "patience": 0}, "patience"),
        ({"name": "plateau", "least": 2.0}, "least"),
        ({"name": "plateau", "least_gain": -1.0}, "least_gain"),
        ({"name": "constant", "warmup_steps": 5}, "warmup_steps"),
        ({"name": "cosin"}, "cosin"),
    ],
    ids=str,
)
def test_bad_tables_fail_by_name(table, key):
    with pytest.raises(ConfigError, match=key):
        validate(Holder, {"schedule": table}, "test.toml")


def test_the_name_chooses_the_class_and_constant_is_the_default():
    table = {"schedule": {"name": "step_decay", "every": 5}}
    assert validate(Holder, table, "test.toml").schedule == StepDecay(every=5)
    assert validate(Holder, {}, "test.toml").schedule == Constant()
