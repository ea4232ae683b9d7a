"""The files that start a run on a cluster, with stand-ins for the cluster's own commands."""

import contextlib
import itertools
import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml
from clusters import COMPILED, DEADLINE, arguments, assert_same_losses, folder, free_port, run_of
from small import ROOT, environment

LAUNCH = ROOT / "scripts" / "launch"
JOB = "4711"

SRUN = """#!/bin/bash
# Two tasks on two nodes, which are this machine; as srun it ends with the largest code.
[ "$1" = --kill-on-bad-exit=1 ] || exit 99
shift
export SLURM_NTASKS=2 SLURM_STEP_NUM_NODES=2 SLURM_STEP_NODELIST=127.0.0.1,127.0.0.2 SLURM_LOCALID=0
for SLURM_PROCID in 0 1; do export SLURM_PROCID; "$@" & tasks+=($!); done
echo "${tasks[1]}" > "$RECORD.tasks"
code=0
for task in "${tasks[@]}"; do
  wait "$task" || { got=$?; [ $got -gt $code ] && code=$got; }
done
exit $code
"""


@pytest.fixture
def cluster(tmp_path):
    """Makes a command of the cluster, and its environment; what `scontrol` and others are asked stands in `asked`."""
    commands = tmp_path / "bin"
    commands.mkdir()

    def made(**scripts):
        for name, text in scripts.items():
            (commands / name).write_text(text)
            (commands / name).chmod(0o755)
        return environment(
            PATH=os.pathsep.join([str(commands), str(Path(sys.executable).parent), os.environ["PATH"]]),
            RECORD=str(tmp_path / "asked"),
            SLURM_JOB_ID=JOB,
            JAX_NUM_CPU_DEVICES="2",
            JAX_COORDINATOR_PORT=str(free_port()),
            **COMPILED,
        )

    return made


RECORDING = '#!/bin/bash\nprintf "%s\\n" "$@" >> "$RECORD"\n'


def asked(folder):
    path = folder / "asked"
    return path.read_text().splitlines() if path.exists() else []


class Job:
    """A command of a cluster, on this machine; a context manager that leaves no process of it behind."""

    def __init__(self, command, env, output):
        self.output = output
        with open(output, "w", encoding="utf-8") as file:
            self.child = subprocess.Popen(
                command, cwd=ROOT, env=env, stdout=file, stderr=subprocess.STDOUT, start_new_session=True
            )

    def ends(self):
        """Waits for its end: the exit code."""
        return self.child.wait(DEADLINE)

    def waits_for(self, moment):
        """Waits for a moment that must come before the end."""
        deadline = time.monotonic() + DEADLINE
        while not moment():
            assert self.child.poll() is None, self.said
            assert time.monotonic() < deadline, self.said
            time.sleep(0.01)

    @property
    def said(self):
        return self.output.read_text(encoding="utf-8")

    def __enter__(self):
        return self

    def __exit__(self, *error):
        with contextlib.suppress(ProcessLookupError):  # all have ended
            os.killpg(self.child.pid, signal.SIGKILL)
        self.child.wait()


def start(script, *train, env):
    return Job(["bash", str(LAUNCH / script), *train], env, Path(env["RECORD"]).with_name("output"))


def test_a_job_of_slurm_trains_in_all_its_processes(cluster, tmp_path):
    with start("slurm.sh", *arguments("slurm"), env=cluster(srun=SRUN, scontrol=RECORDING)) as job:
        assert job.ends() == 0, job.said
    assert asked(tmp_path) == []
    assert_same_losses(run_of("slurm"))


@pytest.mark.faults
def test_a_job_of_slurm_whose_time_is_over_is_saved_and_queued_again(cluster, tmp_path):
    run = run_of("slurm_stopped")
    env = cluster(srun=SRUN, scontrol=RECORDING)
    with start("slurm.sh", *arguments(run.name), env=env) as job:
        job.waits_for((run / "checkpoints" / "000000010").exists)
        os.kill(int((tmp_path / "asked.tasks").read_text()), signal.SIGTERM)
        assert job.ends() == 128 + signal.SIGTERM, job.said
    assert asked(tmp_path) == ["requeue", JOB]
    with start("slurm.sh", *arguments(run.name), env=env) as job:
        assert job.ends() == 0, job.said
    assert_same_losses(run)


@pytest.mark.parametrize(
    ("code", "begun", "again"),
    [(0, 0, False), (1, 0, False), (2, 0, False), (3, 0, True), (3, 9, True), (3, 10, False), (134, 0, True)],
)
def test_a_job_of_slurm_is_queued_again_if_that_may_help(cluster, tmp_path, code, begun, again):
    env = cluster(srun=f"#!/bin/bash\nexit {code}\n", scontrol=RECORDING) | {"SLURM_RESTART_COUNT": str(begun)}
    with start("slurm.sh", "a.toml", env=env) as job:
        assert job.ends() == code
    assert asked(tmp_path) == (["requeue", JOB] if again else [])


DEVICES = """
import jax
from seqmodels.training.processes import Joining, joined
with joined(Joining(detected=True)):
    print(jax.config.values["jax_cuda_visible_devices"])
"""


@pytest.mark.parametrize(
    ("nodes", "changes", "devices"),
    [
        (2, {}, ["all", "all"]),
        (2, {"JAX_LOCAL_DEVICE_IDS": "1,2"}, ["1,2", "1,2"]),
        pytest.param(1, {}, ["0", "1"], marks=pytest.mark.faults),
    ],
)
def test_a_process_alone_on_its_node_has_all_its_gpus(cluster, tmp_path, nodes, changes, devices):
    env = cluster() | {"SLURM_STEP_NODELIST": "127.0.0.1", "SLURM_NTASKS": "2", "SLURM_STEP_NUM_NODES": str(nodes)}
    with contextlib.ExitStack() as stack:
        tasks = []
        for place in (0, 1):
            own = {"SLURM_PROCID": str(place), "SLURM_LOCALID": str(place if nodes == 1 else 0), **changes}
            job = Job([sys.executable, "-c", DEVICES], env | own, tmp_path / f"output-{place}")
            tasks.append(stack.enter_context(job))
        assert [task.ends() for task in tasks] == [0, 0], [task.said for task in tasks]
        assert [task.said.splitlines()[-1] for task in tasks] == devices


def jobset():
    """The one job of the JobSet, as Kubernetes reads it, and the name of the set."""
    whole = yaml.safe_load((LAUNCH / "jobset.yaml").read_text())
    (job,) = whole["spec"]["replicatedJobs"]
    return whole["metadata"]["name"], job


def test_the_pods_of_a_jobset_meet_where_it_says():
    name, job = jobset()
    pods = job["template"]["spec"]
    (container,) = pods["template"]["spec"]["containers"]
    words = shlex.split(container["args"][0])
    given = dict(itertools.pairwise(words))
    # A pod's host is called SET-JOB-REPLICA-POD, in the subdomain of the set.
    port = container["ports"][0]["containerPort"]
    assert given["--coordinator"] == f"{name}-{job['name']}-0-0.{name}:{port}"
    assert int(given["--processes"]) == pods["parallelism"] == pods["completions"]
    assert given["--index"] == "$JOB_COMPLETION_INDEX"
    assert pods["completionMode"] == "Indexed"
    (mount,) = container["volumeMounts"]
    assert all(path.startswith(mount["mountPath"]) for path in (words[3], given[words[3]].partition("=")[2]))


@pytest.mark.faults
def test_the_pods_of_a_jobset_train(cluster, tmp_path):
    name, job = jobset()
    (container,) = job["template"]["spec"]["template"]["spec"]["containers"]
    run, port = run_of("jobset"), free_port()
    command = container["args"][0].replace("/shared/configs/char_lm.toml", str(folder() / "small.toml"))
    command = command.replace(f"{name}-{job['name']}-0-0.{name}:1234", f"127.0.0.1:{port}")
    command = command.replace("run.dir=/shared/runs data.batch_size=1024", shlex.join(arguments(run.name)[1:]))
    with contextlib.ExitStack() as stack:
        pods = []
        for index in (0, 1):
            env = cluster() | {"JOB_COMPLETION_INDEX": str(index)}
            pod = Job([*container["command"], command], env, tmp_path / f"output-{index}")
            pods.append(stack.enter_context(pod))
        assert [pod.ends() for pod in pods] == [0, 0], [pod.said for pod in pods]
    assert_same_losses(run)


def test_the_hosts_of_a_tpu_slice_are_told_what_was_said(cluster, tmp_path):
    settings = ["configs/char_lm.toml", "run.dir=/shared/my runs", 'model.cell={name="gru", hidden_size=8}']
    with start("tpu_pod.sh", "pod", "us-west4-8a", *settings, env=cluster(gcloud=RECORDING)) as job:
        assert job.ends() == 0, job.said
    *where, command = asked(tmp_path)
    assert where == ["compute", "tpus", "tpu-vm", "ssh", "pod", "--zone=us-west4-8a", "--worker=all"]
    told = shlex.split(command.removeprefix("--command="))
    train = ["python", "scripts/train.py", *settings, "--distributed", "--resume"]
    assert told == ["cd", "seqmodels", "&&", *train]
