"""The table `[model.cell]`: every cell by its name, its regularisers in the right order, faults with their keys."""

import dataclasses

import pytest
from small import config

import seqmodels as sm
from seqmodels.cells import CELLS
from seqmodels.config import ConfigError
from seqmodels.models.tables import TABLES


def cell_of(folder, *assignments):
    """The cell that a config with these keys builds."""
    return config(folder, *assignments).model.cell.build()


@pytest.mark.parametrize("name", CELLS)
def test_every_cell_has_a_table_with_its_defaults(name, tmp_path):
    assert cell_of(tmp_path, f"model.cell.name={name}") == sm.Stack((CELLS[name](hidden_size=8),))


def test_there_are_no_other_tables():
    assert [table.name for table in TABLES] == list(CELLS)


@pytest.mark.parametrize("name", CELLS)
def test_every_hyperparameter_is_a_key(name, tmp_path):
    values = {"hidden_size": 5, "activation": "relu", "forget_bias": 2.5, "chrono": 20, "peepholes": True}
    values |= {"coupled": True, "heads": 5, "forget_gate": "exp", "epsilon": 1e-3, "projection_size": 3}
    values |= {"longest_lag": 20, "features": 3, "min_radius": 0.25, "max_radius": 0.75, "max_phase": 0.5}
    own = {field.name: values[field.name] for field in dataclasses.fields(CELLS[name])}
    written = [f"model.cell.{key}={str(value).lower()}" for key, value in own.items()]
    assert cell_of(tmp_path, f"model.cell.name={name}", *written).cells == (CELLS[name](**own),)


def test_layers_are_stacked(tmp_path):
    cell = cell_of(tmp_path, "model.cell.layers=3", "model.cell.dropout=0.3", "model.cell.variational=true")
    assert cell == sm.Stack((sm.RNN(8),) * 3, dropout=0.3, variational=True)


def test_the_top_layer_may_have_another_size(tmp_path):
    cell = cell_of(tmp_path, "model.cell.layers=3", "model.cell.top_size=5")
    assert cell == sm.Stack((sm.RNN(8), sm.RNN(8), sm.RNN(5)))
    assert cell_of(tmp_path, "model.cell.top_size=5") == sm.Stack((sm.RNN(5),))


@pytest.mark.parametrize(
    ("assignment", "made"),
    [
        ("weight_drop=0.2", sm.WeightDrop(sm.RNN(8), 0.2)),
        ("recurrent_dropout=0.2", sm.VariationalDropout(sm.RNN(8), rate=0.0, recurrent_rate=0.2)),
        ("zoneout=0.2", sm.Zoneout(sm.RNN(8), 0.2)),
        ("learned_state=true", sm.LearnedState(sm.RNN(8))),
    ],
)
def test_one_regulariser(assignment, made, tmp_path):
    assert cell_of(tmp_path, f"model.cell.{assignment}", "model.cell.layers=2") == sm.Stack((made, made))


def test_a_residual_connection_stands_above_the_first_layer(tmp_path):
    cell = cell_of(tmp_path, "model.cell.layers=3", "model.cell.residual=true")
    assert cell == sm.Stack((sm.RNN(8), sm.Residual(sm.RNN(8)), sm.Residual(sm.RNN(8))))


def test_all_regularisers_are_nested_in_their_order(tmp_path):
    keys = ("weight_drop=0.1", "recurrent_dropout=0.2", "zoneout=0.3", "residual=true", "learned_state=true")
    cell = cell_of(tmp_path, "model.cell.layers=2", *(f"model.cell.{key}" for key in keys))
    inner = sm.WeightDrop(sm.RNN(8), 0.1)
    inner = sm.Zoneout(sm.VariationalDropout(inner, rate=0.0, recurrent_rate=0.2), 0.3)
    assert cell == sm.Stack((sm.LearnedState(inner), sm.LearnedState(sm.Residual(inner))))


@pytest.mark.parametrize(
    ("assignments", "key", "fault"),
    [
        (["model.cell.name=lstm", "model.cell.chrono=2"], "model.cell", "at least 3 (got 2)"),
        (["model.cell.zoneout=1.0"], "model.cell.zoneout", "(got 1.0)"),
        (["model.cell.weight_drop=-0.1"], "model.cell.weight_drop", "(got -0.1)"),
        (["model.cell.dropout=1"], "model.cell.dropout", "(got 1)"),
        (["model.cell.hidden_size=0"], "model.cell.hidden_size", "(got 0)"),
        (["model.cell.layers=0"], "model.cell.layers", "(got 0)"),
        (["model.cell.name=lstmm"], "model.cell.name", "did you mean 'lstm'?"),
        (["model.cell.activation=sine"], "model.cell.activation", "'tanh'"),
        (["model.cell.peepholes=true"], "model.cell.peepholes", "unknown key"),
        (["model.cell.hidden_sise=3"], "model.cell.hidden_sise", "did you mean 'hidden_size'?"),
        (["model.tied=true", "model.embedding_size=5"], "model", "(got 5 and 8)"),
        (["model.input_dropout=1.0"], "model.input_dropout", "(got 1.0)"),
        (["model.embedding_size=0"], "model.embedding_size", "(got 0)"),
        (["model.init_range=0.0"], "model.init_range", "(got 0.0)"),
        (["model.method=warp"], "model.method", "must be one of 'auto', 'scan'"),
    ],
)
def test_a_wrong_combination_ends_in_one_line_with_its_key(assignments, key, fault, tmp_path):
    with pytest.raises(ConfigError) as caught:
        config(tmp_path, *assignments)
    (line,) = caught.value.lines
    assert f"{key}: " in line
    assert fault in line


def test_a_residual_connection_between_equal_layers_is_always_possible(tmp_path):
    config(tmp_path, "model.cell.residual=true", "model.cell.layers=2", "model.embedding_size=3")
