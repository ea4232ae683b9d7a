"""Settings of the whole suite: strict types, warnings as errors (in pyproject.toml), no network."""

import itertools
import os
import pathlib

import jax
import pytest
from jax.experimental.compilation_cache import compilation_cache

pytest.register_assert_rewrite("clusters", "oracles", "processes", "small")
jax.config.update("jax_numpy_dtype_promotion", "strict")
jax.config.update("jax_platforms", os.environ.get("JAX_PLATFORMS", "cpu"))
# XLA does all it does but for LLVM's slow passes: most of the suite's time is compilation. Processes that tests start
# read it from their environment.
jax.config.update("jax_disable_most_optimizations", True)
os.environ["JAX_DISABLE_MOST_OPTIMIZATIONS"] = "1"


def pytest_collection_modifyitems(items):
    """Puts tests of one cell and engine one behind the other: what is compiled for one serves the next."""
    groups = {}

    def group(item):
        params = item.callspec.params if hasattr(item, "callspec") else {}
        key = (params["cell"], params["method"]) if {"cell", "method"} <= params.keys() else item.nodeid
        return groups.setdefault(key, len(groups))

    items.sort(key=group)


_TESTS = itertools.count(1)


@pytest.fixture(autouse=True)
def _forget_compiled_programs():
    """Now and then: each program takes some memory mappings, of which Linux gives a process 65,530 by default."""
    yield
    if next(_TESTS) % 50 == 0:
        jax.clear_caches()


@pytest.fixture(scope="module")
def compiled(tmp_path_factory):
    """Keeps what XLA compiled, for this process and, in the environment returned, for others: most runs are alike."""
    settings = {
        "jax_compilation_cache_dir": str(tmp_path_factory.mktemp("compiled")),
        "jax_persistent_cache_min_compile_time_secs": 0.1,
    }
    before = {name: getattr(jax.config, name) for name in settings}
    for name, value in settings.items():
        jax.config.update(name, value)
    compilation_cache.reset_cache()
    yield {name.upper(): str(value) for name, value in settings.items()}
    for name, value in before.items():
        jax.config.update(name, value)
    compilation_cache.reset_cache()


@pytest.fixture
def compiled_for_speed():
    """All of XLA's optimizations within the test, as users have them: where rounding is at the edge of a tolerance."""
    jax.clear_caches()
    jax.config.update("jax_disable_most_optimizations", False)
    yield
    jax.config.update("jax_disable_most_optimizations", True)
    jax.clear_caches()


@pytest.fixture
def x64():
    """Float64 within the test."""
    with jax.enable_x64(True):
        yield


@pytest.fixture(scope="session")
def data_folder() -> pathlib.Path:
    """The folder with the real data sets; tests that need it are marked `data`."""
    folder = os.environ.get("SEQMODELS_TEST_DATA")
    if not folder:
        pytest.skip("needs the real data sets: point SEQMODELS_TEST_DATA at a folder that holds them")
    return pathlib.Path(folder)
