"""What processes are told of each other; how they work together is in tests/scale."""

import numpy as np
import pytest
from small import write

from seqmodels.cli import main
from seqmodels.errors import UserError
from seqmodels.training.processes import Joining, gather, joined, on_host, together


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


def test_a_process_by_itself():
    with joined(Joining()):
        assert gather("a\nb") == ["a\nb"]
        assert on_host({"w": np.ones(2)})["w"].tolist() == [1.0, 1.0]
    with pytest.raises(UserError, match="no"), together():
        raise UserError("no")
