"""What a run leaves as it goes, without a run."""

import os
from types import SimpleNamespace

import jax.numpy as jnp
import numpy as np

from seqmodels.training import record
from seqmodels.training.record import Record
from seqmodels.training.run_folder import RunFolder
from seqmodels.training.tables import Run


def make(folder, **settings):
    return Record(SimpleNamespace(extra=dict), Run(**settings), RunFolder(folder), progress=None, like=None)


def test_rows_and_texts_are_forced_to_the_disk_before_a_checkpoint(tmp_path, monkeypatch):
    """Else a power cut might leave a checkpoint without the rows before it."""
    forced, original = [], os.fsync

    def force(descriptor):
        forced.append(os.fstat(descriptor).st_ino)
        original(descriptor)

    monkeypatch.setattr(os, "fsync", force)
    made = make(tmp_path)
    state = SimpleNamespace(step=jnp.int32(3), saved={"w": np.ones(2)})
    made.save(state, {})
    forced.clear()
    made.write(state, {"train/loss_nats": 1.0})
    made.folder.append_text("samples.txt", "a text")
    made.save(state, {})
    order = [forced.index(path.stat().st_ino) for path in (made.folder.metrics.path, tmp_path / "samples.txt")]
    assert max(order) < forced.index((tmp_path / "checkpoints" / "000000003" / "manifest.json").stat().st_ino)


def test_going_back_ends_what_tensorboard_reads(tmp_path, monkeypatch):
    class Board:
        def __init__(self, folder, *, first_step):
            said.append(f"from {first_step}")

        def close(self):
            said.append("closed")

    said = []
    monkeypatch.setattr(record, "TensorBoard", Board)
    made = make(tmp_path, tensorboard=True)
    made.clear()
    made.clear()
    assert said == ["from 1", "closed", "from 1"]
