"""Shows what a trained language model does with its gradients and gates."""

import argparse
from pathlib import Path

from seqmodels.analysis import report, story
from seqmodels.analysis.reader import Reader
from seqmodels.commands.shown import say
from seqmodels.commands.trained_run import TrainedRun
from seqmodels.data.text_files import read_text
from seqmodels.errors import UserError
from seqmodels.tasks.language_modelling import load_corpus
from seqmodels.tasks.text_model import TextModel
from seqmodels.training.seeds import make_seeds


def analyze(options: argparse.Namespace) -> int:
    """Draws gradients and gates of a trained language model; see `seqmodels analyze --help`."""
    if options.story is not None:
        for path in story.draw_all(Path(options.story)):
            say(str(path))
        return 0
    if options.folder is None:
        raise UserError("name a run folder, or --story FOLDER for the pictures of docs/why_lstm.md")
    run = TrainedRun.of(options)
    model = run.model()
    if not isinstance(model, TextModel):
        raise run.lacking("reads no text symbol by symbol", "analyze a run of language_modelling")
    reader = Reader(model.model, run.params(model), model.vocabulary)
    at_start = reader._replace(params=model.init(make_seeds(run.config.run.seed).init))
    folder = run.path / "analysis"
    for line in report.analyze(reader, _text(options, run, model), folder, before=at_start):
        say(line)
    say(f"pictures are in {folder}")
    return 0


def _text(options: argparse.Namespace, run: TrainedRun, model: TextModel) -> str:
    """What the model shall read: the file that is named, else the start of the run's validation text.

    That text may have characters that training had not, read as the one unknown, as validation itself does.
    """
    if options.input is None:
        text = load_corpus(run.config.data).valid
    else:
        text = read_text(Path(options.input))
        model.vocabulary.check(text)
    return model.vocabulary.decode(model.vocabulary.encode(text)[: options.symbols])
