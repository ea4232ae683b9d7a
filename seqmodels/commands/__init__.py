"""What the commands do, one a file; `seqmodels.cli` reads their options and calls them by name."""

from seqmodels.benchmarks.commands import benchmark
from seqmodels.commands.analysis import analyze
from seqmodels.commands.data_sets import data
from seqmodels.commands.evaluation import evaluate
from seqmodels.commands.generation import generate
from seqmodels.commands.planning import plan
from seqmodels.commands.prediction import predict
from seqmodels.commands.sweeping import sweep
from seqmodels.commands.training import train

__all__ = ["analyze", "benchmark", "data", "evaluate", "generate", "plan", "predict", "sweep", "train"]
