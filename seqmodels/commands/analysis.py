"""Shows what a trained model does with its gradients and gates."""

import argparse
from pathlib import Path

from seqmodels.analysis import report, story
from seqmodels.cells.base import PyTree
from seqmodels.commands.shown import say
from seqmodels.commands.trained_run import TrainedRun, check_same_data
from seqmodels.data.text_files import read_text
from seqmodels.errors import UserError
from seqmodels.tasks.text_model import TextModel
from seqmodels.training.reading import Reading
from seqmodels.training.run_folder import RunFolder
from seqmodels.training.seeds import make_seeds


def analyze(options: argparse.Namespace) -> int:
    """Draws gradients, memory and gates of a trained model; see `seqmodels analyze --help`."""
    if options.story is not None:
        for path in story.draw_all(Path(options.story)):
            say(str(path))
        return 0
    if options.folder is None:
        raise UserError("name a run folder, or --story FOLDER for the pictures of docs/why_lstm.md")
    run = TrainedRun.of(options)
    after, before = _validation(run, options.symbols) if options.input is None else _given(run, options)
    folder = run.path / "analysis"
    for line in (*report.analyze(after, folder, before=before), *_capped(run)):
        say(line)
    say(f"pictures are in {folder}")
    return 0


def _validation(run: TrainedRun, most: int) -> tuple[Reading, Reading]:
    """A sequence of the run's validation, read after training and at the start of it."""
    task = run.task_type(run.config)
    restored = run.restore(task)
    check_same_data(restored.extra, task, run.path)
    return task.reading(restored.tree.result, most), task.reading(task.init(_start(run)), most)


def _given(run: TrainedRun, options: argparse.Namespace) -> tuple[Reading, Reading]:
    """The same of a text of one's own, whose symbols are the targets too."""
    model = run.model()
    if not isinstance(model, TextModel):
        raise run.lacking("has a cost only where right answers are known", "leave --input out: its validation is read")
    text = read_text(Path(options.input))
    after, before = (
        model.reading_of(params, text, options.symbols) for params in (run.params(model), model.init(_start(run)))
    )
    return after, before


def _start(run: TrainedRun) -> PyTree:
    """The key of the parameters at the start."""
    return make_seeds(run.config.run.seed).init


def _capped(run: TrainedRun) -> list[str]:
    """How often the gradient's norm, as the rows of metrics have it, was above its cap."""
    cap = run.config.optimizer.clip_norm
    norms = [row["grad_norm"] for row in RunFolder(run.path).metrics.read() if row.get("grad_norm") is not None]
    if cap is None or not norms:
        return []
    above = sum(norm > cap for norm in norms)
    name = f"gradient cap {cap:g}"
    return [f"{name:<30} the norm, a mean over steps, was above it in {above:,} of {len(norms):,} rows of metrics"]
