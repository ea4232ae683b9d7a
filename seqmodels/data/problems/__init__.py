"""Problems with long-term dependencies, one a file. `PROBLEMS` has the tables, told apart by their `name`."""

from seqmodels.data.problems.adding import Adding
from seqmodels.data.problems.copy_memory import CopyMemory
from seqmodels.data.problems.digits import Mnist
from seqmodels.data.problems.generated import Drawn, Generated, Rows
from seqmodels.data.problems.listops import ListOps
from seqmodels.data.problems.mackey_glass import MackeyGlass
from seqmodels.data.problems.parity import Parity
from seqmodels.data.problems.problem import Examples, Problem, Stream
from seqmodels.data.problems.temporal_order import TemporalOrder

PROBLEMS = (Adding, CopyMemory, TemporalOrder, Parity, ListOps, MackeyGlass, Mnist)

__all__ = [
    "PROBLEMS",
    "Adding",
    "CopyMemory",
    "Drawn",
    "Examples",
    "Generated",
    "ListOps",
    "MackeyGlass",
    "Mnist",
    "Parity",
    "Problem",
    "Rows",
    "Stream",
    "TemporalOrder",
]
