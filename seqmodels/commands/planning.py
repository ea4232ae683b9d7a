"""Says what a config would do on many devices."""

import argparse
from pathlib import Path

import jax

from seqmodels import config as configs
from seqmodels.benchmarks.absent_devices import tpu_devices
from seqmodels.benchmarks.plan import describe, make_plan
from seqmodels.commands.shown import say
from seqmodels.commands.trained_run import SCHEMAS
from seqmodels.tasks import TASKS


def plan(options: argparse.Namespace) -> int:
    """Compiles a training step for devices that are not there; see `seqmodels plan --help`."""
    jax.config.update("jax_platforms", "cpu")  # type: ignore[no-untyped-call]  # JAX leaves it untyped
    if options.topology is None:
        jax.config.update("jax_num_cpu_devices", options.devices)  # type: ignore[no-untyped-call]  # JAX leaves it untyped
    config = configs.load(Path(options.config), options.assignments, SCHEMAS)
    devices = None if options.topology is None else tpu_devices(options.topology)
    for line in describe(make_plan(TASKS[config.task.name](config), config, devices)):
        say(line)
    return 0
