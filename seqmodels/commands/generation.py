"""Writes text with a trained language model."""

import argparse

import jax

from seqmodels.cells.base import PyTree
from seqmodels.commands.trained_run import TrainedRun
from seqmodels.errors import UserError
from seqmodels.models import Sampling
from seqmodels.tasks.writer import Writer


def generate(options: argparse.Namespace) -> int:
    """Writes text with a trained model; see `seqmodels generate --help`."""
    sampling = _sampling(options)
    run = TrainedRun.of(options)
    model = run.model()
    if not isinstance(model, Writer):
        raise run.lacking("writes no text", "use evaluate")
    model.prompt_ids(options.prompt)  # refuses unknown characters before anything is printed
    params = run.params(model)
    if options.beam is not None:
        _search(model, params, options)
        return 0
    for number in range(options.samples):
        if options.samples > 1:
            print(f"--- sample {number + 1} of {options.samples} ---")
        print(model.shown(options.prompt), end="", flush=True)
        key = jax.random.fold_in(jax.random.key(options.seed), number)
        for (piece,) in model.write(params, options.prompt, key, length=options.length, sampling=sampling):
            print(piece, end="", flush=True)
        print()
    return 0


def _sampling(options: argparse.Namespace) -> Sampling:
    """How symbols are to be drawn; refuses what makes no sense, with beams all that is about drawing."""
    names = ("temperature", "top_k", "top_p", "repetition_penalty")
    given = {name: getattr(options, name) for name in names if getattr(options, name) is not None}
    if options.beam is not None and given:
        named = ", ".join(f"--{name.replace('_', '-')}" for name in given)
        raise UserError(f"--beam draws nothing: leave out {named}")
    if options.beam is not None and options.samples > options.beam:
        raise UserError(f"--samples: {options.beam} beams give at most {options.beam} texts (got {options.samples})")
    try:
        return Sampling(**{"temperature": 0.8, **given})
    except ValueError as error:
        raise UserError(str(error)) from error


def _search(model: Writer, params: PyTree, options: argparse.Namespace) -> None:
    """Shows the likeliest texts that go on from a prompt."""
    found = model.search(params, options.prompt, length=options.length, width=options.beam)[: options.samples]
    for number, (text, log_p) in enumerate(found):
        if options.samples > 1:
            print(f"--- {number + 1} of {len(found)}, log-probability {log_p:.2f} nats ---")
        print(model.shown(options.prompt) + text.removesuffix("\n"), flush=True)
