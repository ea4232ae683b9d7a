"""Steps compiled for many devices that are not there: how they would share them, and what they would exchange."""

import importlib.util
import json

import pytest
from small import python, write

from seqmodels.benchmarks.absent_devices import tpu_devices
from seqmodels.benchmarks.exchanges import Exchange
from seqmodels.errors import UserError

PLAN = """
import json, sys
import jax
jax.config.update("jax_num_cpu_devices", 8)
from seqmodels.benchmarks.plan import describe, make_plan
from seqmodels.config import load
from seqmodels.tasks import TASKS

def plan(change):
    config = load(sys.argv[1], [*sys.argv[2:], change], {name: task.schema for name, task in TASKS.items()})
    made = make_plan(TASKS[config.task.name](config), config)
    return {**made._asdict(), "words": describe(made)}

changes = ["run.seed=0", "training.compute_dtype=bfloat16", "devices.mesh={data=2, model=4}", "training.accumulate=3"]
print(json.dumps([plan(change) for change in changes]))
"""
SETTINGS = (
    "data.batch_size=16",
    "data.window=32",
    "model.embedding_size=512",
    'model.cell={name="lstm", hidden_size=512, layers=2}',
)


@pytest.fixture(scope="module")
def plans(tmp_path_factory):
    """Of a language model on 8 devices: sharing rows, in bfloat16, sharing rows and model, rows of three batches."""
    done = python("-c", PLAN, *write(tmp_path_factory.mktemp("plan")), *SETTINGS)
    assert done.returncode == 0, done.stderr
    made = json.loads(done.stdout)
    return [{**plan, "exchanges": [Exchange(*exchange) for exchange in plan["exchanges"]]} for plan in made]


@pytest.mark.parametrize("number", [0, 1], ids=["float32", "bfloat16"])
def test_devices_that_share_rows_exchange_gradients_alone(plans, number):
    plan = plans[number]
    assert plan["mesh"] == {"data": 8, "model": 1}
    assert {exchange.kind for exchange in plan["exchanges"]} == {"all-reduce"}
    assert not any(exchange.loops for exchange in plan["exchanges"])
    moved = sum(exchange.size for exchange in plan["exchanges"])
    assert 4 * plan["parameters"] <= moved <= 4.1 * plan["parameters"]


def test_devices_that_share_a_model_hold_a_part_of_it_and_exchange_h(plans):
    plan = plans[2]
    assert plan["mesh"] == {"data": 2, "model": 4}
    assert plan["state"] < 0.27 * plans[0]["state"]
    of_h = 8 * 512 * 4
    loops = [exchange for exchange in plan["exchanges"] if exchange.loops]
    assert {(exchange.kind, exchange.devices, exchange.size, exchange.times) for exchange in loops} == {
        ("all-gather", 4, of_h, 32),
        ("all-reduce", 4, of_h, 32),
    }
    assert len(loops) == 4, "two layers, forwards and backwards"
    activations = 32 * of_h
    assert max(exchange.size for exchange in plan["exchanges"] if not exchange.loops) <= max(
        activations, 4 * plan["parameters"] // 4
    ), "nothing is put together that is larger than what a device's rows need"


def test_the_words(plans):
    head, state, temporary, title, *rows = plans[2]["words"]
    assert head == f"{plans[2]['parameters']:,} parameters on 2 data x 4 model devices; on each of them"
    assert (state.split()[0], temporary.split()[0], title) == ("state", "temporary", "exchanges of one step:")
    assert any(row.startswith("| all-gather | 4 | at each step in time | 64 |") for row in rows[2:])


def test_a_step_of_several_batches_exchanges_the_gradients_of_each(plans):
    plan = plans[3]
    large = [exchange for exchange in plan["exchanges"] if exchange.size >= 4 * plan["parameters"]]
    assert [(exchange.kind, exchange.times, exchange.loops) for exchange in large] == [("all-reduce", 3, 1)]
    assert any(row.startswith("| all-reduce | 8 | for each batch | 3 |") for row in plan["words"])
    assert plan["temporary"] < 1.1 * plans[0]["temporary"], "one batch after the other"


@pytest.mark.skipif(importlib.util.find_spec("libtpu") is not None, reason="the compiler for TPUs is installed")
def test_without_their_compiler_no_plan_is_made_for_tpus():
    with pytest.raises(UserError, match=r"--topology: the compiler for TPUs is not installed; pip install libtpu"):
        tpu_devices("v5e:2x2")


@pytest.mark.skipif(
    importlib.util.find_spec("libtpu") is None, reason="the compiler for TPUs, libtpu, is not installed"
)
def test_a_plan_for_tpus(tmp_path):
    command = ["-m", "seqmodels.cli", "plan", *write(tmp_path), "data.batch_size=16", "--topology"]
    done = python(*command, "v5e:2x4")
    assert done.returncode == 0, done.stderr
    head, state, temporary = done.stdout.splitlines()
    assert head.endswith(" parameters on 8 data x 1 model devices; on each of them")
    assert (state.split()[0], temporary.split()[-4:]) == ("state", ["a", "TPU", "v5", "lite)"])
    done = python(*command, "v5e:7x1")
    assert (done.returncode, done.stdout) == (2, "")
    assert "'v5e:7x1' is no slice of TPUs such as v5e:2x4" in done.stderr
