"""The commands for trained models and data sets: predict, analyze, data."""

import csv
import hashlib
import io
import json
import os
import re
import sys

import numpy as np
import pytest
from small import LABELS, PLAIN, ROLLS, SERIES, TAGS, finished, python, series

from seqmodels.analysis import report
from seqmodels.cli import main
from seqmodels.commands import data_sets
from seqmodels.commands.prediction import FORMATS
from seqmodels.data.sources import Source, SourceFile
from seqmodels.tasks.series_forecaster import SeriesForecaster

CONTENT = b"to be or not to be"
GATED = PLAIN.replace("rnn", "lstm")


def trained(config):
    return str(finished(config).path)


def fault(capsys):
    captured = capsys.readouterr()
    assert "Traceback" not in captured.err
    return captured.err


# -------------------------------------------------------------------------------------------------------------- predict
def test_predictions_are_lines_of_json(tmp_path, capsys):
    (tmp_path / "new.txt").write_text("the cat sat.\na mat\n")
    assert main(["predict", str(finished().path), "--input", str(tmp_path / "new.txt")]) == 0
    found = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [row["text"] for row in found] == ["the cat sat.", "a mat"]
    assert found[0]["log_p"] == pytest.approx(sum(found[0]["log_p_of_symbols"]), rel=1e-5)


def test_predictions_from_a_pipe_into_a_table(tmp_path, capsys, monkeypatch):
    run = trained(LABELS)
    monkeypatch.setattr(sys, "stdin", io.StringIO("the cat\non a mat, then off\n"))
    table = tmp_path / "new.csv"
    assert main(["predict", run, "--input", "-", "--output", str(table), "--rows", "1"]) == 0
    rows = list(csv.DictReader(table.read_text().splitlines()))
    assert list(rows[0]) == ["text", "label", "probabilities.a", "probabilities.b", "probabilities.c"]
    assert rows[1]["text"] == "on a mat, then off"
    assert rows[0]["label"] in "abc"
    out = io.TextIOWrapper(io.BytesIO(), encoding="ascii")  # as in a locale that has no other characters
    answered = []

    def lines():
        yield "café\n"
        answered.append(out.buffer.getvalue())  # before the second line is there
        yield "the cat\n"

    monkeypatch.setattr(sys, "stdin", lines())
    monkeypatch.setattr(sys, "stdout", out)
    assert main(["predict", run, "--input", "-"]) == 0
    assert json.loads(answered[0])["text"] == "café"
    assert len(out.buffer.getvalue().splitlines()) == 2


@pytest.mark.parametrize("name", ["new.txt", "new.jsonl", "-"])
def test_nothing_to_predict_from_is_told_and_no_fault(name, tmp_path, capsys, monkeypatch):
    run = trained(LABELS)
    capsys.readouterr()
    (tmp_path / "new.txt").write_text("")
    (tmp_path / "new.jsonl").write_text("\n")
    monkeypatch.setattr(sys, "stdin", io.StringIO(""))
    assert main(["predict", run, "--input", name if name == "-" else str(tmp_path / name), "--format", "csv"]) == 0
    captured = capsys.readouterr()
    assert captured.out == "text,label,probabilities.a,probabilities.b,probabilities.c\n"
    place = "standard input" if name == "-" else str(tmp_path / name)
    assert captured.err == f"{place}: there is nothing in it to predict from\n"


def test_an_older_result_stays_until_the_new_one_is_whole(tmp_path, capsys, monkeypatch):
    run, (output, partial) = trained(LABELS), (tmp_path / "a.jsonl", tmp_path / "a.jsonl.partial")
    output.write_text("old")
    predict = ["predict", run, "--input", "-", "--output", str(output)]

    def lines():
        yield "the cat\n"
        raise KeyboardInterrupt

    monkeypatch.setattr(sys, "stdin", lines())
    assert main(predict) == 130
    assert output.read_text() == "old"
    assert json.loads(partial.read_text())["text"] == "the cat"
    assert f"{partial}: what was written before it broke off" in fault(capsys)
    monkeypatch.setattr(sys, "stdin", io.StringIO("[3]\n"))
    assert main([*predict, "--kind", "jsonl"]) == 2
    assert fault(capsys).startswith("standard input:1: not an object of JSON")
    assert (output.read_text(), partial.exists()) == ("old", False)
    monkeypatch.setattr(sys, "stdin", io.StringIO(""))
    assert main(predict) == 0
    assert (output.read_text(), partial.exists()) == ("", False)


def test_what_is_no_file_is_written_to_as_it_is(tmp_path, monkeypatch):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    monkeypatch.setattr(sys, "stdin", io.StringIO(""))
    assert main(["predict", trained(LABELS), "--input", "-", "--format", "csv", "--output", str(pipe)]) == 0
    assert os.read(reader, 4).decode() == "text"
    os.close(reader)
    assert pipe.is_fifo()


def test_a_table_of_what_differs_from_row_to_row(tmp_path, capsys):
    run = trained(ROLLS)
    capsys.readouterr()
    (tmp_path / "new.jsonl").write_text('{"frames": [[60, 65]]}\n{"frames": [[62], []]}\n')
    assert main(["predict", run, "--input", str(tmp_path / "new.jsonl"), "--format", "csv"]) == 0
    rows = list(csv.DictReader(capsys.readouterr().out.splitlines()))
    assert [sorted(row) for row in rows] == [["frame_nats", "next"]] * 2
    assert all(set(key) == {"key", "probability"} for row in rows for key in json.loads(row["next"]))


@pytest.mark.parametrize("text", ['a "fine"\n film, truly', "two\rlines", "half an emoji \ud83d", ""])
def test_whatever_a_text_holds_can_be_written_and_read_back(tmp_path, text):
    row, file = {"text": text, "probabilities": {"very good": 1.0}}, tmp_path / "new"
    for form, write in FORMATS.items():
        with file.open("w", encoding="utf-8", newline="") as out:
            write([row, row], (), out)
        written = file.read_bytes().decode()
        if form == "jsonl":
            assert [json.loads(line) for line in written.split("\n")[:-1]] == [row, row]
        else:
            read = list(csv.reader(io.StringIO(written, newline="")))
            shown = text.replace("\ud83d", "\\ud83d")
            assert read == [["text", "probabilities.very good"], [shown, "1.0"], [shown, "1.0"]]


def test_a_table_of_forecasts(tmp_path, capsys):
    run = trained(SERIES)
    capsys.readouterr()
    (tmp_path / "series.csv").write_text(series())
    assert main(["predict", run, "--input", str(tmp_path / "series.csv"), "--format", "csv"]) == 0
    rows = list(csv.DictReader(capsys.readouterr().out.splitlines()))
    assert list(rows[0]) == ["series", "step", "load.point", "heat.point"]
    assert [row["step"] for row in rows] == ["1", "2", "3", "4"]


def test_a_table_of_drawn_paths(tmp_path, capsys, monkeypatch):
    """What is drawn is tested with the task."""
    run = trained(SERIES)
    capsys.readouterr()
    (tmp_path / "series.csv").write_text(series())
    given = ["--input", str(tmp_path / "series.csv"), "--format", "csv", "--paths", "3"]
    assert main(["predict", run, *given]) == 2
    assert main(["predict", str(finished().path), *given]) == 2
    said = capsys.readouterr().err.splitlines()
    assert 'this model has model.head = "mse", model.decoding = "direct"' in said[0]
    assert said[1].endswith("its task, language_modelling, draws no paths; leave --paths out")

    def draw(model, params, given, *, rows, paths):
        return iter([{"series": given.place, "path": path, "load": float(rows)} for path in range(paths)])

    monkeypatch.setattr(SeriesForecaster, "draw", draw)
    assert main(["predict", run, *given, "--rows", "5"]) == 0
    rows = list(csv.DictReader(capsys.readouterr().out.splitlines()))
    assert [(row["path"], row["load"]) for row in rows] == [("0", "5.0"), ("1", "5.0"), ("2", "5.0")]


@pytest.mark.parametrize("form", ["html", "png", "terminal"])
def test_sentences_in_colour(tmp_path, capsys, form):
    run = trained(TAGS)
    capsys.readouterr()
    (tmp_path / "new.txt").write_text("the cat <sat>\n")
    output = tmp_path / f"view.{form}"
    options = ["--output", str(output)] if form != "terminal" else []
    assert main(["predict", run, "--input", str(tmp_path / "new.txt"), "--format", form, *options]) == 0
    if form == "html":
        assert "&lt;" in output.read_text()
    elif form == "png":
        assert output.read_bytes().startswith(b"\x89PNG")
    else:
        assert "the cat < sat >" in capsys.readouterr().out


def test_what_cannot_be_predicted_is_told(tmp_path, capsys):
    run = str(finished().path)
    (tmp_path / "new.txt").write_text("the cat\n")
    given = ["--input", str(tmp_path / "new.txt")]
    assert main(["predict", run, "--input", str(tmp_path / "nwe.txt")]) == 2
    assert "did you mean" in fault(capsys)
    assert main(["predict", run, *given, "--kind", "pdf"]) == 2
    assert "say which with --kind" in fault(capsys)
    assert main(["predict", run, *given, "--format", "html"]) == 2
    assert "its task, language_modelling, gives no words with labels" in fault(capsys)
    assert main(["predict", run, *given, "--format", "png"]) == 2
    assert "--output" in fault(capsys)
    assert main(["predict", run, *given, "--output", str(tmp_path / "no" / "a.csv")]) == 2
    assert "cannot be written" in fault(capsys)
    (tmp_path / "binary.txt").write_bytes(b"\xff\xfe\x00")
    assert main(["predict", run, "--input", str(tmp_path / "binary.txt")]) == 2
    assert "UTF-16" in fault(capsys)


# -------------------------------------------------------------------------------------------------------------- analyze
def test_a_run_is_analysed(tmp_path, capsys, monkeypatch):
    run = trained(GATED)
    capsys.readouterr()
    assert main(["analyze", run, "--symbols", "40"]) == 0
    output = capsys.readouterr().out
    assert output.startswith("largest Lyapunov exponent")
    folder = finished(GATED).path / "analysis"
    before = {"gates_before.png", "memory_before.png"}
    rest = {"gates.png", "gradients.png", "gradients_by_layer.png", "memory.png", "report.txt", "saturation.png"}
    assert {path.name for path in folder.iterdir()} == {*before, *rest, "spectrum.png"}
    (tmp_path / "own.txt").write_text("the cat sat on a mat")
    read = []
    monkeypatch.setattr(report, "analyze", lambda after, folder, *, before: read.extend([after, before]) or [])
    assert main(["analyze", run, "--input", str(tmp_path / "own.txt"), "--symbols", "5"]) == 0
    assert [reading.names for reading in read] == [list("the c")] * 2
    assert not np.allclose(*(reading.xs for reading in read))
    (tmp_path / "own.txt").write_text("the cät", encoding="utf-8")
    assert main(["analyze", run, "--input", str(tmp_path / "own.txt")]) == 2
    assert "characters that the model was not trained on: 'ä'" in fault(capsys)


def test_a_run_of_another_task_is_analysed_on_its_validation(capsys):
    run = trained(LABELS)
    capsys.readouterr()
    assert main(["analyze", run, "--symbols", "6"]) == 0
    output = capsys.readouterr().out
    assert re.search(r"nats per word .*\n.* for \d words back \(of [2-6]\)", output)
    assert "not shown by RNN" in output
    assert "gradient cap 1 " in output


def test_what_cannot_be_analysed_is_told(tmp_path, capsys):
    assert main(["analyze"]) == 2
    assert "name a run folder, or --story" in fault(capsys)
    run = trained(LABELS)
    assert main(["analyze", run, "--input", "own.txt"]) == 2
    assert "its task, classification, has a cost only where right answers are known; leave --input" in fault(capsys)


# ----------------------------------------------------------------------------------------------------------------- data
@pytest.fixture
def sets(monkeypatch):
    """One data set that can be fetched, from nowhere, and one that cannot."""
    file = SourceFile("text.txt", len(CONTENT), hashlib.sha256(CONTENT).hexdigest(), ("http://127.0.0.1:9/text.txt",))
    by_hand = SourceFile("other.txt", 3, hashlib.sha256(b"abc").hexdigest(), (), page="the library")
    known = {"toy": Source("toy", (file,), "free", "A toy."), "other": Source("other", (by_hand,), "bought", "A book.")}
    monkeypatch.setattr(data_sets, "SOURCES", known)


def test_data_sets_are_listed(sets, tmp_path, capsys):
    (tmp_path / "text.txt").write_bytes(CONTENT)
    assert main(["data", "list", "--dir", str(tmp_path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[:2] for line in lines[1::2]] == [["toy", "there"], ["other", "by"]]
    assert lines[2].strip() == "free"


def test_data_sets_are_checked(sets, tmp_path, capsys):
    folder = ["--dir", str(tmp_path)]
    assert main(["data", "check", *folder]) == 0
    assert capsys.readouterr().out.count("not there") == 2
    assert main(["data", "check", "toy", *folder]) == 2
    assert "toy: not there: text.txt" in fault(capsys)
    (tmp_path / "text.txt").write_bytes(CONTENT[:-1])
    assert main(["data", "check", *folder]) == 2
    assert "not the canonical text.txt" in fault(capsys)
    (tmp_path / "text.txt").write_bytes(CONTENT)
    assert main(["data", "check", "toy", *folder]) == 0
    assert "good" in capsys.readouterr().out
    assert main(["data", "check", "toys", *folder]) == 2
    assert "there is no data set 'toys'; there are toy, other" in fault(capsys)


def test_other_files_of_a_data_set_are_as_good(tmp_path, capsys, monkeypatch):
    file, other = (SourceFile(f"{name}.txt", 18, hashlib.sha256(CONTENT).hexdigest(), (), page="x") for name in "ab")
    packed = Source("toy", (other,), "free", "A toy, packed again.")
    monkeypatch.setattr(data_sets, "SOURCES", {"toy": Source("toy", (file,), "free", "A toy.", other=packed)})
    folder = ["--dir", str(tmp_path)]
    assert main(["data", "check", "toy", *folder]) == 2
    assert "toy: not there: a.txt" in fault(capsys)
    (tmp_path / "b.txt").write_bytes(CONTENT)
    assert main(["data", "check", "toy", *folder]) == main(["data", "list", *folder]) == 0
    output = capsys.readouterr().out.splitlines()
    assert output[0].split() == ["toy", "good", str(tmp_path / "b.txt")]
    assert output[2].split()[:2] == ["toy", "there"]
    monkeypatch.setenv("SEQMODELS_DATA", str(tmp_path))
    assert main(["data", "download", "toy"]) == 0
    assert str(tmp_path / "b.txt") in capsys.readouterr().out


def test_a_folder_that_is_missing_is_told(sets, tmp_path, capsys, monkeypatch):
    (tmp_path / "file").write_text("")
    for what in ("list", "check"):
        assert main(["data", what, "--dir", str(tmp_path / "no")]) == 2
        assert fault(capsys).startswith(f"--dir {tmp_path / 'no'}: there is no such folder; name the one")
        assert main(["data", what, "--dir", str(tmp_path / "file")]) == 2
        assert fault(capsys).startswith(f"--dir {tmp_path / 'file'}: this is a file")
    monkeypatch.setenv("SEQMODELS_DATA", str(tmp_path / "no"))
    assert main(["data", "list"]) == 0
    assert f"in {tmp_path / 'no'}, which is not there yet:" in capsys.readouterr().out


def test_data_sets_are_fetched(sets, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("SEQMODELS_DATA", str(tmp_path))
    monkeypatch.setattr("seqmodels.data.download._PAUSE_SECONDS", 0.0)
    assert main(["data", "download", "other"]) == 2
    assert "from the library" in fault(capsys)
    assert main(["data", "download", "toy"]) == 2
    assert "http://127.0.0.1:9/text.txt" in fault(capsys)
    (tmp_path / "text.txt").write_bytes(CONTENT)
    assert main(["data", "download", "toy"]) == 0
    assert str(tmp_path / "text.txt") in capsys.readouterr().out


def test_the_real_list_can_be_shown():
    done = python("-m", "seqmodels.cli", "data", "list")
    assert done.returncode == 0, done.stderr
    assert "Penn Treebank" in done.stdout
