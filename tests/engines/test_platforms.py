"""Every engine's gradient for other devices than this machine has: lowered, and for TPUs compiled."""

import importlib.util

import jax
import jax.numpy as jnp
import pytest
from small import python

import seqmodels as sm
from seqmodels.engines import ENGINES

CELLS = {"associative": sm.LRU(8), "newton": sm.GRU(8)}
METHODS = [*ENGINES, sm.engines.Fused(packed=True), sm.engines.Fused(packed=False)]

COMPILE = """
import sys
import jax, jax.numpy as jnp
from jax.sharding import AxisType, NamedSharding, PartitionSpec
import seqmodels as sm
from seqmodels.benchmarks.absent_devices import tpu_devices

mesh = jax.make_mesh((1,), ("data",), (AxisType.Auto,), devices=tpu_devices("v5e:2x2")[:1])
place = NamedSharding(mesh, PartitionSpec())
for method, cell in {
    "scan": sm.LSTM(128),
    "fused": sm.LSTM(128),
    "chunked": sm.LSTM(128),
    "associative": sm.LRU(128),
    "newton": sm.GRU(16),
}.items():
    for dtype in ("float32", "bfloat16"):
        loss = lambda params, xs: jnp.sum(sm.unroll(cell, params, xs, method=method)[1].astype(jnp.float32))
        params = jax.eval_shape(lambda: cell.init(jax.random.key(0), 128))
        xs = jax.ShapeDtypeStruct((8, 64, 128), dtype)
        jax.jit(jax.grad(loss, argnums=(0, 1)), in_shardings=place).lower(params, xs).compile()
        print(method, dtype)
"""


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("method", METHODS, ids=str)
def test_every_engine_is_lowered_for_gpus_and_tpus(method, dtype):
    cell = CELLS.get(method, sm.LSTM(8))
    params, xs = cell.init(jax.random.key(0), 4), jnp.ones((2, 6, 4), dtype)

    def loss(params, xs):
        return jnp.sum(sm.unroll(cell, params, xs, method=method)[1].astype(jnp.float32))

    traced = jax.jit(jax.grad(loss, argnums=(0, 1))).trace(params, xs)
    for platform in ("cuda", "rocm", "tpu"):
        program = traced.lower(lowering_platforms=(platform,)).as_text()
        assert ("stablehlo.while" in program) == (method != "associative")


@pytest.mark.skipif(
    importlib.util.find_spec("libtpu") is None, reason="the compiler for TPUs, libtpu, is not installed"
)
def test_every_engine_is_compiled_for_a_tpu():
    done = python("-c", COMPILE)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split()[::2] == [method for method in ENGINES for _ in (0, 1)]
