"""The same run on one device, on eight, and in two processes; begun on one topology, gone on with on another."""

import json

import pytest
from clusters import COMPILED, STEPS, arguments, assert_same_losses, cut_back, on_one_device, run_of, train_on
from small import python, restore

MESHES = ("{data=8, model=1}", "{data=2, model=4}", "{data=1, model=8}")


@pytest.fixture(scope="module")
def on_eight_devices():
    """The runs of all meshes, in one process."""
    code = "import json, sys; from seqmodels.cli import main; sys.exit(max(map(main, json.loads(sys.argv[1]))))"
    commands = [["train", *arguments(f"mesh_{n}", f"devices.mesh={mesh}")] for n, mesh in enumerate(MESHES)]
    done = python("-c", code, json.dumps(commands), JAX_NUM_CPU_DEVICES="8", **COMPILED)
    assert done.returncode == 0, done.stderr
    return [run_of(f"mesh_{n}") for n, _ in enumerate(MESHES)]


@pytest.mark.parametrize("number", range(len(MESHES)), ids=MESHES)
def test_eight_devices_learn_what_one_does(on_eight_devices, number):
    assert_same_losses(on_eight_devices[number])


def test_a_run_goes_on_with_other_devices(on_eight_devices):
    run = on_eight_devices[1]
    for step, devices, mesh in ((10, 2, "{data=1, model=2}"), (20, 1, "{}"), (30, 8, "{data=4, model=2}")):
        cut_back(run, step)
        train_on(devices, run.name, f"devices.mesh={mesh}", "--resume")
        assert_same_losses(run)
    assert restore(run).step == STEPS
    assert restore(on_one_device()).step == STEPS
