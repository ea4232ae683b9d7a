"""The user's own labelled texts, in every form, and everything that may be wrong with them."""

import json

import pytest

from seqmodels.data.labelled_files import Columns, from_path
from seqmodels.data.sources import DataError

ROWS = [(f"text {number}, of class {'ab'[number % 2]}", "ab"[number % 2]) for number in range(40)]


def csv(rows=ROWS, header="text,label"):
    return header + "\n" + "".join(f'"{text}",{label}\n' for text, label in rows)


def tsv(rows=ROWS):
    return "label\ttext\n" + "".join(f"{label}\t{text}\n" for text, label in rows)


def jsonl(rows=ROWS):
    return "".join(json.dumps({"id": 1, "text": text, "label": label}) + "\n" for text, label in rows)


FORMS = {"data.csv": csv, "data.tsv": tsv, "data.jsonl": jsonl}


def read(path, **columns):
    return from_path(path, Columns(**columns))


def pairs(*examples):
    return sorted((text, label) for text, label, _ in examples)


@pytest.mark.parametrize("name", FORMS)
def test_one_file_is_split_by_a_seed(name, tmp_path):
    path = tmp_path / name
    path.write_text(FORMS[name](), encoding="utf-8")
    data = read(path)
    assert (data.name, data.classes) == (name, ("a", "b"))
    assert [len(split) for split in (data.train, data.valid, data.test)] == [32, 4, 4]
    assert pairs(*data.train, *data.valid, *data.test) == sorted(ROWS)
    assert from_path(path, Columns(), seed=1).test != data.test
    assert read(path).fingerprint == data.fingerprint


@pytest.mark.parametrize("name", FORMS)
def test_a_folder_may_hold_the_splits(name, tmp_path):
    suffix = name.removeprefix("data")
    for stem, rows in (("train", ROWS[:20]), ("dev", ROWS[20:24]), ("test", ROWS[24:])):
        (tmp_path / f"{stem}{suffix}").write_text(FORMS[name](rows))
    data = read(tmp_path)
    assert [pairs(*split) for split in (data.train, data.valid, data.test)] == [
        sorted(rows) for rows in (ROWS[:20], ROWS[20:24], ROWS[24:])
    ]


def test_a_split_that_is_not_there_is_held_out_of_training(tmp_path):
    (tmp_path / "train.csv").write_text(csv(ROWS[:20]))
    (tmp_path / "test.jsonl").write_text(jsonl(ROWS[20:]))
    data = read(tmp_path)
    assert pairs(*data.test) == sorted(ROWS[20:])
    assert pairs(*data.train, *data.valid) == sorted(ROWS[:20])
    assert len(data.valid) == 2


def folders(place, rows):
    for number, (text, label) in enumerate(rows):
        (place / label).mkdir(parents=True, exist_ok=True)
        (place / label / f"{number}.txt").write_text(text)


def test_a_folder_for_each_class(tmp_path):
    folders(tmp_path / "mine", ROWS)
    (tmp_path / "mine" / ".hidden").mkdir()
    data = read(tmp_path / "mine")
    assert data.name == "mine"
    assert pairs(*data.train, *data.valid, *data.test) == sorted(ROWS)
    assert data.train[0].place == str(tmp_path / "mine" / "a" / "0.txt")


def test_a_folder_for_each_split_with_a_folder_for_each_class(tmp_path):
    folders(tmp_path / "train", ROWS[:20])
    folders(tmp_path / "test", ROWS[20:])
    data = read(tmp_path)
    assert pairs(*data.test) == sorted(ROWS[20:])
    assert pairs(*data.train, *data.valid) == sorted(ROWS[:20])


def test_columns_may_have_other_names(tmp_path):
    (tmp_path / "a.csv").write_text(csv(header="review,stars"))
    (tmp_path / "a.jsonl").write_text(jsonl().replace('"text"', '"review"').replace('"label"', '"stars"'))
    for name in ("a.csv", "a.jsonl"):
        data = read(tmp_path / name, text="review", label="stars")
        assert pairs(*data.train, *data.valid, *data.test) == sorted(ROWS)


def test_texts_may_hold_anything_that_their_form_can(tmp_path):
    """Line ends, separators, quotes, other line separators, a byte order mark, line ends of other systems."""
    text = 'he said ""so"",\nand\u2028left \x0b é'
    rows = [*ROWS, (text, "a")]
    (tmp_path / "a.csv").write_bytes(b"\xef\xbb\xbf" + csv(rows).replace("\n", "\r\n").encode())
    data = read(tmp_path / "a.csv")
    assert (text.replace('""', '"'), "a") in pairs(*data.train, *data.valid, *data.test)
    (tmp_path / "a.tsv").write_text(tsv([*ROWS, ('a "quoted\u2028 text', "a")]), encoding="utf-8")
    assert ('a "quoted\u2028 text', "a") in pairs(
        *(e for s in ("train", "valid", "test") for e in read(tmp_path / "a.tsv").split(s))
    )
    (tmp_path / "a.jsonl").write_text(jsonl([*ROWS, ("a\u2028b\ud800", "a")]))
    data = read(tmp_path / "a.jsonl")
    assert ("a\u2028b\ud800", "a") in pairs(*data.train, *data.valid, *data.test)
    assert len(data.fingerprint) == 64


def test_a_text_may_be_very_long(tmp_path):
    (tmp_path / "a.csv").write_text(csv([*ROWS, ("long " * 50_000, "a")]))
    data = read(tmp_path / "a.csv")
    assert max(len(example.text) for example in (*data.train, *data.valid, *data.test)) == 250_000


@pytest.mark.parametrize(("written", "read_as"), [(1, "1"), (True, "true"), ("1", "1"), (" x ", "x")])
def test_labels_of_json_may_be_numbers(written, read_as, tmp_path):
    rows = [{"text": "a", "label": written if number % 2 else "other"} for number in range(40)]
    (tmp_path / "a.jsonl").write_text("\n".join(map(json.dumps, rows)) + "\n\n")
    assert read(tmp_path / "a.jsonl").classes == tuple(sorted((read_as, "other")))


BAD_TABLES = {
    "": "a.csv: the file is empty; its first line must name the columns",
    "text,label\n": "a.csv: there are no examples in it",
    "txet,label\nx,a\n": r"a.csv:1: there is no column 'text'; did you mean 'txet'\? \(there: 'txet', 'label'\); "
    "the first line must name the columns; say which holds the text with data.text_column=NAME",
    "text,stars\nx,a\n": "a.csv:1: there is no column 'label' .*data.label_column=NAME",
    "text,label\nx,a\na, b,c\n": "a.csv:3: 3 fields, but the first line has 2; put a text that holds a comma",
    'text,label\nx,a\n"y,b\n': "a.csv:3: cannot be read .*double quote",
    "text,label\nx,a\ny,\n": "a.csv:3: the 'label' is empty; give every text a label, or remove the line",
    "text,label\n" + "x,a\n" * 40: "a.csv: all 32 training examples have the label 'a'; there must be two classes",
    "text,label\nx,a\ny,b\n": "a.csv: 2 examples are too few to hold some out",
}


@pytest.mark.parametrize("content", BAD_TABLES, ids=lambda content: content[:20])
def test_a_table_that_is_unfit_is_told_with_its_line(content, tmp_path):
    (tmp_path / "a.csv").write_text(content)
    with pytest.raises(DataError, match=BAD_TABLES[content]):
        read(tmp_path / "a.csv")


def test_a_tab_within_a_text(tmp_path):
    (tmp_path / "a.tsv").write_text("text\tlabel\nx\ty\ta\n")
    with pytest.raises(DataError, match=r"a.tsv:2: 3 fields, but the first line has 2; a text in it can hold no tab"):
        read(tmp_path / "a.tsv")


BAD_LINES = {
    "": "a.jsonl: there are no examples in it",
    "{}\n": r"a.jsonl:1: there is no key 'text' \(there: \); say which holds the text with data.text_column=NAME",
    '{"text": "x", "label": "a"}\n{"text": "x", "stars": 1}\n': "a.jsonl:2: there is no key 'label' .*label_column",
    '\n{"text": "x"\n': "a.jsonl:2: not JSON .*each line must be one object",
    "[1]\n": "a.jsonl:1: not an object; each line must be one with the keys text and label",
    '{"text": 1, "label": "a"}\n': r"a.jsonl:1: 'text' must be a string \(got 1\)",
    '{"text": "x", "label": null}\n': r"a.jsonl:1: 'label' must be a string or a whole number \(got null\)",
    '{"text": "x", "label": 0.5}\n': r"a.jsonl:1: 'label' must be a string or a whole number \(got 0.5\)",
}


@pytest.mark.parametrize("content", BAD_LINES, ids=lambda content: content[:20])
def test_lines_that_are_unfit_are_told(content, tmp_path):
    (tmp_path / "a.jsonl").write_text(content)
    with pytest.raises(DataError, match=BAD_LINES[content]):
        read(tmp_path / "a.jsonl")


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (csv().encode("utf-16"), "a.csv: the file is in UTF-16; save it as UTF-8"),
        (csv([*ROWS, ("é", "a")]).encode("latin-1"), r"a.csv: not UTF-8 at byte [\d,]+; save it as UTF-8"),
        (b"text,label\nx\0,a\n", "a.csv: a binary file"),
    ],
)
def test_other_encodings_are_told(content, fault, tmp_path):
    (tmp_path / "a.csv").write_bytes(content)
    with pytest.raises(DataError, match=fault):
        read(tmp_path / "a.csv")


def test_a_label_of_the_test_that_training_has_not(tmp_path):
    (tmp_path / "train.csv").write_text(csv())
    (tmp_path / "test.csv").write_text(csv([*ROWS[:3], ("x", "c")]))
    with pytest.raises(DataError, match=r"test.csv:5: the label 'c' is in no training example \(there: 'a', 'b'\)"):
        read(tmp_path)


def test_places_that_are_unfit_are_told(tmp_path):
    (tmp_path / "reviews.csv").write_text(csv())
    with pytest.raises(DataError, match=r"there is no such file; did you mean .*reviews\.csv\?"):
        read(tmp_path / "review.csv")
    (tmp_path / "a.xlsx").write_text("x")
    with pytest.raises(DataError, match=r"a\.xlsx: its name must end in \.csv, \.tsv, \.jsonl; or name a folder"):
        read(tmp_path / "a.xlsx")
    (tmp_path / "nothing").mkdir()
    with pytest.raises(DataError, match=r"there must be a folder of \.txt files for each class"):
        read(tmp_path / "nothing")
    (tmp_path / "nothing" / "good").mkdir()
    with pytest.raises(DataError, match=r"good: there are no \.txt files of this class"):
        read(tmp_path / "nothing")
    for name in ("train.csv", "train.tsv"):
        (tmp_path / name).write_text(csv())
    with pytest.raises(DataError, match=r"train\.csv and train\.tsv are both for train; remove one"):
        read(tmp_path)
