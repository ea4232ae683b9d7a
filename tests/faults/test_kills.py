"""Runs killed without warning, at any moment, and resumed: they come to the same end, to the bit."""

import random
import shutil
import time

import pytest
from processes import TrainingRun, assert_same_run, is_compiling, is_saving, is_stepping, is_validating, whole

MOMENTS = {
    "at the start": lambda run: run.path.exists(),
    "while compiling": is_compiling,
    "after a step": is_stepping,
    "while saving": is_saving,
    "while validating": is_validating,
    "while the best is measured": lambda run: "evaluating the best checkpoint" in run.output,
    "when all is written": lambda run: (run.path / "result.json").exists(),
}
"""In the order in which a run comes to them."""

SAMPLE = ("while saving", "while validating", "while the best is measured")


@pytest.mark.parametrize("moments", [SAMPLE, pytest.param(tuple(MOMENTS), marks=pytest.mark.faults)])
def test_a_run_killed_at_certain_moments_comes_to_the_same_end(moments, tmp_path):
    whole()
    with TrainingRun(tmp_path) as run:
        for moment in moments:
            run.start("--resume")
            run.waits_for(MOMENTS[moment])
            run.kill()
        run.finish()


@pytest.mark.faults
@pytest.mark.parametrize("seed", range(3))
def test_a_run_killed_at_random_moments_comes_to_the_same_end(seed, tmp_path):
    draw = random.Random(seed)
    longest = whole().seconds
    kills = 0
    with TrainingRun(tmp_path) as run:
        while kills < 10:
            run.start("--resume")
            moment = time.monotonic() + draw.uniform(0, longest)
            if run.reaches(lambda run, moment=moment: time.monotonic() > moment):
                run.kill()
                kills += 1
            else:
                assert run.wait() == 0, run.errors
                assert_same_run(run.path)
                shutil.rmtree(run.path)
        run.finish()
