"""A run that does not fit into memory is told so before its first step, with what to lower."""

import jax
import jax.numpy as jnp
import pytest
from jax import monitoring
from small import PLAIN, task, write

from seqmodels.cli import main
from seqmodels.training import memory
from seqmodels.training.memory import Need, available, check_state, check_step, size_of
from seqmodels.training.step import make_step
from seqmodels.training.tables import Averaging

LONG = ("data.window=128", "model.cell.hidden_size=32")


def step_of(made):
    """A jitted step, the shapes of its state, and a batch."""
    step = make_step(made, made.config.optimizer.build(2), seed=0, averaging=Averaging())
    return jax.jit(step.update, donate_argnums=0), jax.jit(step.init)(jax.random.key(0)), next(made.batches(0))


def free(monkeypatch, size):
    monkeypatch.setattr(memory, "available", lambda device: size)


def test_what_a_state_needs(tmp_path):
    _, state, _ = step_of(task(tmp_path))
    need = Need.of(state)
    assert need.parameters == size_of(state.params)
    assert need.optimizer >= 2 * need.parameters  # Adam
    assert need.parameters + need.optimizer == sum(leaf.nbytes for leaf in jax.tree.leaves(state))


def test_a_state_that_does_not_fit_is_refused_from_its_shapes_alone(tmp_path, monkeypatch):
    _, state, _ = step_of(task(tmp_path))
    size = size_of(state) * jax.local_device_count()
    free(monkeypatch, size)
    check_state(jax.eval_shape(lambda: state), jax.devices()[0])
    free(monkeypatch, size - 1)
    with pytest.raises(memory.UserError, match=r"the model does not fit: .* are needed"):
        check_state(jax.eval_shape(lambda: state), jax.devices()[0])


@pytest.mark.parametrize("methods", [("fused",), pytest.param(("scan", "fused"), marks=pytest.mark.faults)])
def test_what_a_step_needs_depends_on_the_engine(methods, tmp_path, monkeypatch):
    """The long window fits with `chunked` and not with others."""
    arguments = {method: step_of(task(tmp_path, *LONG, f"model.method={method}")) for method in (*methods, "chunked")}
    needs = {method: check_step(*given).work for method, given in arguments.items()}
    others = min(needs[method] for method in methods)
    assert needs["chunked"] < 0.8 * others
    free(monkeypatch, (needs["chunked"] + others) // 2 * jax.local_device_count())
    check_step(*arguments["chunked"])
    for method in methods:
        with pytest.raises(memory.UserError, match=r"model\.method='chunked'"):
            check_step(*arguments[method])


@pytest.mark.faults
def test_the_plan_grows_with_the_batch_as_activations_do(tmp_path):
    small, large = (check_step(*step_of(task(tmp_path, *LONG, f"data.batch_size={size}"))).work for size in (2, 8))
    assert 2.5 * small < large < 4.5 * small


def test_a_step_that_was_looked_at_is_not_compiled_again(tmp_path):
    update, state, batch = step_of(task(tmp_path))
    compiled = []
    monitoring.register_event_duration_secs_listener(
        lambda event, seconds, **_: compiled.append(event) if "backend_compile" in event else None
    )
    check_step(update, state, batch)
    assert len(compiled) == 1
    jax.block_until_ready(update(state, batch))
    assert len(compiled) == 1
    assert update._cache_size() == 1


@pytest.mark.parametrize("share", [0.5, 2.0])
def test_a_run_ends_before_its_first_step(share, tmp_path, monkeypatch, capsys):
    """With half of what the state takes, and with the state's but not the step's."""
    _, state, _ = step_of(task(tmp_path))
    free(monkeypatch, int(share * size_of(state)) * jax.local_device_count())
    assert main(["train", *write(tmp_path, PLAIN), "data.window=64"]) == 2
    captured = capsys.readouterr()
    (line,) = captured.err.splitlines()
    assert line.startswith("the model does not fit: ")
    assert "parameters " in line
    assert "optimizer " in line
    assert ("activations and gradients " in line) == (share > 1)
    for key in ("data.batch_size", "data.window", "model.cell.hidden_size", "model.method='chunked'"):
        assert key in line
    assert "first step" not in captured.out
    assert not (tmp_path / "runs" / "small" / "checkpoints").exists()


def test_what_is_free(monkeypatch, tmp_path):
    class Device:
        platform = "gpu"
        device_kind = "one"

        def memory_stats(self):
            return {"bytes_limit": 100, "bytes_in_use": 30}

    assert available(Device()) == 70
    monkeypatch.setattr(Device, "memory_stats", lambda self: None)
    assert available(Device()) is None
    found = available(jax.devices("cpu")[0])
    assert found is None or 2**20 < found < 2**50
    monkeypatch.setattr(memory, "_CGROUP", tmp_path)
    (tmp_path / "memory.max").write_text("1000000\n")
    (tmp_path / "memory.current").write_text("400000\n")
    assert available(jax.devices("cpu")[0]) in (None, 600_000)
    (tmp_path / "memory.stat").write_text("anon 300000\nfile 90000\ninactive_file 50000\nactive_file 30000\n")
    assert available(jax.devices("cpu")[0]) in (None, 680_000), "files that were read can be forgotten"
    (tmp_path / "memory.max").write_text("max\n")
    assert available(jax.devices("cpu")[0]) != 600_000


def test_sizes_count_every_array():
    assert size_of({"a": jnp.zeros((3, 5), jnp.bfloat16), "b": [jnp.zeros(2, jnp.int8), None]}) == 32
