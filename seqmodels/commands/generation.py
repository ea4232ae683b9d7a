"""Writes text with a trained language model."""

import argparse

import jax
import jax.numpy as jnp

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
    if options.line and model.line_end is None:
        raise UserError("--line: this model knows no line end; leave it out")
    params = run.params(model)
    if options.beam is None:
        _draw(model, params, options, sampling)
    else:
        _search(model, params, options)
    return 0


def _draw(model: Writer, params: PyTree, options: argparse.Namespace, sampling: Sampling) -> None:
    """Draws all samples side by side; shows the first one as it is drawn, the others when it is done."""
    keys = jax.vmap(jax.random.fold_in, (None, 0))(jax.random.key(options.seed), jnp.arange(options.samples))
    pieces = model.write(
        params,
        options.prompt,
        keys,
        length=options.length,
        sampling=sampling,
        rows=options.samples,
        end=model.line_end if options.line else None,
    )
    others = [""] * (options.samples - 1)
    _begin(model, options, 1)
    for first, *more in pieces:
        print(first, end="", flush=True)
        others = [text + piece for text, piece in zip(others, more, strict=True)]
    print()
    for number, text in enumerate(others, start=2):
        _begin(model, options, number)
        print(text)


def _begin(model: Writer, options: argparse.Namespace, number: int) -> None:
    """What stands before a sample: its number, where there are several, and the prompt."""
    if options.samples > 1:
        print(f"--- sample {number} of {options.samples} ---")
    print(model.shown(options.prompt), end="", flush=True)


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
