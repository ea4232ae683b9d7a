"""The commands as a user gives them: exit codes, lines, and what they leave."""

import re
import shutil
import subprocess
import sys

import pytest
from small import PLAIN, ROOT, environment, finished, python, result, rows, snapshot, text, write

from seqmodels.cli import main
from seqmodels.tasks.text_model import TextModel
from seqmodels.training.progress import format_measure

COMMANDS = ("train", "evaluate", "generate", "plan", "predict", "analyze", "data", "benchmark", "sweep")


def lines(capsys):
    """Exit code 2 comes with lines on stderr, nothing on stdout and no traceback."""
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "Traceback" not in captured.err
    return captured.err.splitlines()


# ----------------------------------------------------------------------------------------------------------------- help
def test_help_is_given_without_slow_imports():
    code = (
        "import sys\nfrom seqmodels.cli import main\n"
        "try:\n    main(sys.argv[1:])\n"
        "except SystemExit as leaving:\n"
        "    slow = ('grain', 'pydantic', 'optax', 'rich', 'optuna')\n"
        "    print('imported:', *[name for name in slow if name in sys.modules])\n"
        "    sys.exit(leaving.code)"
    )
    for command in ((), *((name,) for name in COMMANDS)):
        done = python("-c", code, *command, "--help")
        assert done.returncode == 0, done.stderr
        assert "exit codes" in done.stdout
        assert done.stdout.splitlines()[-1].strip() == "imported:"


@pytest.mark.parametrize("name", COMMANDS)
def test_every_script_has_help(name):
    done = python(str(ROOT / "scripts" / f"{name}.py"), "--help")
    assert done.returncode == 0, done.stderr
    assert f"usage: seqmodels {name}" in done.stdout


def test_there_is_a_script_for_every_command():
    assert {path.stem for path in (ROOT / "scripts").glob("*.py")} == set(COMMANDS)


def test_the_version(capsys):
    with pytest.raises(SystemExit) as leaving:
        main(["--version"])
    assert leaving.value.code == 0
    assert re.fullmatch(r"seqmodels \d+\.\d+\.\d+\S*\n", capsys.readouterr().out)


@pytest.mark.parametrize("arguments", [[], ["trian"], ["train"], ["evaluate"], ["generate", "run", "--length", "-1"]])
def test_wrong_arguments_end_in_exit_code_2(arguments, capsys):
    with pytest.raises(SystemExit) as leaving:
        main(arguments)
    assert leaving.value.code == 2
    captured = capsys.readouterr()
    assert "usage: seqmodels" in captured.err
    assert "required: CONFIG, KEY=VALUE" not in captured.err


@pytest.mark.parametrize("place", [1, 2, 3, 4])
def test_options_may_stand_anywhere_among_the_assignments(place, tmp_path, capsys):
    arguments = ["train", *write(tmp_path, PLAIN)]
    arguments.insert(place, "--keys")
    assert main(arguments) == 0
    assert "model.cell.hidden_size" in capsys.readouterr().out


# ---------------------------------------------------------------------------------------------------------------- train
def test_keys_are_listed_and_nothing_is_made(tmp_path, capsys):
    assert main(["train", *write(tmp_path, PLAIN), "--keys"]) == 0
    output = capsys.readouterr().out
    for key in ("run.steps", "data.path", "model.cell.name", "optimizer.schedule.name", "devices.mesh.data"):
        assert key in output
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("assignments", "faults"),
    [
        (["run.stesp=3"], ["command line (run.stesp=3): run.stesp: unknown key; did you mean 'steps'?"]),
        (["run.steps=0"], ["run.steps: must be a whole number of at least 1 (got 0)"]),
        (["run.steps=many"], ["run.steps: must be a whole number of at least 1 (got the string 'many')"]),
        (["run.steps=-3"], ["run.steps"]),
        (["optimizer.name=adamm"], ["did you mean 'adam'?"]),
        (["optimizer.name=sgd", "optimizer.learning_rate=0.0"], ["optimizer.learning_rate: must be a number above 0"]),
        (["model.cell.name=lstmm"], ["did you mean 'lstm'?"]),
        (["task.name=language_modeling"], ["did you mean 'language_modelling'?"]),
        (["data.nmae=ptb"], ["data.nmae: unknown key; did you mean 'name'?"]),
        (["data.path=missing.txt"], ["missing.txt: there is no such file"]),
        (["run"], ["no '=' in it"]),
        (
            ["run.steps=0", "data.window=0", "model.cell.zoneout=2.0"],
            ["run.steps", "data.window", "model.cell.zoneout"],
        ),
        (["devices.mesh.data=1000"], ["devices.mesh.data: 1000 devices asked for"]),
        (["devices.mesh.data=0"], ["devices.mesh"]),
        (
            ["optimizer.name=sgd", "optimizer.schedule={name='warmup_cosine', warmup_steps=50}"],
            ["optimizer.schedule.warmup_steps: must be less than run.steps (got 50, and run.steps is 2)"],
        ),
        (["sample.prompt=Zoo"], ["sample.prompt: the text has characters that the model was not trained on: 'Z'"]),
        (["data.batch_size=5000"], ["data.batch_size"]),
        (["model.method=warp"], ["model.method: must be one of 'auto', 'scan'"]),
        (["data.unit=byte", "data.vocabulary=100"], ["vocabulary"]),
        (["run.name=../elsewhere"], ["name must be that of a folder below dir (got '../elsewhere')"]),
        (["run.name=/elsewhere"], ["name must be that of a folder below dir"]),
        (['run.name="a\\u0000b"'], ["there is a zero in them"]),
        (
            ["model.cell.hidden_size=2147483648", "data.window=10000000000"],
            ["data.window: must not be beyond 2,147,483,647", "model.cell.hidden_size: must not be beyond"],
        ),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else None,
)
def test_faults_are_a_line_each_and_nothing_is_made(assignments, faults, tmp_path, capsys):
    config, path, folder = write(tmp_path, PLAIN)
    given = [path] if not any(a.startswith("data.path") for a in assignments) else []
    before = snapshot(tmp_path)
    assert main(["train", config, *given, folder, *assignments]) == 2
    found = lines(capsys)
    assert len(found) == len(faults)
    for fault in faults:
        assert sum(fault in line for line in found) == 1, found
    assert snapshot(tmp_path) == before
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (b"", "is empty"),
        (b"abc\n", "at least 1,000 characters"),
        (b"abc\0" * 1000, "a binary file"),
        (b"\xff\xfe" + b"a\0" * 1000, "UTF-16"),
        (b"\xe9 " * 1000, "not UTF-8"),
    ],
)
def test_a_file_that_is_no_text(content, fault, tmp_path, capsys):
    arguments = write(tmp_path, PLAIN)
    (tmp_path / "text.txt").write_bytes(content)
    assert main(["train", *arguments]) == 2
    (line,) = lines(capsys)
    assert f"{tmp_path / 'text.txt'}: " in line
    assert fault in line
    assert not (tmp_path / "runs").exists()


def test_no_memory_is_told_as_such(tmp_path, capsys):
    """More rows than any machine has room for, met at the first validation."""
    assert main(["train", *write(tmp_path, PLAIN), "data.eval_batch_size=2147483647"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("not enough memory: ")


def test_a_missing_data_set_says_which_files_to_put_where(tmp_path, capsys):
    config, _, folder = write(tmp_path, PLAIN)
    assert main(["train", config, folder, "data.name=ptb", f"data.dir={tmp_path}"]) == 2
    found = "\n".join(lines(capsys))
    for name in ("ptb.train.txt", "ptb.valid.txt", "ptb.test.txt", str(tmp_path)):
        assert name in found
    assert not (tmp_path / "runs").exists()


def test_a_config_that_is_missing(tmp_path, capsys):
    write(tmp_path, PLAIN)
    assert main(["train", str(tmp_path / "smal.toml")]) == 2
    (line,) = lines(capsys)
    assert "no such file" in line
    assert "did you mean" in line


def test_a_config_that_is_not_toml(tmp_path, capsys):
    (tmp_path / "a.toml").write_text("[run\n")
    assert main(["train", str(tmp_path / "a.toml")]) == 2
    (line,) = lines(capsys)
    assert f"{tmp_path / 'a.toml'}:1: not valid TOML" in line


def test_the_name_of_the_run_is_that_of_the_config_or_ones_own(tmp_path):
    assert main(["train", *write(tmp_path, PLAIN), "run.name=mine", "run.steps=1"]) == 0
    assert result(tmp_path / "runs" / "mine")["config"] == "mine"


# ------------------------------------------------------------------------------------------------------------- evaluate
def shown(metrics):
    return [format_measure(name, value) for name, value in metrics.items()]


@pytest.mark.parametrize("split", ["valid", "test"])
def test_evaluate_gives_the_numbers_of_the_result(split, capsys):
    assert main(["evaluate", str(finished().path), "--split", split]) == 0
    output = capsys.readouterr().out
    metrics = {k: v for k, v in result(finished().path)["metrics"].items() if k.startswith(split)}
    assert len(metrics) == 2
    for words in (*shown(metrics), "unigram", "gzip", "xz"):
        assert words in output
    assert len(output.splitlines()) == 3


def test_evaluate_measures_the_test_split_if_nothing_is_said(capsys):
    assert main(["evaluate", str(finished().path)]) == 0
    assert shown(result(finished().path)["metrics"])[-1] in capsys.readouterr().out


@pytest.mark.parametrize("command", ["evaluate", "generate"])
@pytest.mark.parametrize("asked", ["99", "newest", "-1", "1.5"])
def test_a_checkpoint_that_is_not_there(command, asked, capsys):
    assert main([command, str(finished().path), f"--checkpoint={asked}"]) == 2
    (line,) = lines(capsys)
    assert f"'{asked}'" in line
    assert "12" in line


@pytest.mark.parametrize("command", ["evaluate", "generate"])
def test_a_folder_that_is_not_of_a_run(command, tmp_path, capsys):
    for folder in (tmp_path, tmp_path / "missing"):
        assert main([command, str(folder)]) == 2
        (line,) = lines(capsys)
        assert f"{folder} is not the folder of a run" in line


@pytest.mark.parametrize("command", ["evaluate", "generate"])
def test_a_run_without_a_checkpoint(command, tmp_path, capsys):
    run = shutil.copytree(finished().path, tmp_path / "run", ignore=shutil.ignore_patterns("checkpoints"))
    assert main([command, str(run)]) == 2
    (line,) = lines(capsys)
    assert "no checkpoint in" in line


def test_a_checkpoint_of_another_model(tmp_path, capsys):
    run = shutil.copytree(finished().path, tmp_path / "run")
    config = run / "config.toml"
    config.write_text(config.read_text().replace("hidden_size = 8", "hidden_size = 9"))
    assert main(["evaluate", str(run)]) == 2
    assert "is of another model" in lines(capsys)[0]


def test_evaluate_refuses_another_text(tmp_path, capsys):
    run = shutil.copytree(finished().path, tmp_path / "run")
    (tmp_path / "text.txt").write_text(text(seed=9))
    config = run / "config.toml"
    original = finished().arguments[1].partition("=")[2]
    config.write_text(config.read_text().replace(original, str(tmp_path / "text.txt")))
    assert main(["evaluate", str(run)]) == 2
    (line,) = lines(capsys)
    assert "not the one this run was trained on" in line


# ------------------------------------------------------------------------------------------------------------- generate
def generate(capsys, *options):
    assert main(["generate", str(finished().path), *options]) == 0
    return capsys.readouterr().out


def test_generate_goes_on_from_the_prompt(capsys):
    output = generate(capsys, "--prompt", "the cat ", "--length", "30")
    assert output.startswith("the cat ")
    assert output.endswith("\n")
    assert len(output) == 8 + 30 + 1


def test_the_seed_decides_the_text(capsys):
    first, again, other = (generate(capsys, "--length", "50", "--seed", seed) for seed in ("1", "1", "2"))
    assert first == again != other


def test_generate_needs_no_data(tmp_path, capsys):
    run = shutil.copytree(finished().path, tmp_path / "run")
    config = run / "config.toml"
    config.write_text(config.read_text().replace("text.txt", "gone.txt"))
    assert main(["generate", str(run), "--length", "20"]) == 0
    assert capsys.readouterr().out == generate(capsys, "--length", "20")


def test_no_length_is_the_prompt_alone(capsys):
    assert generate(capsys, "--prompt", "the", "--length", "0") == "the\n"


def test_several_samples(capsys):
    one = generate(capsys, "--prompt", "a", "--length", "20")
    two = generate(capsys, "--prompt", "a", "--length", "20", "--samples", "2")
    headings = [line for line in two.splitlines() if line.startswith("---")]
    assert headings == ["--- sample 1 of 2 ---", "--- sample 2 of 2 ---"]
    first, second = two.removeprefix(headings[0] + "\n").split(headings[1] + "\n")
    assert first == one
    assert second != one
    assert len(second) == len(one)


def test_a_line_each(capsys):
    whole = generate(capsys, "--prompt", "the", "--length", "300", "--seed", "2", "--samples", "2").split("--- sample")
    several = generate(capsys, "--prompt", "the", "--length", "300", "--seed", "2", "--samples", "2", "--line")
    heading, first, second_heading, second = several.splitlines()
    assert (heading, second_heading) == ("--- sample 1 of 2 ---", "--- sample 2 of 2 ---")
    assert [first, second] == [text.splitlines()[1] for text in whole[1:]]


def test_a_line_of_a_model_that_knows_none(capsys, monkeypatch):
    monkeypatch.setattr(TextModel, "line_end", None)
    assert main(["generate", str(finished().path), "--line"]) == 2
    assert lines(capsys) == ["--line: this model knows no line end; leave it out"]


def test_the_likeliest_text_needs_no_seed(capsys):
    options = ("--length", "20", "--temperature", "0")
    assert generate(capsys, *options, "--seed", "1") == generate(capsys, *options, "--seed", "2")
    assert generate(capsys, "--length", "20", "--top-k", "1") == generate(capsys, *options)


@pytest.mark.parametrize(
    ("options", "fault"),
    [
        (["--prompt", "the Zebra"], "'Z' (U+005A, position 4)"),
        (["--temperature", "-1"], "temperature must be a number of at least 0"),
        (["--temperature", "nan"], "temperature must be a number of at least 0"),
        (["--top-k", "0"], "top_k must be at least 1"),
        (["--top-p", "0"], "top_p must be above 0"),
        (["--top-p", "1.5"], "top_p must be above 0"),
        (["--repetition-penalty", "0"], "repetition_penalty must be a number above 0"),
        (["--beam", "3", "--temperature", "1", "--top-k", "2"], "leave out --temperature, --top-k"),
        (["--beam", "3", "--repetition-penalty", "1.2"], "leave out --repetition-penalty"),
        (["--beam", "2", "--samples", "3"], "2 beams give at most 2 texts (got 3)"),
    ],
)
def test_what_cannot_be_generated(options, fault, capsys):
    assert main(["generate", str(finished().path), *options]) == 2
    (line,) = lines(capsys)
    assert fault in line


def test_a_penalty_makes_another_text(capsys):
    plain, same, other = (
        generate(capsys, "--length", "60", *options)
        for options in ((), ("--repetition-penalty", "1"), ("--repetition-penalty", "1.8"))
    )
    assert plain == same != other


def test_beams_find_the_likeliest_line_whatever_the_seed(capsys):
    one = generate(capsys, "--prompt", "the c", "--beam", "3", "--length", "12")
    assert one.startswith("the c")
    assert one.count("\n") == 1
    assert generate(capsys, "--prompt", "the c", "--beam", "3", "--length", "12", "--seed", "5") == one
    several = generate(capsys, "--prompt", "the c", "--beam", "3", "--length", "12", "--samples", "2")
    first, text, second, _ = several.splitlines()
    assert text + "\n" == one
    assert re.fullmatch(r"--- 1 of 2, log-probability -\d+\.\d\d nats ---", first)
    assert second.startswith("--- 2 of 2, ")


def test_generate_writes_as_it_draws():
    """The first piece reaches a pipe before the last is drawn, and a reader who leaves early is no fault."""
    child = subprocess.Popen(
        [sys.executable, str(ROOT / "scripts" / "generate.py"), str(finished().path), "--length", "100000"],
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with child:
        assert child.stdout.read(40)
        assert child.poll() is None
        child.stdout.close()
        assert child.stderr.read() == ""
    assert child.returncode == 0


def test_a_defect_keeps_its_traceback(monkeypatch):
    monkeypatch.setattr("seqmodels.commands.training.configs.load", lambda *arguments: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        main(["train", "a.toml"])


def test_the_best_checkpoint_is_the_one_used(tmp_path, capsys):
    """The rate of the first step is 0; those after it do harm."""
    schedule = "optimizer.schedule={name='warmup_cosine', warmup_steps=1, final_fraction=1.0}"
    harmful = ["optimizer.name=sgd", "optimizer.learning_rate=50.0", schedule]
    steps = ["run.steps=4", "run.validate_every=1", "run.keep_last=1"]
    assert main(["train", *write(tmp_path, PLAIN), *harmful, *steps]) == 0
    run = tmp_path / "runs" / "small"
    first, *_, last = rows(run)
    assert last["valid/bits_per_char"] > first["valid/bits_per_char"] + 1
    assert result(run)["metrics"]["valid/bits_per_char"] == first["valid/bits_per_char"]
    assert sorted(int(path.name) for path in (run / "checkpoints").iterdir() if path.name.isdecimal()) == [1, 4]
    for asked, step, row in (("best", 1, first), ("last", 4, last), ("1", 1, first), ("4", 4, last)):
        capsys.readouterr()
        assert main(["evaluate", str(run), "--split", "valid", "--checkpoint", asked]) == 0
        output = capsys.readouterr().out
        assert f"step {step}" in output
        assert format_measure("valid/bits_per_char", row["valid/bits_per_char"]) in output
