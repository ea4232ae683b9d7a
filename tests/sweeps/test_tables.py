"""The file of a sweep: what it says, and how a wrong one is told."""

import pytest
from small import write

from seqmodels.config import ConfigError
from seqmodels.sweeps.ranges import Range
from seqmodels.sweeps.space import assignments, check, load_config
from seqmodels.sweeps.tables import keys_text, load

SWEEP = """
[sweep]
config = "small.toml"
[set.run]
steps = 3
[set.data]
path = "{data}"
[space]
optimizer.learning_rate = {{low = 0.01, high = 0.1, log = true}}
model.cell.hidden_size = {{low = 4, high = 8, step = 2}}
"""


def made(folder, text=SWEEP, *changes):
    """The sweep of a file in a folder, beside the config that it names."""
    write(folder)
    (folder / "sweep.toml").write_text(text.format(data=folder / "text.txt"))
    return load(folder / "sweep.toml", changes)


def lines(folder, text, *changes):
    with pytest.raises(ConfigError) as caught:
        check(made(folder, text, *changes))
    return [line.replace(str(folder), "") for line in caught.value.lines]


def test_a_file_says_what_is_drawn_and_what_is_not(tmp_path):
    sweep = made(tmp_path, SWEEP, "sweep.trials=7", "set.run.seed=5", "space.model.cell.hidden_size.high=10")
    check(sweep)
    assert sweep.name == "sweep"
    assert sweep.folder.parts == ("sweeps", "sweep")
    assert sweep.trials == 7
    assert made(tmp_path).trials == 20
    rate = "space.optimizer.learning_rate={low=0.1, high=1.0, step=0.1}"
    assert made(tmp_path, SWEEP, "sweep.sampler=grid", rate).trials == 30
    assert sweep.fixed == ("run.steps=3", "run.seed=5", f"data.path={tmp_path / 'text.txt'}")
    assert sweep.space == {
        "optimizer.learning_rate": Range(low=0.01, high=0.1, log=True),
        "model.cell.hidden_size": Range(low=4, high=10, step=2),
    }
    config = load_config(sweep, {"optimizer.learning_rate": 0.05, "model.cell.hidden_size": 6})
    assert (config.run.steps, config.optimizer.learning_rate, config.model.cell.hidden_size) == (3, 0.05, 6)


def test_the_text_of_a_sweep_is_the_same_sweep_without_its_storage(tmp_path):
    sweep = made(tmp_path, SWEEP, "sweep.storage=postgresql://name:password@host/base")
    assert "password" not in sweep.text
    (tmp_path / "again.toml").write_text(sweep.text)
    again = load(tmp_path / "again.toml", [])
    assert (again.fixed, again.space, again.text) == (sweep.fixed, sweep.space, sweep.text)


def test_strings_are_what_stands_on_the_command_line(tmp_path):
    sweep = made(tmp_path, SWEEP, "set.run.name='7'")
    assert 'run.name="7"' in sweep.fixed
    params = {"optimizer": "{name='sgd', learning_rate=1.0}", "model.cell.name": "gru", "run.seed": 1}
    assert assignments(params)[1:] == ["model.cell.name=gru", "run.seed=1"]
    config = load_config(sweep, params)
    assert (config.optimizer.name, config.optimizer.learning_rate, config.run.name) == ("sgd", 1.0, "7")


@pytest.mark.parametrize(
    ("range_", "values"),
    [
        (Range(low=0.1, high=0.3, step=0.1), [0.1, 0.2, 0.3]),
        (Range(low=1, high=3), [1, 2, 3]),
        (Range(low=1, high=6, step=2), [1, 3, 5]),
        (Range(choices=(True, "a", 0.5)), [True, "a", 0.5]),
    ],
)
def test_the_values_of_a_range(range_, values):
    assert list(range_.values) == pytest.approx(values) if range_.choices is None else values
    assert [type(value) for value in range_.values] == [type(value) for value in values]


def test_whole_numbers_are_drawn_only_if_all_are():
    assert Range(low=1, high=3).whole
    assert not Range(low=1.0, high=3).whole
    assert not Range(low=1, high=3, step=0.5).whole


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ("high = 0.1", "hihg = 0.1", "sweep.toml:9: space.optimizer.learning_rate.hihg: unknown key; did you mean 'hi"),
        ("high = 0.1, ", "", "sweep.toml:9: space.optimizer.learning_rate: must have low and high, or choices"),
        ("high = 0.1", "high = 0.001", "learning_rate: low must be below high (got 0.01 and 0.001)"),
        ("high = 0.1", "high = '1'", "learning_rate.high: must be a whole number or a number or 'none' (got the str"),
        ("low = 0.01", "low = 0.0", "learning_rate: with log, low must be above 0 (got 0.0)"),
        ("log = true", "log = true, step = 0.1", "learning_rate: log and step exclude each other"),
        ("log = true", "choices = [1.0]", "learning_rate: choices stand alone"),
        (
            "step = 2",
            "step = 0",
            "hidden_size.step: must be a whole number above 0 or a number above 0 or 'none' (got 0)",
        ),
        ("optimizer.learning_rate", '"optimizer.learning_rate"', "no key of a config; write table.key = {...} without"),
        ("[set.run]", "trials = 0\n[set.run]", "sweep.toml:4: sweep.trials: must be a whole number of at least 1"),
        ("[set.run]", "objective = 'test/loss_nats'\n[set.run]", "sweep: objective must be one of validation"),
        ("[set.run]", "sampler = 'grid'\n[set.run]", "sweep.toml:10: space.optimizer.learning_rate: for a grid give c"),
        ('config = "small.toml"', "", "sweep.toml: sweep.config: is required"),
        ('"small.toml"', '"smal.toml"', "/smal.toml: no such file; did you mean '/small.toml'"),
        ("learning_rate", "learning_rat", "sweep.toml (optimizer.learning_rat=0.01): optimizer.learning_rat: unknown"),
        ("low = 4", "low = 0", "sweep.toml (model.cell.hidden_size=0): model.cell.hidden_size: must be a whole number"),
        ("steps = 3", "stesp = 3", "sweep.toml (run.stesp=3): run.stesp: unknown key; did you mean 'steps'?"),
    ],
)
def test_a_wrong_file_is_told_by_file_key_value_and_remedy(old, new, fault, tmp_path):
    assert old in SWEEP
    found = lines(tmp_path, SWEEP.replace(old, new))
    assert any(fault in line for line in found), found


def test_a_space_must_have_keys(tmp_path):
    nothing = SWEEP.partition("[space]")[0]
    assert "space: is required" in lines(tmp_path, nothing)[0]
    assert "space: has no key" in lines(tmp_path, nothing + "[space]\n")[0]
    assert "space: must be a table" in lines(tmp_path, nothing.replace("[sweep]", "space = 3\n[sweep]"))[0]


def test_what_is_right_with_some_other_values_is_no_fault(tmp_path):
    space = {"model.cell.hidden_size": Range(choices=(4, 6)), "model.cell.heads": Range(choices=(2, 3))}
    sweep = made(tmp_path, SWEEP, "set.model.cell.name=slstm")._replace(space=space)
    check(sweep)
    with pytest.raises(ConfigError, match=r"heads must divide hidden_size \(got 5 and 4\)"):
        check(sweep._replace(space={**space, "model.cell.heads": Range(choices=(2, 5, 3))}))


def test_every_key_of_a_file_is_listed():
    text = keys_text()
    for key in ("sweep.config", "sweep.trials", "sweep.pruner", "set", "space.KEY.low", "space.KEY.choices"):
        assert key in text
    assert "of type" not in text
