import hashlib
import sys
from pydoc_data.topics import topics

import pytest

from seqmodels.data import corpora
from seqmodels.data.corpora import CORPORA, Corpus, from_file, python_docs
from seqmodels.data.sources import DataError
from seqmodels.data.vocabulary import Vocabulary

TEXT = "".join(f"line {number} of a text that is long enough\n" for number in range(200))


def long_lines(text):
    return [line.strip() for line in text.split("\n") if len(line.strip()) > 25]


def test_fingerprint_tells_texts_apart_and_nothing_else():
    corpus = Corpus("a", "abc", "d", "e", "char")
    assert corpus.fingerprint == Corpus("b", "abc", "d", "e", "byte").fingerprint
    others = [("abd", "d", "e"), ("abc", "", "de"), ("abcd", "", "e"), ("abc", "d", "\udc80")]
    assert len({Corpus("a", *splits, "char").fingerprint for splits in others} | {corpus.fingerprint}) == 5


def test_python_docs_holds_out_text_that_training_never_sees():
    corpus = CORPORA["python_docs"](None)
    train, valid, test = (long_lines(text) for text in (corpus.train, corpus.valid, corpus.test))
    lines = train + valid + test
    assert len(set(lines)) == len(lines) > 4000
    assert corpus.unit == "char"
    assert "import statement" in corpus.valid
    assert '"raise"' in corpus.test


def test_python_docs_splits_have_the_sizes_they_should():
    corpus = python_docs()
    sizes = [len(text) for text in (corpus.train, corpus.valid, corpus.test)]
    assert 340_000 < sum(sizes) < 440_000
    assert 0.04 < sizes[1] / sum(sizes) < 0.06
    assert 0.04 < sizes[2] / sum(sizes) < 0.06
    assert corpus.fingerprint == python_docs().fingerprint


def test_python_docs_tolerates_a_lacking_topic_but_no_lacking_split(monkeypatch):
    monkeypatch.delitem(topics, "global")
    assert len(python_docs().valid) > 15_000
    monkeypatch.delitem(topics, "import")
    with pytest.raises(DataError, match="under 3%"):
        python_docs()


def test_python_docs_says_so_when_python_has_none(monkeypatch):
    monkeypatch.setitem(sys.modules, "pydoc_data.topics", None)
    with pytest.raises(DataError, match=r"without pydoc_data\.topics"):
        python_docs()


@pytest.mark.data
def test_ptb_has_the_published_counts(data_folder):
    corpus = CORPORA["ptb"](data_folder)
    vocabulary = Vocabulary.build(corpus.train, corpus.unit)
    splits = (corpus.train, corpus.valid, corpus.test)
    assert len(vocabulary) == 10_000
    assert [len(vocabulary.encode(split)) for split in splits] == [929_589, 73_760, 82_430]
    assert [vocabulary.unseen(split) for split in splits] == ["", "", ""]


@pytest.mark.data
def test_ptb_chars_has_the_published_counts_and_bytes(data_folder):
    corpus = CORPORA["ptb_chars"](data_folder)
    splits = (corpus.train, corpus.valid, corpus.test)
    assert [len(split) for split in splits] == [5_017_482, 393_042, 442_423]
    assert len(set(corpus.train)) == 50
    # The files in circulation have a blank behind every symbol.
    spaced = hashlib.sha256("".join(symbol + " " for symbol in corpus.test).encode()).hexdigest()
    assert spaced == "1ef5607ac3c463b16e38bfe7900dd3bfc91de5a96e0f21e7eab5188b465b8ebe"


@pytest.mark.data
def test_tinyshakespeare_is_split_as_usual(data_folder):
    corpus = CORPORA["tinyshakespeare"](data_folder)
    assert [len(split) for split in (corpus.train, corpus.valid, corpus.test)] == [948_084, 55_770, 111_540]
    assert len(set(corpus.train + corpus.valid + corpus.test)) == 65
    text = (data_folder / "tinyshakespeare" / "input.txt").read_text(encoding="ascii")
    before, after = corpus.train.split("SLY:\nI'll pheeze")  # the beginning of the play that the test goes on with
    assert text == f"{before}{corpus.valid}SLY:\nI'll pheeze{after}{corpus.test}"


def test_own_text_is_split_at_line_ends_and_loses_nothing(tmp_path):
    path = tmp_path / "my.txt"
    path.write_text(TEXT)
    corpus = from_file(path, "char")
    assert corpus.train + corpus.valid + corpus.test == TEXT
    assert corpus.train.endswith("\n")
    assert corpus.valid.endswith("\n")
    assert len(corpus.train) / len(TEXT) == pytest.approx(0.9, abs=0.012)
    assert len(corpus.valid) / len(TEXT) == pytest.approx(0.05, abs=0.012)
    assert (corpus.name, corpus.unit) == ("my.txt", "char")


@pytest.mark.parametrize(("text", "ending"), [("abcdefg " * 501, " "), ("abcdefg" * 501, "f")])
def test_own_text_without_lines_is_split_at_blanks_or_anywhere(tmp_path, text, ending):
    path = tmp_path / "my.txt"
    path.write_text(text)
    corpus = from_file(path, "word")
    assert corpus.train + corpus.valid + corpus.test == text
    assert corpus.train.endswith(ending)
    assert min(len(corpus.valid), len(corpus.test)) > 90


def test_own_text_may_come_from_other_systems(tmp_path):
    path = tmp_path / "my.txt"
    path.write_bytes(b"\xef\xbb\xbf" + TEXT.replace("\n", "\r\n").encode())
    corpus = from_file(path, "char")
    assert corpus.train + corpus.valid + corpus.test == TEXT


def test_own_text_as_bytes_may_have_any_encoding(tmp_path):
    data = TEXT.replace("text", "téxt").encode("latin-1").replace(b"\n", b"\r\n")
    path = tmp_path / "my.txt"
    path.write_bytes(data)
    corpus = from_file(path, "byte")
    ids = Vocabulary.build(corpus.train, "byte").encode(corpus.train + corpus.valid + corpus.test)
    assert bytes(ids.tolist()) == data
    assert len(corpus.fingerprint) == 64


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty; a text must have at least 1,000 characters"),
        (b"short", "is 5 characters long; a text must have at least 1,000"),
        (b"x" * 999, "is 999 characters long"),
        (b"x" * 1500 + b"\0", "a binary file .a zero at byte 1,500"),
        (b"x" * 1500 + b"\xff" + b"x" * 10, "not UTF-8 at byte 1,500; save it as UTF-8 or use the unit byte"),
        (b"\xef\xbb\xbf" + b"x" * 1500 + b"\xff", "not UTF-8 at byte 1,503"),
        (TEXT.encode("utf-16"), "UTF-16; save it as UTF-8"),
    ],
)
def test_own_text_that_is_unfit_is_refused(tmp_path, content, message):
    path = tmp_path / "my.txt"
    path.write_bytes(content)
    with pytest.raises(DataError, match=message) as caught:
        from_file(path, "char")
    assert str(caught.value).startswith(str(path))


def test_own_text_of_the_least_length_is_taken(tmp_path):
    path = tmp_path / "my.txt"
    path.write_bytes(b"x" * 1000)
    assert len(from_file(path, "char").train) == 900


def test_own_text_that_is_missing_is_guessed_at(tmp_path):
    (tmp_path / "my.txt").write_text(TEXT)
    with pytest.raises(DataError, match=r"no such file; did you mean .*my\.txt\?"):
        from_file(tmp_path / "my.text", "char")
    with pytest.raises(DataError, match=r"no such file$"):
        from_file(tmp_path / "absent" / "my.txt", "char")
    with pytest.raises(DataError, match="this is a folder"):
        from_file(tmp_path, "char")


def test_all_corpora_are_registered_under_their_names():
    assert {loader.__name__: loader for loader in CORPORA.values()} == CORPORA
    assert set(CORPORA) == {"python_docs", "ptb", "ptb_chars", "tinyshakespeare"}
    assert corpora.VALID_TOPICS.isdisjoint(corpora.TEST_TOPICS)
