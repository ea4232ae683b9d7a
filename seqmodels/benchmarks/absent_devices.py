"""Devices that need not be there: their compiler needs none, so that programs can be compiled for them, and not run."""

import importlib.util
import os
from collections.abc import Sequence
from typing import Final

import jax
from jax.experimental import topologies

from seqmodels.errors import UserError, first_line

_H100: Final = """
gpu_device_info {
  cuda_compute_capability { major: 9 minor: 0 }
  threads_per_block_limit: 1024 threads_per_warp: 32 threads_per_core_limit: 2048
  shared_memory_per_block: 49152 shared_memory_per_block_optin: 232448 shared_memory_per_core: 233472
  registers_per_core_limit: 65536 registers_per_block_limit: 65536
  core_count: 132 fpus_per_core: 128 clock_rate_ghz: 1.98
  block_dim_limit_x: 2147483647 block_dim_limit_y: 65535 block_dim_limit_z: 65535
  memory_bandwidth: 3352320000000 l2_cache_size: 52428800 device_memory_size: 84942979072
}
platform_name: "CUDA"
dnn_version_info { major: 9 minor: 8 patch: 0 }
device_description_str: "NVIDIA H100 80GB HBM3"
"""
"""The maker's figures of an H100, as XLA wants them."""

_NO_TPU: Final = {
    "TPU_SKIP_MDS_QUERY": "1",
    "TPU_ACCELERATOR_TYPE": "v5litepod-1",
    "TPU_WORKER_HOSTNAMES": "localhost",
}
"""What libtpu would else ask of a machine that holds TPUs, and of its network."""


def gpu() -> jax.Device:
    """An H100 that need not be there; programs can be compiled for it, and not be run.

    Raises:
      UserError: if the compiler for GPUs is not installed.
    """
    if not any(importlib.util.find_spec(f"jax_cuda{version}_plugin") for version in (12, 13)):
        raise UserError('the compiler for GPUs is not installed; pip install "jax[cuda12]", which needs no GPU')
    jax.devices()  # finds the compiler
    try:
        description = topologies.get_topology_desc("", platform="cuda", target_config=_H100, topology="1x1x1")
    except (ValueError, RuntimeError) as error:
        raise UserError(f"the compiler for GPUs cannot be asked: {first_line(error)}") from error
    device: jax.Device = description.devices[0]
    return device


def tpu_devices(topology: str) -> Sequence[jax.Device]:
    """The TPUs of a slice that need not be there; a program can be compiled for them, and not be run.

    Args:
      topology: generation and shape, such as "v5e:2x4" or "v5p:4x4x4".

    Raises:
      UserError: if TPUs' compiler is not installed, or does not know such a slice.

    References:
      https://docs.jax.dev/en/latest/aot.html
    """
    for name, value in _NO_TPU.items():
        os.environ.setdefault(name, value)
    if importlib.util.find_spec("libtpu") is None:
        raise UserError("--topology: the compiler for TPUs is not installed; pip install libtpu (for Linux)")
    try:
        if not topology:
            raise ValueError("it is empty")
        return topologies.get_topology_desc(topology, platform="tpu").devices
    except (ValueError, RuntimeError) as error:
        raise UserError(f"--topology: {topology!r} is no slice of TPUs such as v5e:2x4: {first_line(error)}") from error
