"""One optimizer step against optax by hand; accumulation; averages; what decides the noise."""

from typing import ClassVar, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from oracles import assert_close, assert_equal

from seqmodels.training.bad_steps import BadSteps
from seqmodels.training.optimizers import Adam
from seqmodels.training.seeds import make_seeds
from seqmodels.training.step import add_sums, leave_out, make_step, zero_sums
from seqmodels.training.tables import Averaging

NONE = Averaging()
ROWS, TIME, WIDTH = 2, 3, 4


class Params(NamedTuple):
    w: jax.Array
    b: jax.Array


class Carried:
    """A linear recurrence fitted to numbers: y_t = w ⊙ y_{t-1} + x_t + b, with noise on the parameters if asked."""

    measures: ClassVar = {"loss_nats": (), "count": ()}

    def init(self, key):
        return Params(jax.random.normal(key, (WIDTH,)) * 0.3, jnp.zeros(WIDTH))

    def initial_carry(self, params):
        return jnp.zeros((ROWS, WIDTH))

    def loss(self, params, carry, batch, key):
        xs, targets = batch
        w = params.w if key is None else params.w + 0.1 * jax.random.normal(key, (WIDTH,))

        def body(y, x):
            y = w * y + x + params.b
            return y, y

        carry, ys = jax.lax.scan(body, carry, xs.swapaxes(0, 1))
        squares = (ys.swapaxes(0, 1) - targets) ** 2
        weight = jnp.float32(squares.size)
        return squares.mean(), (carry, {"loss_nats": (squares.sum(), weight), "count": (weight, jnp.float32(1))})


class Quiet(Carried):
    """The same without noise."""

    def loss(self, params, carry, batch, key):
        return super().loss(params, carry, batch, None)


def batch(number):
    random = np.random.default_rng(number)
    return tuple(random.normal(size=(ROWS, TIME, WIDTH)).astype(np.float32) for _ in range(2))


def stacked(*numbers):
    return jax.tree.map(lambda *leaves: np.stack(leaves), *(batch(number) for number in numbers))


def start(task, optimizer, **options):
    step = make_step(task, optimizer, seed=5, **{"averaging": NONE, **options})
    return step.init(jax.random.key(5)), jax.jit(step.update)


MOMENTUM = optax.sgd(0.05, momentum=0.9)


def test_three_steps_are_those_of_optax_by_hand():
    task = Carried()
    state, update = start(task, MOMENTUM)
    params, carry = task.init(jax.random.key(5)), task.initial_carry(None)
    opt_state = MOMENTUM.init(params)
    total = norms = 0.0
    for number in range(3):
        key = jax.random.fold_in(make_seeds(5).noise, number)
        gradient = jax.grad(lambda p, c=carry, k=key, n=number: task.loss(p, c, batch(n), k)[0])(params)
        _, (carry, sums) = task.loss(params, carry, batch(number), key)
        updates, opt_state = MOMENTUM.update(gradient, opt_state)
        params = optax.apply_updates(params, updates)
        total += float(sums["loss_nats"][0])
        norms += float(np.sqrt(sum(np.sum(np.square(leaf)) for leaf in gradient)))
        state = update(state, batch(number))
    assert int(state.step) == 3
    assert_close(state.params, params, np.float32)
    assert_close(state.carry, carry, np.float32)
    assert_close(state.opt_state, opt_state, np.float32)
    np.testing.assert_allclose(float(state.sums["loss_nats"][0]), total, rtol=1e-5)
    np.testing.assert_allclose(state.sums["grad_norm"], (norms, 3.0), rtol=1e-5)
    assert float(state.sums["count"][1]) == 3.0


def test_accumulated_batches_are_one_step_along_the_mean_of_their_gradients():
    """The carry runs through the batches in their order; no gradient crosses from one into the one before."""
    task = Quiet()
    state, update = start(task, MOMENTUM, accumulate=3)
    carry, gradients = state.carry, []
    for number in range(3):
        gradient = jax.grad(lambda p, c=carry, n=number: task.loss(p, c, batch(n), None)[0])(state.params)
        _, (carry, _) = task.loss(state.params, carry, batch(number), None)
        gradients.append(gradient)
    mean = jax.tree.map(lambda *leaves: np.mean(leaves, axis=0), *gradients)
    updates, opt_state = MOMENTUM.update(mean, MOMENTUM.init(state.params))
    after = update(state, stacked(0, 1, 2))
    assert_close(after.params, optax.apply_updates(state.params, updates), np.float32)
    assert_close(after.opt_state, opt_state, np.float32)
    assert_close(after.carry, carry, np.float32)
    assert int(after.step) == 1
    assert float(after.sums["count"][1]) == 3.0
    assert float(after.sums["grad_norm"][1]) == 1.0


def test_accumulated_batches_are_one_window_of_their_length_where_no_gradient_crosses():
    """With w = 0 nothing flows from window to window, and k windows in a row are one window k times as long."""

    class Forgetful(Quiet):
        def loss(self, params, carry, batch, key):
            return super().loss(params._replace(w=jnp.zeros(WIDTH)), carry, batch, key)

    state, update = start(Forgetful(), MOMENTUM, accumulate=2)
    long = jax.tree.map(lambda *leaves: np.concatenate(leaves, axis=1), batch(0), batch(1))
    _, whole = start(Forgetful(), MOMENTUM)
    assert_close(update(state, stacked(0, 1)).params, whole(state, long).params, np.float32)


def test_each_accumulated_batch_has_noise_of_its_own():
    state, update = start(Carried(), optax.sgd(1.0), accumulate=2)
    key = jax.random.fold_in(make_seeds(5).noise, 0)
    task, carry, gradients = Carried(), state.carry, []
    for number in range(2):
        k = jax.random.fold_in(key, number)
        gradients.append(jax.grad(lambda p, c=carry, k=k: task.loss(p, c, batch(0), k)[0])(state.params))
        _, (carry, _) = task.loss(state.params, carry, batch(0), k)
    expected = jax.tree.map(lambda p, a, b: p - (a + b) / 2, state.params, *gradients)
    assert_close(update(state, stacked(0, 0)).params, expected, np.float32)


def test_the_number_of_the_step_decides_its_noise():
    state, update = start(Carried(), MOMENTUM)
    first, again = update(state, batch(0)), update(state, batch(0))
    assert_equal(first, again)
    later = update(state.replace(step=jnp.int32(7)), batch(0))
    assert np.any(later.params.w != first.params.w)
    other = jax.jit(make_step(Carried(), MOMENTUM, seed=6, averaging=NONE).update)(state, batch(0))
    assert np.any(other.params.w != first.params.w)
    # Whatever came before: step 7 reached with another history draws the same noise.
    moved = state.replace(step=jnp.int32(7), sums=add_sums(state.sums, first.sums))
    assert_equal(update(moved, batch(0)).params, later.params)


def test_the_scale_multiplies_the_update():
    state, update = start(Quiet(), MOMENTUM)
    whole, half = update(state, batch(0)), update(state.replace(scale=jnp.float32(0.5)), batch(0))
    expected = jax.tree.map(lambda a, b: a + 0.5 * (b - a), state.params, whole.params)
    assert_close(half.params, expected, np.float32)
    assert_equal(half.opt_state, whole.opt_state)


def test_the_pace_multiplies_the_update_after_the_cap_and_what_the_optimizer_divides_by():
    class Slow(Quiet):
        def pace(self, batch):
            return batch[0].shape[1] / 6

    optimizer = Adam(learning_rate=0.1, clip_norm=0.1).build(10)
    state, update = start(Quiet(), optimizer)
    _, slow = start(Slow(), optimizer)
    whole, half = update(state, batch(0)), slow(state, batch(0))
    assert_close(half.params, jax.tree.map(lambda a, b: a + 0.5 * (b - a), state.params, whole.params), np.float32)
    assert_equal(half.opt_state, whole.opt_state)


@pytest.mark.parametrize(
    "averaging",
    [
        Averaging(name="ema", decay=0.75),
        Averaging(name="mean"),
        Averaging(name="mean", start=3),
    ],
    ids=lambda averaging: f"{averaging.name}-{averaging.start}",
)
def test_averages_of_the_iterates(averaging):
    state, update = start(Quiet(), optax.sgd(0.3), averaging=averaging)
    iterates = [np.asarray(state.params.w, np.float64)]
    for number in range(8):
        state = update(state, batch(number))
        iterates.append(np.asarray(state.params.w, np.float64))
        if averaging.name == "ema":
            # A plain mean as long as that gives a new iterate the greater share.
            average = iterates[0]
            for count, w in enumerate(iterates[1:], start=1):
                share = max(1 - averaging.decay, 1 / count)
                average = (1 - share) * average + share * w
        else:
            # The mean of the iterates that steps `start`, `start` + 1, ... made; before them, the last one.
            average = np.mean(iterates[1 + averaging.start :] or iterates[-1:], axis=0)
        assert_close(state.average.w, average, np.float32)
        assert_equal(state.result, state.average)


def test_an_average_that_waits_is_the_last_iterate_until_it_is_told_to_begin():
    state, update = start(Quiet(), optax.sgd(0.3), averaging=Averaging(name="nt_asgd"))
    iterates = []
    for number in range(6):
        if number == 3:
            state = state.replace(average_start=jnp.full_like(state.average_start, 3))
        state = update(state, batch(number))
        iterates.append(np.asarray(state.params.w, np.float64))
        if number <= 3:
            assert_equal(state.result, state.params)
        else:
            assert_close(state.result.w, np.mean(iterates[3:], axis=0), np.float32)


def test_without_averaging_the_result_is_the_last_iterate():
    state, update = start(Quiet(), MOMENTUM)
    state = update(state, batch(0))
    assert state.average is None
    assert state.average_start is None
    assert state.result is state.params


def test_an_average_is_a_copy_that_survives_donation():
    step = make_step(Quiet(), MOMENTUM, seed=5, averaging=Averaging(name="ema"))
    state = jax.jit(step.update, donate_argnums=0)(step.init(jax.random.key(5)), batch(0))
    assert np.all(np.isfinite(state.average.w))


class Spoilt(Quiet):
    """Where the first number of the targets is 1000, this part of the step is infinite or no number, and only this."""

    def __init__(self, part):
        self.part = part

    def loss(self, params, carry, batch, key):
        loss, (carry, sums) = super().loss(params, carry, (batch[0], batch[1] % 1000), key)
        spoilt = batch[1][0, 0, 0] == 1000
        match self.part:
            case "loss":  # with the gradient of a constant
                loss = loss + jnp.where(spoilt, jnp.nan, 0.0)
            case "gradient":  # 0 · ∞
                loss = loss + jnp.sqrt(jnp.where(spoilt, params.w * 0.0, 1.0)).sum()
            case "carry":
                carry = jnp.where(spoilt, jnp.inf, carry)
            case "sums":
                sums = {**sums, "count": (jnp.where(spoilt, jnp.nan, sums["count"][0]), sums["count"][1])}
        return loss, (carry, sums)


def spoilt(number):
    xs, targets = batch(number)
    targets[0, 0, 0] = 1000
    return xs, targets


PARTS = ("loss", "gradient", "carry", "sums", "parameters")


def spoilt_start(part, **options):
    """With the last of the parts, a rate that takes the parameters beyond float32 where gradients are large."""
    optimizer = optax.sgd(1e33) if part == "parameters" else MOMENTUM
    state, update = start(Quiet() if part == "parameters" else Spoilt(part), optimizer, **options)
    good = tuple(np.zeros((ROWS, TIME, WIDTH), np.float32) for _ in range(2)) if part == "parameters" else batch(0)
    bad = (good[0] + 1e6, good[1]) if part == "parameters" else spoilt(1)
    return state, update, good, bad


@pytest.mark.parametrize("part", PARTS)
def test_a_step_of_which_any_part_is_not_finite_leaves_the_state_as_it_was(part):
    state, update, good, bad = spoilt_start(part, averaging=Averaging(name="ema"))
    state = update(state, good)
    after = update(state, bad)
    assert int(after.step) == 1
    norm, weight = after.sums.pop("grad_norm")
    assert np.isnan(norm)
    assert_equal(weight, state.sums.pop("grad_norm")[1])
    assert_equal(after, state)
    again = update(after.replace(sums={**after.sums, "grad_norm": (norm, weight)}), good)
    assert np.isnan(again.sums.pop("grad_norm")[0])
    assert_equal(again, state)


@pytest.mark.parametrize("part", PARTS)
def test_a_skipped_step_is_past_and_counted(part):
    state, update, good, bad = spoilt_start(part, bad_steps=BadSteps(name="skip", limit=2))
    states = [update(state, good)]
    for given in (bad, bad, good, bad, bad, bad, good):
        states.append(update(states[-1], given))
    for before, after in ((0, 1), (1, 2), (3, 4), (4, 5)):
        assert int(states[after].step) == after + 1
        assert_equal(*(states[place].replace(step=0, skips=None) for place in (before, after)))
    assert [int(state.skips.in_a_row) for state in states[:6]] == [0, 1, 2, 0, 1, 2]
    assert [int(state.skips.left_out) for state in states[:6]] == [0, 1, 2, 2, 3, 4]
    # The third in a row is one too many.
    assert [int(state.step) for state in states[5:]] == [6, 6, 6]
    assert all(np.isnan(state.sums["grad_norm"][0]) for state in states[6:])
    assert_equal(states[7].params, states[5].params)


def test_a_step_left_out_is_past_but_not_where_one_before_it_was_bad():
    state, update = start(Quiet(), MOMENTUM)
    good = update(state, batch(0))
    assert int(leave_out(good).step) == 2
    assert_equal(leave_out(good).replace(step=good.step), good)
    marked = update(good, jax.tree.map(lambda leaf: leaf * np.nan, batch(1)))
    assert_equal(leave_out(marked).params, good.params)
    assert int(leave_out(marked).step) == 1


def test_one_bad_batch_of_several_makes_the_step_bad():
    state, update = start(Spoilt("loss"), MOMENTUM, accumulate=2)
    both = jax.tree.map(lambda *leaves: np.stack(leaves), batch(0), spoilt(1))
    after = update(state, both)
    assert int(after.step) == 0
    assert_equal(after.params, state.params)


def test_one_seed_gives_keys_that_have_nothing_in_common():
    keys = [*make_seeds(5), *make_seeds(6)]
    assert len({tuple(jax.random.key_data(key).tolist()) for key in keys}) == len(keys)
    assert_equal(jax.random.key_data(make_seeds(5).noise), jax.random.key_data(make_seeds(5).noise))


def test_sums_add_up_by_name():
    nothing = zero_sums(Carried())
    assert set(nothing) == {"loss_nats", "count", "grad_norm"}
    one = {name: (jnp.float32(2), jnp.float32(3)) for name in nothing}
    assert add_sums(nothing, one) == one
    assert add_sums(one, one)["count"] == (4.0, 6.0)
