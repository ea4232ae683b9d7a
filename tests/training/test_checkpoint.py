"""Checkpoints: nothing lost, nothing wrong given out, whatever happens to the process or to the disk."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import textwrap
from typing import Any, NamedTuple

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from seqmodels.training import checkpoint as checkpoint_module
from seqmodels.training.checkpoint import CheckpointError, Checkpoints


class Carry(NamedTuple):
    h: jax.Array
    c: jax.Array | None


@flax.struct.dataclass
class State:
    step: jax.Array
    params: dict[str, Any]
    opt_state: Any
    carry: tuple[Carry, ...]
    nothing: None = None
    empty: tuple[()] = ()


def make_state(seed: int) -> State:
    key = jax.random.key(seed)
    params = {
        "w/ih.x": jax.random.normal(key, (3, 8)),
        "half": jax.random.normal(key, (5,)).astype(jnp.bfloat16),
        "narrow": [jnp.array([0.5, -3.0], jnp.float8_e4m3fn), jnp.array([[3], [-8]], jnp.int4), jnp.bfloat16(0.1)],
        "none_of_it": jnp.zeros((0, 4), jnp.int8),
        "mask": np.array([True, False]),
    }
    weights = {"w": jax.random.normal(key, (4, 2))}
    transform = optax.chain(optax.clip_by_global_norm(1.0), optax.adam(1e-3))
    with jax.numpy_dtype_promotion("standard"):  # adam raises a float to an integer power
        _, opt_state = transform.update(weights, transform.init(weights), weights)
    return State(jnp.int32(seed), params, opt_state, (Carry(jnp.full((2, 3), jnp.nan), None),))


def small(step: int) -> dict[str, jax.Array]:
    return {"w": jnp.full((4, 5), step, jnp.float32), "step": jnp.int32(step)}


def assert_bitwise_equal(actual: Any, expected: Any) -> None:
    assert jax.tree.structure(actual) == jax.tree.structure(expected)
    for a, b in zip(jax.tree.leaves(actual), jax.tree.leaves(expected), strict=True):
        assert isinstance(a, jax.Array)
        assert (a.shape, a.dtype) == (b.shape, b.dtype)
        assert np.asarray(a).tobytes() == np.asarray(b).tobytes()


def test_a_nested_state_comes_back_bitwise(tmp_path):
    state = make_state(7)
    extra = {
        "config": 'seed = 1\n"ü"\ud800',
        "vocabulary": ["a", "\n"],
        "best": float("inf"),
        "count": 2**60,
        "none": None,
    }
    Checkpoints(tmp_path / "checkpoints").save(7, state, extra)
    for like in (make_state(8), jax.eval_shape(lambda: make_state(8))):
        restored = Checkpoints(tmp_path / "checkpoints").restore(like)
        assert_bitwise_equal(restored.tree, state)
        assert (restored.step, restored.extra, restored.skipped) == (7, extra, ())


def test_a_bare_array_and_an_empty_tree_come_back(tmp_path):
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save(1, jnp.arange(3), {})
    assert_bitwise_equal(checkpoints.restore(jnp.zeros(3, jnp.int32)).tree, jnp.arange(3))
    checkpoints.save(2, {"a": None}, {})
    assert checkpoints.restore({"a": None}).tree == {"a": None}


def test_restored_buffers_can_be_given_away_and_compile_as_fresh_ones(tmp_path):
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save(1, small(1), {})
    fresh, restored = small(1), checkpoints.restore(small(0)).tree
    traces = []

    @jax.jit
    def step(state):
        traces.append(1)
        return jax.tree.map(lambda leaf: leaf + jnp.ones((), leaf.dtype), state)

    step(fresh), step(restored)
    assert len(traces) == 1
    assert not restored["w"].committed
    assert jax.jit(lambda w: w * 2.0, donate_argnums=0)(restored["w"])[0, 0] == 2.0
    assert checkpoints.restore(small(0)).tree["w"][0, 0] == 1.0


def test_a_leaf_put_on_devices_is_restored_there(tmp_path):
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save(1, small(1), {})
    mesh = jax.make_mesh((1,), ("data",), axis_types=(jax.sharding.AxisType.Auto,))
    sharding = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec())
    like = jax.device_put(small(0), sharding)
    assert checkpoints.restore(like).tree["w"].sharding == sharding
    assert checkpoints.restore(jax.eval_shape(lambda: small(0))).tree["w"].sharding != sharding


def test_float64_comes_back_only_with_x64(tmp_path, x64):
    checkpoints = Checkpoints(tmp_path)
    tree = {"w": jnp.full((2,), 1 / 3, jnp.float64)}
    assert tree["w"].dtype == np.float64
    checkpoints.save(1, tree, {})
    assert_bitwise_equal(checkpoints.restore(tree).tree, tree)
    with jax.enable_x64(False), pytest.raises(CheckpointError, match=r"state\['w'\] was saved as float64"):
        checkpoints.restore({"w": np.zeros(2)})


@pytest.mark.parametrize(
    ("keep_last", "keep_best", "left"), [(2, True, [20, 40, 50]), (2, False, [40, 50]), (1, True, [20, 50])]
)
def test_the_newest_and_the_best_are_kept(tmp_path, keep_last, keep_best, left):
    checkpoints = Checkpoints(tmp_path, keep_last=keep_last, keep_best=keep_best)
    for step, score in ((10, None), (20, 1.5), (30, float("nan")), (40, 1.5), (50, 2.0)):
        checkpoints.save(step, small(step), {}, score=score)
    assert checkpoints.steps() == left
    assert sorted(path.name for path in tmp_path.iterdir()) == [f"{step:09d}" for step in left]
    assert checkpoints.best_step() == (20 if keep_best else 40)


def test_a_step_is_chosen_or_the_newest(tmp_path):
    checkpoints = Checkpoints(tmp_path)
    for step in (5, 9):
        checkpoints.save(step, small(step), {"step": step})
    assert checkpoints.best_step() is None
    assert [checkpoints.restore(small(0), step).tree["step"] for step in (None, 5, 9)] == [9, 5, 9]
    assert [checkpoints.read_extra(step)["step"] for step in (None, 5, 9)] == [9, 5, 9]
    with pytest.raises(CheckpointError, match=r"no checkpoint of step 7 .*there are: 5, 9"):
        checkpoints.restore(small(0), 7)


def test_reading_an_absent_folder_creates_nothing(tmp_path):
    checkpoints = Checkpoints(tmp_path / "absent")
    assert checkpoints.steps() == []
    assert checkpoints.best_step() is None
    with pytest.raises(CheckpointError, match=r"no checkpoint in .*absent"):
        checkpoints.restore(small(0))
    with pytest.raises(CheckpointError, match="no checkpoint of step 3"):
        checkpoints.read_extra(3)
    assert list(tmp_path.iterdir()) == []


def test_the_same_step_again_replaces_it(tmp_path):
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save(5, small(5), {"try": 1})
    checkpoints.save(5, small(6), {"try": 2})
    restored = checkpoints.restore(small(0))
    assert (restored.extra["try"], int(restored.tree["step"])) == (2, 6)
    assert [path.name for path in tmp_path.iterdir()] == ["000000005"]


def test_while_a_step_is_replaced_there_is_always_a_whole_one(tmp_path, monkeypatch):
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save(5, small(5), {"try": 1})
    rename, seen = os.rename, []

    def watched(source, target):
        rename(source, target)
        seen.append(Checkpoints(tmp_path).restore(small(0)).extra["try"])
        if len(seen) == 1:
            raise OSError("cut short")

    monkeypatch.setattr(os, "rename", watched)
    with pytest.raises(CheckpointError, match="cut short"):
        checkpoints.save(5, small(6), {"try": 2})
    assert seen == [1]
    assert checkpoints.steps() == [5]
    checkpoints.save(5, small(7), {"try": 3})  # brings the old one back first, then replaces it
    assert seen == [1, 1, 1, 3]
    assert [path.name for path in tmp_path.iterdir()] == ["000000005"]


def test_leftovers_of_killed_saves_are_invisible_and_go_with_the_next_save(tmp_path):
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save(5, small(5), {})
    shutil.copytree(tmp_path / "000000005", tmp_path / ".writing-000000009")
    shutil.copytree(tmp_path / "000000005", tmp_path / ".removed-000000004")
    (tmp_path / "notes.txt").write_text("mine")
    assert Checkpoints(tmp_path).steps() == [5]
    checkpoints.save(6, small(6), {})
    assert sorted(path.name for path in tmp_path.iterdir()) == ["000000005", "000000006", "notes.txt"]


def damage(path, how):
    data = path.read_bytes()
    if how == "deleted":
        path.unlink()
    elif how == "emptied":
        path.write_bytes(b"")
    elif how == "truncated":
        path.write_bytes(data[:-1])
    else:
        middle = len(data) // 2
        path.write_bytes(data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :])


@pytest.mark.parametrize("how", ["deleted", "emptied", "truncated", "flipped"])
def test_damage_to_any_file_is_found_and_the_older_one_used(tmp_path, how):
    checkpoints = Checkpoints(tmp_path)
    for step in (5, 9):
        checkpoints.save(step, small(step), {"step": step})
    files = [path for path in sorted((tmp_path / "000000009").rglob("*")) if path.is_file()]
    assert [path.name for path in files] == ["arrays-00000.safetensors", "manifest.json"]
    for path in files:
        whole = path.read_bytes()
        if how == "emptied" and not whole:
            continue
        damage(path, how)
        restored = checkpoints.restore(small(0))
        assert (restored.step, int(restored.tree["w"][0, 0]), len(restored.skipped)) == (5, 5, 1), path
        assert path.name in restored.skipped[0]
        assert checkpoints.read_extra()["step"] == 5
        with pytest.raises(CheckpointError, match="000000009 is damaged"):
            checkpoints.restore(small(0), 9)
        path.write_bytes(whole)
    assert checkpoints.restore(small(0)).step == 9


def test_any_flipped_bit_of_the_manifest_is_found(tmp_path):
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save(5, small(5), {"step": 5}, score=1.5)
    path = tmp_path / "000000005" / "manifest.json"
    whole = path.read_bytes()
    for position in random.Random(0).sample(range(len(whole)), 150):
        bit = 1 << position % 8
        path.write_bytes(whole[:position] + bytes([whole[position] ^ bit]) + whole[position + 1 :])
        with pytest.raises(CheckpointError, match="manifest"):
            checkpoints.read_extra()
        assert checkpoints.best_step() is None


def test_arrays_are_checked_apart_from_the_files(tmp_path, monkeypatch):
    real = checkpoint_module.write_manifest

    def of_other_arrays(folder, head, leaves):
        leaves["state['w']"]["pieces"][0]["sha256"] = "0" * 64
        real(folder, head, leaves)

    monkeypatch.setattr(checkpoint_module, "write_manifest", of_other_arrays)
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save(5, small(5), {})
    with pytest.raises(CheckpointError, match=r"state\['w'\] is not the array that was saved"):
        checkpoints.restore(small(0))


def test_arrays_that_cannot_be_read_are_a_damaged_checkpoint(tmp_path, monkeypatch):
    def without_arrays(folder, head, leaves):
        (folder / "arrays-00000.safetensors").write_bytes(b"{")
        real(folder, head, leaves)

    real = checkpoint_module.write_manifest
    monkeypatch.setattr(checkpoint_module, "write_manifest", without_arrays)
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save(5, small(5), {})
    with pytest.raises(CheckpointError, match="its arrays cannot be read"):
        checkpoints.restore(small(0))


def test_when_all_are_damaged_each_has_its_line(tmp_path):
    checkpoints = Checkpoints(tmp_path)
    for step in (5, 9):
        checkpoints.save(step, small(step), {})
    for step in (5, 9):
        (tmp_path / f"{step:09d}" / "manifest.json").unlink()
    with pytest.raises(CheckpointError) as caught:
        checkpoints.restore(small(0))
    headline, *lines = caught.value.lines
    assert "no undamaged checkpoint" in headline
    assert [line.partition(" is damaged")[0][-9:] for line in lines] == ["000000009", "000000005"]


def test_damaged_checkpoints_do_not_push_out_whole_ones(tmp_path):
    checkpoints = Checkpoints(tmp_path)
    for step in (5, 9):
        checkpoints.save(step, small(step), {})
    (tmp_path / "000000009" / "manifest.json").unlink()
    checkpoints.save(7, small(7), {})
    assert checkpoints.steps() == [5, 7]


def test_a_checkpoint_in_the_place_of_another_step_is_refused(tmp_path):
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save(5, small(5), {})
    os.rename(tmp_path / "000000005", tmp_path / "000000008")
    with pytest.raises(CheckpointError, match="that of step 5"):
        checkpoints.restore(small(0))


def test_a_later_format_is_not_called_damage_alone(tmp_path, monkeypatch):
    checkpoints = Checkpoints(tmp_path)
    monkeypatch.setattr("seqmodels.training.manifest.FORMAT", 3)
    checkpoints.save(5, small(5), {})
    monkeypatch.undo()
    with pytest.raises(CheckpointError, match="format 3, this version of seqmodels reads 2"):
        checkpoints.restore(small(0))


@pytest.mark.parametrize(
    ("like", "line"),
    [
        ({"w": jnp.zeros((4, 6)), "step": jnp.int32(0)}, "state['w']: expected float32[4, 6], found float32[4, 5]"),
        (
            {"w": jnp.zeros((4, 5), jnp.bfloat16), "step": jnp.int32(0)},
            "state['w']: expected bfloat16[4, 5], found float32[4, 5]",
        ),
        ({"w": jnp.zeros((4, 5))}, "state['step']: expected nothing, found int32[]"),
        (
            {"w": jnp.zeros((4, 5)), "step": jnp.int32(0), "b": jnp.zeros(3)},
            "state['b']: expected float32[3], found nothing",
        ),
    ],
)
def test_a_checkpoint_of_another_model_is_refused(tmp_path, like, line):
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save(5, small(5), {})
    with pytest.raises(CheckpointError) as caught:
        checkpoints.restore(like)
    assert "000000005 is of another model" in caught.value.lines[0]
    assert caught.value.lines[1:] == (line,)


def test_many_differences_are_cut_short(tmp_path):
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save(5, [jnp.zeros(2)] * 20, {})
    with pytest.raises(CheckpointError) as caught:
        checkpoints.restore([jnp.zeros(3)] * 20)
    assert len(caught.value.lines) == 10
    assert caught.value.lines[-1] == "and 12 more"


def test_what_cannot_be_saved_is_refused_before_anything_is_written(tmp_path):
    checkpoints = Checkpoints(tmp_path / "checkpoints")
    with pytest.raises(TypeError, match=r"state\['a'\] is not an array but str"):
        checkpoints.save(1, {"a": "text"}, {})
    with pytest.raises(TypeError, match=r"state\['a'\] is a key; keep jax.random.key_data of it"):
        checkpoints.save(1, {"a": jax.random.key(0)}, {})
    with pytest.raises(TypeError, match="not JSON serializable"):
        checkpoints.save(1, small(1), {"a": {1, 2}})
    with pytest.raises(ValueError, match="negative"):
        checkpoints.save(-1, small(1), {})
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(ValueError, match="keep_last"):
        Checkpoints(tmp_path, keep_last=0)


def test_of_a_step_to_go_back_to_the_best_until_there_is_kept_too(tmp_path):
    checkpoints = Checkpoints(tmp_path, keep_last=1)
    for step, score, keep in ((10, 2.0, None), (30, 1.0, 20), (40, 1.1, 40), (50, 0.9, 40), (55, None, 40)):
        checkpoints.save(step, small(step), {}, score=score, keep=keep)
    assert checkpoints.steps() == [30, 40, 50, 55]
    checkpoints.drop_after(40)
    assert (checkpoints.steps(), checkpoints.best_step()) == ([30, 40], 30)
    checkpoints.drop_after(0)
    assert checkpoints.steps() == []


def test_nothing_is_removed_where_there_is_nothing_to_go_back_to(tmp_path):
    checkpoints = Checkpoints(tmp_path)
    for step in (6, 9):
        checkpoints.save(step, small(step), {})
    (tmp_path / "000000006" / "manifest.json").unlink()
    for step, reason in ((5, "no checkpoint of step 5"), (6, "no undamaged checkpoint")):
        with pytest.raises(CheckpointError, match=f"(?s)cannot go back to step {step}; nothing was removed.*{reason}"):
            checkpoints.drop_after(step)
        assert checkpoints.steps() == [6, 9]


@pytest.mark.parametrize("where", ["arrays", "manifest.json"])
def test_a_full_disk_leaves_the_earlier_ones(tmp_path, monkeypatch, where):
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save(5, small(5), {})

    def full(*arguments):
        raise OSError(28, "No space left on device")

    if where == "arrays":
        monkeypatch.setattr("seqmodels.training.piece_store.write_arrays", full)
    else:
        monkeypatch.setattr(checkpoint_module, "write_manifest", full)
    with pytest.raises(CheckpointError, match=r"step 6 .*No space left on device; make room") as caught:
        checkpoints.save(6, small(6), {})
    assert str(tmp_path) in str(caught.value)
    assert [path.name for path in tmp_path.iterdir()] == ["000000005"]
    monkeypatch.undo()
    assert checkpoints.restore(small(0)).step == 5


def test_a_run_folder_that_is_gone_is_not_made_again(tmp_path):
    checkpoints = Checkpoints(tmp_path / "gone" / "checkpoints")
    with pytest.raises(CheckpointError, match=r"step 6 .*: its folder is gone; was the run folder deleted or moved\?$"):
        checkpoints.save(6, small(6), {})
    assert list(tmp_path.iterdir()) == []


CHILD = """
    import resource, sys
    import jax, jax.numpy as jnp, numpy as np
    from seqmodels.training.checkpoint import CheckpointError, Checkpoints

    def state(step):
        noise = np.random.default_rng(step).standard_normal((200, 200))
        return {"w": jnp.asarray(noise, jnp.float32), "step": jnp.int32(step)}
"""


def run_child(code: str, *arguments: object, **options: Any) -> subprocess.Popen[str]:
    """Starts a process of its own on the child's code."""
    environment = {**os.environ, "JAX_PLATFORMS": "cpu", "PYTHONPATH": os.pathsep.join(sys.path)}
    script = textwrap.dedent(CHILD) + textwrap.dedent(code)
    command = [sys.executable, "-c", script, *map(str, arguments)]
    return subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options
    )


def test_a_file_size_limit_of_the_system_leaves_the_earlier_ones(tmp_path):
    code = """
        checkpoints = Checkpoints(sys.argv[1])
        checkpoints.save(1, {"w": jnp.zeros(4)}, {})
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, resource.RLIM_INFINITY))
        try:
            checkpoints.save(2, state(2), {})
        except CheckpointError as error:
            print("refused:", error)
        print(checkpoints.steps(), checkpoints.restore({"w": jnp.zeros(4)}).step)
    """
    output, errors = run_child(code, tmp_path).communicate(timeout=120)
    refusal, steps = output.splitlines()
    assert refusal.startswith(f"refused: cannot save the checkpoint of step 2 in {tmp_path}: ")
    assert refusal.endswith("resume from the last checkpoint")
    assert steps == "[1] 1"
    assert [path.name for path in tmp_path.iterdir()] == ["000000001"]
    assert errors == ""


def test_a_process_killed_while_saving_leaves_a_whole_newest(tmp_path):
    code = """
        checkpoints = Checkpoints(sys.argv[1])
        step = max(checkpoints.steps(), default=0)
        while True:
            step += 1
            checkpoints.save(step, state(step), {"step": step})
            checkpoints.save(step, state(step), {"step": step})  # replacing is as safe
            print(step, flush=True)
    """
    like = {"w": jnp.zeros((200, 200)), "step": jnp.int32(0)}
    dice, reported = random.Random(1), 0
    for _ in range(3):
        child = run_child(code, tmp_path)
        for _ in range(2):
            reported = int(child.stdout.readline())
        # The moment is left to chance on purpose: whatever it is, what was reported as saved must be there.
        with pytest.raises(subprocess.TimeoutExpired):
            child.wait(dice.uniform(0, 0.12))
        child.kill()
        output, _ = child.communicate()
        assert child.returncode == -signal.SIGKILL
        reported = max([reported, *map(int, output.split())])
        restored = Checkpoints(tmp_path).restore(like)
        assert restored.skipped == ()
        assert restored.step in (reported, reported + 1)
        assert int(restored.tree["step"]) == restored.extra["step"] == restored.step
        expected = np.random.default_rng(restored.step).standard_normal((200, 200)).astype(np.float32)
        np.testing.assert_array_equal(restored.tree["w"], expected)
    Checkpoints(tmp_path).save(10**6, like, {})
    assert not list(tmp_path.glob(".*"))


def test_the_manifest_is_strict_about_itself_only(tmp_path):
    Checkpoints(tmp_path).save(1, small(1), {"a": (1, 2)})
    document = json.loads((tmp_path / "000000001" / "manifest.json").read_text())
    assert document["payload"]["extra"] == {"a": [1, 2]}
    assert document["payload"]["leaves"]["state['w']"]["shape"] == [4, 5]
    assert set(document["payload"]["leaves"]["state['w']"]) == {"shape", "dtype", "pieces"}
