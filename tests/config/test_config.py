from __future__ import annotations

import dataclasses
import functools
import operator
import re
import sys
import tomllib
import types
from pathlib import Path
from typing import Annotated, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field

from seqmodels.config import ConfigError, config, dumps, load, override, read, validate
from seqmodels.errors import UserError


@config
class Common:
    learning_rate: Annotated[float, Field(gt=0)] = 0.01
    clip_norm: Annotated[float | None, Field(gt=0)] = 1.0


@config
class Adam(Common):
    name: Literal["adam"] = "adam"
    betas: tuple[Annotated[float, Field(ge=0, lt=1)], float] = (0.9, 0.999)

    def __post_init__(self):
        if self.betas[0] > self.betas[1]:
            raise ValueError("betas must not decrease (got 0.9 before 0.5)")


@config
class Sgd(Common):
    name: Literal["sgd"] = "sgd"
    momentum: float = 0.0


Optimizer = Annotated[Adam | Sgd, Field(discriminator="name")]


@config
class Run:
    steps: Annotated[int, Field(ge=1)]
    name: str | None = None
    seed: int = 0
    live: bool = True


@config
class Task:
    name: Literal["small"] = "small"


@config
class Small:
    task: Task
    run: Run
    optimizer: Optimizer = Adam()
    mesh: dict[str, int] = dataclasses.field(default_factory=dict)
    layers: Annotated[tuple[Literal["lstm", "gru"], ...], Field(max_length=3)] = ()
    stages: tuple[Optimizer, ...] = ()
    width: Literal["auto"] | int = "auto"
    extra: Literal["off"] | Sgd = "off"
    path: Path | None = None


BASE = "task.name = 'small'\n[run]\nsteps = 3\n"
SCHEMAS = {"small": Small}


def load_text(tmp_path, text, *assignments):
    file = tmp_path / "a.toml"
    file.write_text(text, encoding="utf-8")
    return load(file, assignments, SCHEMAS)


def faults_of(tmp_path, text, *assignments):
    """The lines of the error, the file's folder taken off."""
    with pytest.raises(ConfigError) as caught:
        load_text(tmp_path, text, *assignments)
    return [line.replace(f"{tmp_path / 'a.toml'}", "a.toml") for line in caught.value.lines]


# --- config


def test_a_table_is_frozen_and_takes_keywords_only():
    run = Run(steps=3)
    with pytest.raises(dataclasses.FrozenInstanceError):
        run.steps = 4
    with pytest.raises(TypeError):
        Run(3)
    assert hash(run) == hash(Run(steps=3))
    assert issubclass(ConfigError, UserError)


def test_classes_made_at_run_time_can_be_chosen_by_name():
    members = [
        config(
            dataclasses.make_dataclass(
                f"{name.title()}Cell",
                [("name", Literal[name], name), ("hidden_size", Annotated[int, Field(ge=1)]), (f"only_{name}", int, 0)],
                frozen=True,
                kw_only=True,
            )
        )
        for name in ("lstm", "gru")
    ]
    cell = Annotated[functools.reduce(operator.or_, members), Field(discriminator="name")]
    holder = config(dataclasses.make_dataclass("Holder", [("cell", cell)], frozen=True, kw_only=True))
    made = validate(holder, {"cell": {"name": "gru", "hidden_size": 3}}, "a.toml")
    assert made.cell == members[1](hidden_size=3)
    with pytest.raises(ConfigError) as caught:
        validate(holder, {"cell": {"name": "gru", "hidden_size": 0, "only_lstm": 1}}, "a.toml")
    assert caught.value.lines == (
        "a.toml: cell.hidden_size: must be a whole number of at least 1 (got 0)",
        "a.toml: cell.only_lstm: unknown key where name is 'gru'; it belongs to 'lstm'"
        " (known: name, hidden_size, only_gru)",
    )


@pytest.mark.parametrize("options", [{}, {"frozen": True}, {"kw_only": True}])
def test_a_dataclass_of_another_kind_is_refused(options):
    with pytest.raises(TypeError, match="Loose is a dataclass already: make it with frozen=True and kw_only=True"):
        config(dataclasses.make_dataclass("Loose", [("steps", int)], **options))


def test_string_annotations_resolve_in_the_module_that_declares_them():
    module = types.ModuleType("declares_tables")
    source = (
        "from __future__ import annotations\n"
        "from seqmodels.config import config\n"
        "Whole = int\n"
        "@config\nclass Inner:\n    size: Whole = 1\n"
        "@config\nclass Outer:\n    inner: Inner\n"
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "declares_tables", module)
        exec(source, module.__dict__)
        child = config(types.new_class("Child", (module.Outer,)))
        assert validate(child, {"inner": {"size": 2}}, "a.toml").inner.size == 2
        with pytest.raises(ConfigError, match=r"inner.sise: unknown key; did you mean 'size'\? \(known: size\)"):
            validate(child, {"inner": {"sise": 2}}, "a.toml")


# --- read


def test_a_file_is_read_with_and_without_a_mark_and_carriage_returns(tmp_path):
    (tmp_path / "a.toml").write_bytes(b"\xef\xbb\xbfa = 1\r\nb = '\xc3\xbc'\r\n")
    assert read(tmp_path / "a.toml") == {"a": 1, "b": "ü"}


def test_a_missing_file_proposes_its_neighbours(tmp_path):
    for name in ("char_lm.toml", "word_lm.toml", "notes.txt"):
        (tmp_path / name).touch()
    for wrong in ("chr_lm.toml", "char_lm"):
        with pytest.raises(ConfigError) as caught:
            read(tmp_path / wrong)
        assert caught.value.lines == (
            f"{tmp_path / wrong}: no such file; did you mean '{tmp_path / 'char_lm.toml'}'?"
            f" (in {tmp_path}: char_lm.toml, word_lm.toml)",
        )
    with pytest.raises(ConfigError, match=r"no such file \(there is no folder .*nowhere either\)"):
        read(tmp_path / "nowhere" / "a.toml")


def test_many_neighbours_are_not_listed(tmp_path):
    for number in range(13):
        (tmp_path / f"{number}.toml").touch()
    with pytest.raises(ConfigError, match=r"other: no such file$"):
        read(tmp_path / "other")


def test_a_folder_is_not_a_file(tmp_path):
    (tmp_path / "a.toml").touch()
    with pytest.raises(ConfigError, match=re.escape(f"{tmp_path}: is a folder, not a TOML file (in {tmp_path}: a.to")):
        read(tmp_path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"a = 1\nb = \xff\n", r"a\.toml: not UTF-8 text \(byte 0xff at position 10\); save it as UTF-8$"),
        (b"a = 1\nb 2\n", r"a\.toml:2: not valid TOML at column 3: Expected '='"),
        (b"a = 1\na = 2\n", r"a\.toml:2: not valid TOML at column \d+: Cannot overwrite"),
        (b"a = '''", r"a\.toml: not valid TOML: .*end of document"),
        (b"a = " + b"[" * 100_000, r"a\.toml: not valid TOML: "),
    ],
)
def test_text_that_is_not_toml_is_refused_with_its_place(tmp_path, content, message):
    (tmp_path / "a.toml").write_bytes(content)
    with pytest.raises(ConfigError, match=message) as caught:
        read(tmp_path / "a.toml")
    assert len(caught.value.lines) == 1


# --- override


def test_assignments_are_merged():
    table = {"run": {"steps": 1, "seed": 2}, "mesh": {"data": 1, "model": 1}}
    made = override(table, ["run.steps=3", "run.name = a b", "mesh={data=-1}", "data.path=my.txt", "run.steps=3"])
    assert made == {
        "run": {"steps": 3, "seed": 2, "name": "a b"},
        "mesh": {"data": -1},
        "data": {"path": "my.txt"},
    }
    assert table == {"run": {"steps": 1, "seed": 2}, "mesh": {"data": 1, "model": 1}}


def test_every_wrong_assignment_is_told():
    with pytest.raises(ConfigError) as caught:
        override(
            {"run": {"steps": 1}},
            ["steps", "=3", "run..x=1", "run.steps.x=1", "a=1", "a=1.0", "b.c=1", "b={}", "d.e=\udcff"],
        )
    write = "write key.path=value, such as run.steps=100"
    assert caught.value.lines == (
        f"command line (steps): no '=' in it; {write}",
        f"command line (=3): the key is empty or has an empty part; {write}",
        f"command line (run..x=1): the key is empty or has an empty part; {write}",
        "command line (run.steps.x=1): run.steps is not a table, it is the whole number 1",
        "command line (a=1.0): contradicts a=1; give one of them",
        "command line (b={}): contradicts b.c=1; give one of them",
        r"command line (d.e=\udcff): is not UTF-8 text",
    )


# --- validate and load


def test_values_become_the_declared_types(tmp_path):
    text = BASE + (
        "[optimizer]\nname = 'sgd'\nlearning_rate = 1\nclip_norm = 'none'\n[mesh]\ndata = -1\n"
        "[[stages]]\nname = 'adam'\nbetas = [0, 1]\n"
    )
    made = load_text(tmp_path, text, "layers=['lstm','gru']", "width=3", "extra={momentum=0.5}", "path=x/y")
    assert made == Small(
        task=Task(),
        run=Run(steps=3),
        optimizer=Sgd(learning_rate=1.0, clip_norm=None),
        mesh={"data": -1},
        layers=("lstm", "gru"),
        stages=(Adam(betas=(0.0, 1.0)),),
        width=3,
        extra=Sgd(momentum=0.5),
        path=Path("x/y"),
    )
    assert type(made.optimizer.learning_rate) is float


def test_defaults_are_those_of_the_class(tmp_path):
    assert load_text(tmp_path, BASE) == Small(task=Task(), run=Run(steps=3))


KNOWN = "(known: task, run, optimizer, mesh, layers, stages, width, extra, path)"
WRONG = [
    ("[optimizer]\nname='adam'\nlearning_rat=1", "a.toml:6: optimizer.learning_rat: unknown key; did you mean"
     " 'learning_rate'? (known: learning_rate, clip_norm, name, betas)"),
    ("[optimizer]\nname='adam'\nmomentum=1", "a.toml:6: optimizer.momentum: unknown key where name is 'adam'; it"
     " belongs to 'sgd' (known: learning_rate, clip_norm, name, betas)"),
    ("[optimizr]", f"a.toml:4: optimizr: unknown key; did you mean 'optimizer'? {KNOWN}"),
    ("[x]\n", f"a.toml:4: x: unknown key {KNOWN}"),
    ("live=1", "a.toml:4: run.live: must be true or false (got the whole number 1)"),
    ("betas=[1]", "a.toml:4: run.betas: unknown key; did you mean 'optimizer.betas'? (known: steps, name, seed, live)"),
    ("seed=true", "a.toml:4: run.seed: must be a whole number (got true)"),
    ("seed=2.0", "a.toml:4: run.seed: must be a whole number (got the number 2.0)"),
    ("seed='3'", "a.toml:4: run.seed: must be a whole number (got the string '3')"),
    ("name=3", 'a.toml:4: run.name: must be a string (got the whole number 3); to mean the string, put quotes'
     ' around it: "3"'),
    ("[optimizer]\nlearning_rate=1", "a.toml: optimizer.name: is required (one of 'adam', 'sgd')"),
    ("[optimizer]\nname='adamm'", "a.toml:5: optimizer.name: must be one of 'adam', 'sgd' (got 'adamm'); did you mean"
     " 'adam'?"),
    ("[optimizer]\nname=['sgd']", "a.toml:5: optimizer.name: must be one of 'adam', 'sgd' (got the array [\"sgd\"])"),
    ("[optimizer]\nname='sgd'\nlearning_rate=0", "a.toml:6: optimizer.learning_rate: must be a number above 0"
     " (got 0)"),
    ("[optimizer]\nname='sgd'\nlearning_rate=true", "a.toml:6: optimizer.learning_rate: must be a number above 0"
     " (got true)"),
    ("[optimizer]\nname='sgd'\nlearning_rate=inf", "a.toml:6: optimizer.learning_rate: must be a finite number"
     " (got inf)"),
    ("[optimizer]\nname='sgd'\nmomentum=nan", "a.toml:6: optimizer.momentum: must be a finite number (got nan)"),
    ("[optimizer]\nname='sgd'\nclip_norm='off'", "a.toml:6: optimizer.clip_norm: must be a number above 0 or 'none'"
     " (got the string 'off')"),
    ("[optimizer]\nname='sgd'\nmomentum='none'", "a.toml:6: optimizer.momentum: must be a number"
     " (got the string 'none')"),
    ("[optimizer]\nname='adam'\nbetas=[0.9, 0.5]", "a.toml:4: optimizer: betas must not decrease (got 0.9 before 0.5)"),
    ("[optimizer]\nname='adam'\nbetas=[0.9]", "a.toml:6: optimizer.betas: must be an array of 2 (a number of at least 0"
     " and below 1, a number) (got the array [0.9])"),
    ("[optimizer]\nname='adam'\nbetas=[2, 3]", "a.toml:6: optimizer.betas[0]: must be a number of at least 0 and below"
     " 1 (got 2)"),
    ("[mesh]\ndata='x'", "a.toml:5: mesh.data: must be a whole number (got the string 'x')"),
    ("[[stages]]\nname='sgd'\n[[stages]]\nname='sgd'\nmomentum='x'", "a.toml:8: stages[1].momentum: must be a number"
     " (got the string 'x')"),
    ("[[stages]]\nname='sgd'\n[[stages]]\nname='foo'", "a.toml:7: stages[1].name: must be one of 'adam', 'sgd'"
     " (got 'foo')"),
    ("[extra]\nmomentum='x'", "a.toml:5: extra.momentum: must be a number (got the string 'x')"),
]  # fmt: skip  # a case reads best as its text and its line


@pytest.mark.parametrize(("text", "line"), WRONG)
def test_a_wrong_key_is_told_in_one_line(tmp_path, text, line):
    assert faults_of(tmp_path, BASE + text) == [line]


WRONG_ASSIGNMENTS = [
    ("run.steps=0", "run.steps: must be a whole number of at least 1 (got 0)"),
    ("optimizer=3", "optimizer: must be a table (got the whole number 3)"),
    ("layers=lstm", "layers: must be an array (each item: one of 'lstm', 'gru') with at most 3 items"
     " (got the string 'lstm')"),
    ("layers=['gru', 'lstmm']", "layers[1]: must be one of 'lstm', 'gru' (got 'lstmm'); did you mean 'lstm'?"),
    ("layers=['gru','gru','gru','gru']", "layers: must be an array (each item: one of 'lstm', 'gru') with at most 3"
     ' items (got the array ["gru", "gru", "gru", "gru"])'),
    ("width=aut", "width: must be 'auto' or a whole number (got 'aut'); did you mean 'auto'?"),
    ("width=1.5", "width: must be 'auto' or a whole number (got the number 1.5)"),
    ("extra=3", "extra: must be 'off' or a table (got the whole number 3)"),
    ("task.name=smal", "task.name: must be 'small' (got 'smal'); did you mean 'small'?"),
    ("task=small", "task: must be a table with a name (got the string 'small')"),
    ("optimzer.name=sgd", f"optimzer: unknown key; did you mean 'optimizer'? {KNOWN}"),
]  # fmt: skip  # a case reads best as its text and its line


@pytest.mark.parametrize(("assignment", "line"), WRONG_ASSIGNMENTS)
def test_a_wrong_assignment_is_told_as_the_command_lines(tmp_path, assignment, line):
    text = BASE.replace("task.name = 'small'\n", "") if assignment == "task=small" else BASE
    assert faults_of(tmp_path, text, assignment) == [f"command line ({assignment}): {line}"]


def test_another_name_on_the_command_line_keeps_the_keys_of_the_file(tmp_path):
    text = BASE + "[optimizer]\nname = 'adam'\nbetas = [0.9, 0.99]\n"
    assert faults_of(tmp_path, text, "optimizer.name=sgd") == [
        "a.toml:6: optimizer.betas: unknown key where name is 'sgd'; it belongs to 'adam'"
        " (known: learning_rate, clip_norm, name, momentum)"
    ]
    assert load_text(tmp_path, text, "optimizer={name='sgd'}").optimizer == Sgd()


def test_all_faults_are_told_at_once(tmp_path):
    text = "task.name = 'small'\n[run]\nsed = 3\nlive = 'no'\n[optimizer]\nname = 'sgd'\nmomentum = 'x'\n"
    assert faults_of(tmp_path, text, "width=x") == [
        "a.toml: run.steps: is required (a whole number of at least 1)",
        "a.toml:4: run.live: must be true or false (got the string 'no')",
        "a.toml:3: run.sed: unknown key; did you mean 'seed'? (known: steps, name, seed, live)",
        "a.toml:7: optimizer.momentum: must be a number (got the string 'x')",
        "command line (width=x): width: must be 'auto' or a whole number (got 'x')",
    ]


def test_long_lists_of_keys_are_left_out_and_long_values_are_not_shortened():
    wide = config(dataclasses.make_dataclass("Wide", [(f"k{n}", int, 0) for n in range(13)], frozen=True, kw_only=True))
    with pytest.raises(ConfigError) as caught:
        validate(wide, {"other": 1, "k1": "x" * 1000 + "\n"}, "a.toml")
    assert caught.value.lines == (
        f"a.toml: k1: must be a whole number (got the string '{'x' * 1000}\\n')",
        "a.toml: other: unknown key",
    )


@pytest.mark.parametrize("text", ["", "[task]", "[run]\nsteps = 3"])
def test_the_task_has_no_default(tmp_path, text):
    assert faults_of(tmp_path, text) == ["a.toml: task.name: is required ('small')"]


def test_faults_that_have_no_words_of_ours_keep_pydantics(tmp_path):
    coded = config(
        dataclasses.make_dataclass(
            "Coded", [("code", Annotated[str, Field(pattern="^[a-z]+$")])], frozen=True, kw_only=True
        )
    )
    with pytest.raises(ConfigError, match=r"^a.toml: code: String should match pattern '\^\[a-z\]\+\$' \(got 'A'\)$"):
        validate(coded, {"code": "A"}, "a.toml")


# --- dumps

NUMBERS = st.floats(allow_nan=False, allow_infinity=False)
COMMON = {"learning_rate": st.floats(0, exclude_min=True, allow_infinity=False)}
COMMON["clip_norm"] = st.none() | COMMON["learning_rate"]
OPTIMIZERS = st.builds(Adam, **COMMON) | st.builds(Sgd, momentum=NUMBERS, **COMMON)
CONFIGS = st.builds(
    Small,
    task=st.just(Task()),
    run=st.builds(Run, steps=st.integers(1), name=st.none() | st.text(), seed=st.integers(), live=st.booleans()),
    optimizer=OPTIMIZERS,
    mesh=st.dictionaries(st.text(), st.integers(), max_size=3),
    layers=st.lists(st.sampled_from(["lstm", "gru"]), max_size=3).map(tuple),
    stages=st.lists(OPTIMIZERS, max_size=2).map(tuple),
    width=st.just("auto") | st.integers(),
    extra=st.just("off") | st.builds(Sgd, momentum=NUMBERS, **COMMON),
    path=st.none() | st.sampled_from([Path("a b"), Path('say "x"')]),
)


@given(CONFIGS)
def test_what_is_dumped_is_validated_to_an_equal_object(made):
    assert validate(Small, tomllib.loads(dumps(made)), "a.toml") == made


def test_what_is_dumped_is_loaded_from_a_file(tmp_path):
    made = Small(task=Task(), run=Run(steps=1, name="ü\n\x7f\\"), optimizer=Sgd(clip_norm=None), stages=(Adam(), Sgd()))
    text = dumps(made)
    assert "None" not in text
    assert load_text(tmp_path, text) == made


def test_none_is_left_out_where_it_is_the_default():
    assert dumps(Run(steps=1)) == "steps = 1\nseed = 0\nlive = true\n"


def test_none_that_toml_cannot_say_is_refused():
    odd = config(dataclasses.make_dataclass("Odd", [("name", str | None, "a")], frozen=True, kw_only=True))
    with pytest.raises(ValueError, match="name is None, and TOML cannot say so"):
        dumps(odd(name=None))
