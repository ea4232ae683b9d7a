"""Made-up problems: their targets are computed again, in plain Python and NumPy, from the inputs alone."""

import dataclasses
import functools
import itertools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from oracles import assert_equal

from seqmodels.data.problems import (
    PROBLEMS,
    Adding,
    CopyMemory,
    Examples,
    Generated,
    ListOps,
    MackeyGlass,
    Parity,
    Rows,
    TemporalOrder,
)
from seqmodels.data.problems.listops import SYMBOLS

SMALL = [
    Adding(length=9),
    CopyMemory(length=7, symbols=3, alphabet=4),
    TemporalOrder(symbols=2, length=30),
    Parity(min_length=1, max_length=6, test_min_length=6, test_max_length=9),
    Parity(min_length=1, max_length=6, test_min_length=6, test_max_length=9, every_step=True),
    ListOps(length=30, depth=3, arguments=4),
    MackeyGlass(length=20, horizon=3),
]


def name(problem):
    return f"{problem.name}{'_every_step' if getattr(problem, 'every_step', False) else ''}"


each = pytest.mark.parametrize("problem", SMALL, ids=name)


ROWS = 512


@functools.cache
def compiled(problem):
    return jax.jit(problem.examples)


@functools.cache
def drawn(problem, split="train", seed=0, first=0):
    """Examples as NumPy arrays, always as many, so that little is compiled."""
    return Examples(*map(np.asarray, compiled(problem)(Rows.of(split, seed, first, ROWS))))


def wanted(examples):
    """The only target of each row, and where it is."""
    rows, steps = np.nonzero(examples.counted)
    assert rows.tolist() == list(range(len(examples.counted)))
    return examples.targets[rows, steps], steps


def test_every_generated_problem_is_tested():
    generated = {table for table in PROBLEMS if issubclass(table, Generated)}
    assert {type(problem) for problem in SMALL} == generated


@each
def test_shapes_and_types(problem):
    inputs, targets, counted = drawn(problem)
    assert inputs.shape == (ROWS, targets.shape[1], problem.input_size)
    assert inputs.dtype == np.float32
    assert targets.dtype == (np.float32 if problem.classes is None else np.int32)
    assert counted.shape == targets.shape
    assert counted.dtype == bool
    assert counted.any(axis=1).all()
    if problem.classes:
        assert set(targets[counted].tolist()) == set(range(problem.classes))


def test_adding():
    inputs, targets, counted = drawn(Adding(length=9))
    values, marks = inputs[..., 0], inputs[..., 1]
    found, steps = wanted(Examples(inputs, targets, counted))
    assert set(steps) == {8}
    assert set(np.unique(marks)) == {0.0, 1.0}
    assert (marks[:, :4].sum(axis=1) == 1).all()
    assert (marks[:, 4:].sum(axis=1) == 1).all()
    assert (marks.sum(axis=0) > 0).all()
    assert ((values >= 0) & (values < 1)).all()
    np.testing.assert_allclose(found, (values * marks).sum(axis=1), rtol=1e-6)


def test_copy_memory():
    inputs, targets, counted = drawn(CopyMemory(length=7, symbols=3, alphabet=4))
    assert (inputs.sum(axis=-1) == 1).all()
    assert counted.all()
    for read, target in zip(inputs.argmax(axis=-1).tolist(), targets.tolist(), strict=True):
        symbols = read[:3]
        assert set(symbols) <= {1, 2, 3, 4}
        assert read == [*symbols, *[0] * 6, 5, 0, 0, 0]
        assert target == [*[0] * 10, *symbols]


@pytest.mark.parametrize(
    ("symbols", "places"),
    [(2, [(10, 20), (50, 60)]), (3, [(10, 20), (33, 43), (66, 76)]), (4, [(10, 20), (30, 40), (50, 60), (70, 80)])],
)
def test_temporal_order(symbols, places):
    inputs, targets, counted = drawn(TemporalOrder(symbols=symbols))
    found, steps = wanted(Examples(inputs, targets, counted))
    assert inputs.shape[1] == 110
    assert set(steps + 1) == set(range(100, 111))
    seen = [set() for _ in places]
    for read, last, target in zip(inputs, steps, found, strict=True):
        assert not read[last + 1 :].any()
        assert (read[: last + 1].sum(axis=-1) == 1).all()
        ids = read[: last + 1].argmax(axis=-1)
        assert (ids[0], ids[-1]) == (4, 5)
        relevant = np.nonzero(ids > 5)[0]
        assert len(relevant) == symbols
        assert int("".join("01"[symbol - 6] for symbol in ids[relevant]), 2) == target
        assert np.isin(np.delete(ids, relevant)[1:-1], range(4)).all()
        for place, number in zip(relevant, range(symbols), strict=True):
            seen[number].add(int(place))
    assert seen == [set(range(first, last + 1)) for first, last in places]


@pytest.mark.parametrize("every_step", [False, True])
@pytest.mark.parametrize("split", ["train", "valid", "test"])
def test_parity(every_step, split):
    problem = Parity(min_length=1, max_length=6, test_min_length=6, test_max_length=9, every_step=every_step)
    inputs, targets, counted = drawn(problem, split=split)
    lengths = inputs.sum(axis=(1, 2)).astype(int)
    assert set(lengths) == set(range(1, 7) if split == "train" else range(6, 10))
    for read, target, asked, length in zip(inputs, targets, counted, lengths, strict=True):
        assert not read[length:].any()
        bits = read[:length, 1].astype(int).tolist()
        expected = [sum(bits[: n + 1]) % 2 for n in range(length)]
        steps = range(length) if every_step else [length - 1]
        assert np.nonzero(asked)[0].tolist() == list(steps)
        assert target[asked].tolist() == [expected[step] for step in steps]


OPERATIONS = {
    "[MIN": min,
    "[MAX": max,
    "[MED": lambda values: int(np.median(values)),
    "[SM": lambda values: sum(values) % 10,
}


def read_list(symbols):
    """Reads one argument: its value, how deep its lists lie, how many arguments the longest has, and what follows."""
    first, *rest = symbols
    if first not in OPERATIONS:
        return int(first), 0, 0, rest
    values, depths, widths = [], [0], [0]
    while rest[0] != "]":
        value, depth, width, rest = read_list(rest)
        values.append(value)
        depths.append(depth)
        widths.append(width)
    return OPERATIONS[first](values), 1 + max(depths), max(len(values), *widths), rest[1:]


def test_listops():
    problem = ListOps(length=30, depth=3, arguments=4)
    examples = drawn(problem)
    found, steps = wanted(examples)
    seen, met = set(), set()
    for read, last, target in zip(examples.inputs, steps, found, strict=True):
        assert not read[last + 1 :].any()
        assert (read[: last + 1].sum(axis=-1) == 1).all()
        symbols = [SYMBOLS[number] for number in read[: last + 1].argmax(axis=-1)]
        value, depth, width, rest = read_list(symbols)
        assert (value, rest) == (target, [])
        seen.add((depth, width))
        met |= {*symbols}
    assert {depth for depth, _ in seen} == {1, 2, 3}
    assert {width for _, width in seen} == {2, 3, 4}
    assert met == {*SYMBOLS}
    assert steps.max() == 29


def test_lists_that_are_too_long_for_the_sequence():
    with pytest.raises(ValueError, match=r"length must be arguments \+ 2 at least \(got 6\)"):
        ListOps(length=6, arguments=5)


def test_trials_read_the_examples_of_their_own_seed_and_the_same_ones_in_the_test():
    problem = SMALL[0]
    for split, seed in (("train", 7), ("test", 5)):
        third = problem.of_trial(Rows.of(split, 5, 0, ROWS), np.uint32(2))
        assert_equal(compiled(problem)(third), drawn(problem, split=split, seed=seed))


def test_mackey_glass_is_eulers_method():
    """Step by step in float64 over a stretch; the chaos parts the two in the end."""
    problem = dataclasses.replace(MackeyGlass(), length=30, delay=17, horizon=2)
    past, beta, gamma, size = 0.7, 0.2, 0.1, 170
    series = [past] * size
    for _ in range(10 * 332):
        before = series[-size]
        series.append(series[-1] + 0.1 * (beta * before / (1 + before**10) - gamma * series[-1]))
    expected = np.array(series[size:])[9::10][300:332]
    np.testing.assert_allclose(problem.series(jnp.float32(past)), expected, rtol=2e-3)


def test_mackey_glass_asks_for_what_comes():
    inputs, targets, counted = drawn(MackeyGlass(length=20, horizon=3))
    assert counted.all()
    np.testing.assert_array_equal(inputs[:, 3:, 0], targets[:, :-3])
    assert ((inputs > 0.2) & (inputs < 1.6)).all()
    assert (inputs.std(axis=1) > 0.01).all()


@each
def test_an_example_is_that_of_its_seed_stream_and_number(problem):
    whole, later = drawn(problem), drawn(problem, first=3)
    assert_equal(compiled(problem)(Rows.of("train", 0, 0, ROWS)), whole)
    assert_equal([leaf[:-3] for leaf in later], [leaf[3:] for leaf in whole])
    assert np.any(drawn(problem, seed=1).inputs != whole.inputs)
    assert np.any(drawn(problem, split="valid").inputs != drawn(problem, split="test").inputs)
    if problem.evaluated() == problem:
        assert np.any(drawn(problem, split="valid").inputs != whole.inputs)


def test_training_validation_and_test_never_meet():
    """Nor do they meet the keys that a run with the same seed makes for itself, which are derived from 0, 1 and 2."""
    numbers = 3000
    keys = [Rows.of(split, seed, 0, numbers).keys() for seed in (0, 1) for split in ("train", "valid", "test")]
    streams = [jax.random.fold_in(jax.random.key(0), number) for number in (16, 17, 18)]
    own = jax.random.split(jax.random.key(0), 3)
    data = [jax.random.key_data(key).reshape(-1, 2) for key in (*keys, *streams, own)]
    found = np.concatenate(data)
    assert len(np.unique(found, axis=0)) == len(found) == 6 * numbers + 6


def test_batches_go_on_where_the_last_one_ended():
    stream = Adding(batch_size=3).open()
    first = list(itertools.islice(stream.batches(7, 0), 4))
    assert np.concatenate([batch.numbers for batch in first]).tolist() == list(range(12))
    assert {int(batch.seed) for batch in first} == {7}
    assert next(stream.batches(7, 3)).numbers.tolist() == first[3].numbers.tolist()


def test_validation_and_test_have_every_number_once_and_their_own_shape():
    stream = Parity(valid_examples=7, test_examples=4, eval_batch_size=3).open()
    for split, number in (("valid", 7), ("test", 4)):
        batches = list(stream.evaluation(split))
        assert all(batch.evaluated and batch.mask.shape == (3,) for batch in batches)
        assert np.concatenate([batch.numbers[batch.mask] for batch in batches]).tolist() == list(range(number))
    assert not next(stream.batches(0, 0)).evaluated


@each
def test_another_problem_has_another_fingerprint(problem):
    same = dataclasses.replace(problem, batch_size=7, eval_batch_size=9)
    assert same.open().fingerprint == problem.open().fingerprint
    other = dataclasses.replace(problem, valid_examples=7)
    assert other.open().fingerprint != problem.open().fingerprint
    assert len({problem.open().fingerprint for problem in SMALL}) == len(SMALL)


def losses(problem, examples):
    """What the simple methods cost, in NumPy float64."""
    found = {}
    for method, given in problem.simple(Examples(*map(jnp.asarray, examples))).items():
        outputs = np.asarray(given, np.float64)
        if problem.classes is None:
            loss = (outputs[..., 0] - examples.targets) ** 2
        else:
            shares = np.exp(outputs) / np.exp(outputs).sum(axis=-1, keepdims=True)
            chosen = np.take_along_axis(shares, examples.targets[..., None], axis=-1)[..., 0]
            loss = -np.log(np.maximum(chosen, 1e-300))
        found[method] = loss[examples.counted].mean()
    return found


CHANCES = {
    "adding": 1 / 6,
    "copy_memory": 3 * math.log(4) / (7 + 6),
    "temporal_order": lambda problem: problem.symbols * math.log(2),
    "parity": math.log(2),
}


@pytest.mark.parametrize("problem", [problem for problem in SMALL if problem.chance], ids=name)
def test_what_theory_says_of_chance_is_what_is_measured(problem):
    expected = CHANCES[problem.name]
    assert problem.chance == pytest.approx(expected(problem) if callable(expected) else expected)
    (measured,) = losses(problem, drawn(problem)).values()
    assert measured == pytest.approx(problem.chance, rel=0.15 if problem.classes is None else 1e-5)


def test_persistence_beats_the_mean_a_little_ahead():
    found = losses(MackeyGlass(length=20, horizon=3), drawn(MackeyGlass(length=20, horizon=3)))
    assert found["persistence"] < 0.5 * found["constant"]


@pytest.mark.parametrize(("least", "most"), [("min_length", "max_length"), ("test_min_length", "test_max_length")])
def test_lengths_that_cannot_be(least, most):
    with pytest.raises(ValueError, match=f"{least} must be {most} at most"):
        Parity(**{least: 9, most: 8})
