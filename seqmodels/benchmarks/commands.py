"""What `seqmodels benchmark` does: measures, prints line by line, and puts the tables where they are wanted."""

import argparse
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax

from seqmodels import config as configs
from seqmodels.benchmarks import first_step, growth, kernels, overhead, parallel, precision, report, sharing, speed
from seqmodels.benchmarks.cases import STANDARD, Case
from seqmodels.benchmarks.engine_options import engine_of
from seqmodels.benchmarks.peers import PEERS
from seqmodels.errors import UserError
from seqmodels.tasks import TASKS
from seqmodels.training.interrupts import exit_code
from seqmodels.training.task import Task


def benchmark(options: argparse.Namespace) -> int:
    """Measures speed; see `seqmodels benchmark --help`."""
    measures = {
        "speed": _benchmark_speed,
        "growth": _benchmark_growth,
        "parallel": _benchmark_parallel,
        "loop": _benchmark_loop,
        "devices": _benchmark_devices,
        "first": _benchmark_first,
        "kernels": _benchmark_kernels,
    }
    return measures[options.what](options)


def _task_of(options: argparse.Namespace) -> tuple[Task, Any]:
    """What a config describes, and the config."""
    schemas = {name: task.schema for name, task in TASKS.items()}
    config = configs.load(Path(options.config), options.assignments, schemas)
    return TASKS[config.task.name](config), config


def _benchmark_loop(options: argparse.Namespace) -> int:
    found = overhead.measure(*_task_of(options), rounds=options.rounds, steps=options.steps)
    for line in overhead.report(found):
        print(line, flush=True)
    return 0


def _benchmark_devices(options: argparse.Namespace) -> int:
    found = sharing.measure(*_task_of(options), rounds=options.rounds)
    for line in sharing.report(found):
        print(line, flush=True)
    return 0


def _benchmark_first(options: argparse.Namespace) -> int:
    found: list[tuple[str, dict[str, float]]] = []

    def go() -> None:
        for name, seconds in first_step.run_all(rounds=options.rounds):
            found.append((name, seconds))
            print(f"{name}: first step done after {seconds['first step']:.2f} s", flush=True)

    def tables() -> dict[str, list[str]]:
        whole = len(found) // len(first_step.CONTESTANTS) * len(first_step.CONTESTANTS)
        return {"first step summary": first_step.report(found[:whole])} if whole else {}

    return _finish_benchmark(options, go, tables, lambda: {"first step": found})


def _benchmark_kernels(options: argparse.Namespace) -> int:
    jax.config.update("jax_platforms", "cpu")  # type: ignore[no-untyped-call]  # JAX leaves it untyped
    found: list[kernels.Kernels] = []

    def go() -> None:
        for one in kernels.run_all(Case.parse("256,32,512"), ("float32", "bfloat16"), ("scan", "fused:packed")):
            found.append(one)
            print(f"{one.name}, {one.dtype}: {' + '.join(map(str, one.each))}", flush=True)

    return _finish_benchmark(
        options,
        go,
        lambda: {"kernels summary": kernels.rows(found)} if found else {},
        lambda: {"kernels": [one._asdict() for one in found]},
    )


def _benchmark_speed(options: argparse.Namespace) -> int:
    try:
        cases = [Case.parse(text) for text in options.case or ()] or STANDARD
    except ValueError as error:
        raise UserError(str(error)) from error
    peers = [name for name in options.peer or PEERS if name != "none"]
    engines = options.engine or ["scan", "fused"]
    _check_known(peers, list(PEERS))
    for engine in engines:
        engine_of(engine)
    dtypes = options.dtype or ["float32", "bfloat16"]
    for dtype in dtypes:
        precision.check(dtype)
    outcomes: list[speed.Outcome] = []

    def go() -> None:
        for outcome in speed.run_all(
            cases, dtypes, engines=engines, peers=peers, rounds=options.rounds, floor=options.floor
        ):
            outcomes.append(outcome)
            for line in report.speed_table([outcome])[2 if len(outcomes) > 1 else 0 :]:
                print(line, flush=True)
        if outcomes[0].absent:
            print(f"not here, or not for this device: {', '.join(outcomes[0].absent)}", file=sys.stderr)

    return _finish_benchmark(options, go, lambda: _speed_results(outcomes), lambda: {"speed": speed.as_json(outcomes)})


def _check_known(names: list[str], known: list[str]) -> None:
    """Raises UserError if a name is not among those that there are."""
    for name in names:
        if name not in known:
            raise UserError(f"there is no {name!r} to measure; there are {', '.join(map(repr, known))}")


def _speed_results(outcomes: list[speed.Outcome]) -> dict[str, list[str]]:
    return {"speed summary": report.summary(outcomes), "speed": report.speed_table(outcomes)} if outcomes else {}


def _benchmark_growth(options: argparse.Namespace) -> int:
    points: list[growth.Point] = []

    def go() -> None:
        for point in growth.run_all(rounds=options.rounds):
            points.append(point)
            for line in growth.rows([point])[2 if len(points) > 1 else 0 :]:
                print(line, flush=True)

    status = _finish_benchmark(
        options, go, lambda: {"growth": growth.rows(points)}, lambda: {"growth": growth.as_json(points)}
    )
    if options.picture and points:
        growth.draw(points, Path(options.picture))
    return status


def _benchmark_parallel(options: argparse.Namespace) -> int:
    points: list[parallel.Point] = []
    trials: list[parallel.Trial] = []

    def go() -> None:
        for point in parallel.run_all(rounds=options.rounds):
            points.append(point)
            for line in parallel.rows([point])[2 if len(points) > 1 else 0 :]:
                print(line, flush=True)
        for trial in parallel.trained():
            trials.append(trial)
            for line in parallel.trial_rows([trial])[2 if len(trials) > 1 else 0 :]:
                print(line, flush=True)

    return _finish_benchmark(
        options,
        go,
        lambda: {"parallel": parallel.rows(points), "newton trained": parallel.trial_rows(trials)},
        lambda: {"parallel": parallel.as_json(points), "trained": parallel.as_json(trials)},
    )


def _finish_benchmark(
    options: argparse.Namespace,
    go: Callable[[], None],
    tables: Callable[[], dict[str, list[str]]],
    samples: Callable[[], dict[str, Any]],
) -> int:
    """Measures until the end or Ctrl-C, and puts what there is where it was asked for."""
    if options.write:
        report.check(Path(options.write))
    status = 0
    try:
        go()
    except KeyboardInterrupt:
        status = exit_code(signal.SIGINT)
    if options.json:
        Path(options.json).write_text(report.as_json(samples()), encoding="utf-8")
    for name, lines in tables().items():
        if name.endswith("summary"):
            for line in lines:
                print(line, flush=True)
        if options.write:
            report.put(Path(options.write), name, lines)
    return status
