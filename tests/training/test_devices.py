"""Where batches lie: one device, or rows shared among several."""

import json

import jax
import numpy as np
import pytest
from small import PLAIN, python, rows, write

from seqmodels.cli import main
from seqmodels.errors import UserError
from seqmodels.training.devices import Placement, make_mesh
from seqmodels.training.tables import Mesh

FLAGS = "--xla_force_host_platform_device_count=2"
TRAIN = """
import json, sys
import jax
from seqmodels.commands import training
from seqmodels.cli import main
from seqmodels.training.loop import Loop

loops = []
training.Loop = lambda *arguments: loops.append(Loop(*arguments)) or loops[-1]
code = main(sys.argv[1:])
print(json.dumps([code, jax.device_count(), [loop.update._cache_size() for loop in loops]]), file=sys.stderr)
"""


def test_one_device_has_whole_batches():
    mesh = make_mesh(Mesh(data=1))
    assert dict(mesh.shape) == {"data": 1, "model": 1}
    batch = {"x": np.arange(12.0).reshape(4, 3), "fresh": np.bool_(True)}
    placed = Placement(mesh, batch_axis=0).put_batch(batch)
    np.testing.assert_array_equal(placed["x"], batch["x"])
    assert bool(placed["fresh"])
    assert {len(leaf.devices()) for leaf in placed.values()} == {1}


def test_all_devices_are_those_there_are():
    assert make_mesh(Mesh()).size == jax.device_count()


def test_more_devices_than_there_are():
    with pytest.raises(UserError, match=r"devices.mesh.data: 1000 devices asked for, \d+ available"):
        make_mesh(Mesh(data=1000))


def test_no_devices():
    with pytest.raises(ValueError, match="data must be -1"):
        Mesh(data=0)


def on_two_devices(*arguments):
    """Trains in a process that sees two devices; returns how often the step was compiled."""
    done = python("-c", TRAIN, "train", *arguments, XLA_FLAGS=FLAGS)
    assert done.stderr.strip(), done.stdout
    code, devices, compiled = json.loads(done.stderr.strip().splitlines()[-1])
    assert (code, devices) == (0, 2), done.stderr
    return compiled


def losses(run):
    return [row["train/loss_nats"] for row in rows(run)]


def test_two_devices_learn_what_one_does_and_go_on_after_a_stop(tmp_path):
    settings = ["run.steps=4", "run.log_every=1", "run.checkpoint_every=2", "training.accumulate=2"]
    arguments = [*write(tmp_path, PLAIN), *settings]
    assert main(["train", *arguments, "run.name=one"]) == 0
    alone = losses(tmp_path / "runs" / "one")
    assert len(alone) == 4
    compiled = [on_two_devices(*arguments, "run.name=two")]
    run = tmp_path / "runs" / "two"
    together = losses(run)
    np.testing.assert_allclose(together, alone, rtol=1e-5)
    # As if it had been killed before its last checkpoint:
    (run / "result.json").unlink()
    (run / "checkpoints" / "000000004").rename(tmp_path / "elsewhere")
    compiled.append(on_two_devices(*arguments, "run.name=two", "--resume"))
    assert losses(run) == together
    assert compiled == [[1], [1]], "the step is compiled once in each process"


def test_rows_that_two_devices_cannot_share(tmp_path):
    done = python(
        "-c",
        "import sys; from seqmodels.cli import main; sys.exit(main(sys.argv[1:]))",
        "train",
        *write(tmp_path, PLAIN),
        "data.batch_size=3",
        XLA_FLAGS=FLAGS,
    )
    assert done.returncode == 2
    assert done.stderr == "data.batch_size: 3 rows cannot be shared evenly by 2 devices\n"
    assert not (tmp_path / "runs").exists()
