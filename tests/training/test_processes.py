"""What processes are told of each other; how they work together is in tests/scale."""

import os
import sys

import jax
import numpy as np
import pytest
from small import write

from seqmodels.cli import main
from seqmodels.errors import UserError
from seqmodels.training.processes import LOST, Joining, _own_devices, gather, joined, on_host, together


@pytest.mark.parametrize(
    "joining",
    [
        Joining(coordinator="localhost:1"),
        Joining(processes=2, index=0),
        Joining(coordinator="localhost:1", processes=2),
        Joining(detected=True, coordinator="localhost:1", processes=2, index=0),
    ],
)
def test_what_is_told_of_the_others_belongs_together(joining):
    with pytest.raises(UserError, match="--coordinator, --processes and --index belong together"), joined(joining):
        pass


def test_an_index_is_one_of_the_processes(tmp_path, capsys):
    code = main(["train", *write(tmp_path), "--coordinator", "localhost:1", "--processes", "2", "--index", "2"])
    assert (code, capsys.readouterr().err) == (2, "--index: must be from 0 to 1 (got 2)\n")
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (KeyError("a"), 1, "KeyError: 'a'\n"),
        (KeyboardInterrupt(), 130, ""),
        (MemoryError(), 2, "not enough memory: MemoryError; lower the sizes of batches, or those of the model\n"),
        (jax.errors.JaxRuntimeError("UNKNOWN: closed"), LOST, "start all of them again with --resume\n"),
        (
            jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: 9 bytes\nmore"),
            2,
            "not enough memory: RESOURCE_EXHAUSTED: 9 bytes; lower the sizes of batches, or those of the model\n",
        ),
    ],
)
def test_whatever_a_process_of_several_ends_by_it_does_not_wait_for_the_others(error, code, said, monkeypatch, capsys):
    for name in ("initialize", "shutdown"):
        monkeypatch.setattr(jax.distributed, name, lambda *arguments, **keywords: None)
    monkeypatch.setattr(os, "_exit", sys.exit)
    with pytest.raises(SystemExit) as left, joined(Joining(coordinator="localhost:1", processes=2, index=0)):
        raise error
    assert left.value.code == code
    assert capsys.readouterr().err.endswith(said)


def test_a_process_by_itself():
    with joined(Joining()):
        assert gather("a\nb") == ["a\nb"]
        assert on_host({"w": np.ones(2)})["w"].tolist() == [1.0, 1.0]
    with pytest.raises(UserError, match="no"), together():
        raise UserError("no")


ALONE = {"SLURM_NTASKS": "2", "SLURM_STEP_NUM_NODES": "2"}


@pytest.mark.parametrize(
    ("given", "devices"),
    [
        ({}, None),
        (ALONE, []),
        ({"SLURM_NTASKS": "16", "SLURM_STEP_NUM_NODES": "2"}, None),
        ({"SLURM_NTASKS": "2"}, None),
        (ALONE | {"JAX_LOCAL_DEVICE_IDS": "0,1"}, None),
        ({"OMPI_COMM_WORLD_LOCAL_SIZE": "1"}, []),
        (ALONE | {"OMPI_COMM_WORLD_LOCAL_SIZE": "8"}, None),
    ],
)
def test_a_process_that_is_alone_on_its_machine_has_all_devices_of_it(given, devices, monkeypatch):
    for name in ("SLURM_NTASKS", "SLURM_STEP_NUM_NODES", "OMPI_COMM_WORLD_LOCAL_SIZE", "JAX_LOCAL_DEVICE_IDS"):
        monkeypatch.delenv(name, raising=False)
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    assert _own_devices() == devices
