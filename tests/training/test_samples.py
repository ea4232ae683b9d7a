"""The file of texts that a run writes."""

import pytest

from seqmodels.training.run_folder import RunFolder
from seqmodels.training.samples import add_sample, drop_samples_after


@pytest.fixture
def run(tmp_path):
    with RunFolder.create(tmp_path / "run", "", resume=False, overwrite=False) as made:
        yield made


def content(run):
    return (run.path / "samples.txt").read_text(encoding="utf-8")


def test_texts_stand_below_their_step(run):
    add_sample(run, 0, "ab\n\ncd")
    add_sample(run, 10, "ü🙂")
    assert content(run) == "=== step 0 ===\nab\n\ncd\n\n=== step 10 ===\nü🙂\n\n"


@pytest.mark.parametrize(("step", "kept"), [(-1, []), (0, [0]), (9, [0]), (10, [0, 10]), (99, [0, 10, 20])])
def test_later_texts_are_taken_back(run, step, kept):
    for number in (0, 10, 20):
        add_sample(run, number, f"text {number}\n")
    drop_samples_after(run, step)
    assert content(run) == "".join(f"=== step {number} ===\ntext {number}\n\n\n" for number in kept)


def test_a_text_written_again_is_the_same_file(run):
    for number in (0, 10):
        add_sample(run, number, "a\r\nb\x85c\n")
    whole = content(run)
    drop_samples_after(run, 5)
    add_sample(run, 10, "a\r\nb\x85c\n")
    assert content(run) == whole


@pytest.mark.parametrize("torn", ["=== st", "=== step 1", "=== step 10 ===\na", "=== step 10 ===\nä\rü"])
def test_what_a_killed_process_left_torn_is_taken_back(run, torn):
    """Bytes of a torn text need not be UTF-8, and those of a whole one stay as they are."""
    add_sample(run, 0, "a\r\nb\rc\n")
    whole = (run.path / "samples.txt").read_bytes()
    with open(run.path / "samples.txt", "ab") as file:
        file.write(torn.encode()[: -1 if torn.endswith("ü") else None])
    drop_samples_after(run, 0)
    assert (run.path / "samples.txt").read_bytes() == whole


def test_a_damaged_text_ends_no_run(run):
    add_sample(run, 0, "a")
    with open(run.path / "samples.txt", "ab") as file:
        file.write(b"\xff\n=== step 9 ===\n")
    drop_samples_after(run, 5)
    assert content(run) == "=== step 0 ===\na\n\n\ufffd\n"


def test_without_a_file_there_is_nothing_to_take_back(run):
    drop_samples_after(run, 3)
    assert not (run.path / "samples.txt").exists()
