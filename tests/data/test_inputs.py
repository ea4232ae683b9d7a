"""New data for trained models: files and pipes, and what they hold."""

import gzip
import io
import sys

import pytest

from seqmodels.data.inputs import open_input, texts_of
from seqmodels.data.sources import DataError


def piped(monkeypatch, data, kind=None, **how):
    """What comes in by the standard input, which Python opened as the locale says."""
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data), **how))
    return open_input("-", kind)


@pytest.mark.parametrize("encoding", ["utf-8", "latin-1"])
def test_the_standard_input_is_utf_8_whatever_the_locale(monkeypatch, encoding):
    given = piped(monkeypatch, "text,n\r\ncafé,1\r\n".encode("utf-8-sig"), "csv", encoding=encoding)
    assert list(texts_of(given, "text")) == ["café"]


def test_bytes_that_are_not_utf_8_are_refused_in_the_c_locale_too(monkeypatch):
    given = piped(monkeypatch, b"caf\xe9\n", encoding="utf-8", errors="surrogateescape")
    with pytest.raises(DataError, match="standard input: not UTF-8"):
        list(texts_of(given, "text"))


@pytest.mark.parametrize(
    ("name", "kind"), [("a.csv", ".csv"), ("a.csv.gz", ".csv"), ("a.gz", ".txt"), ("a", ".txt"), ("a.txt.gz", ".txt")]
)
def test_what_a_file_is_stands_before_gz(tmp_path, name, kind):
    content = b"text\nfine\n"
    (tmp_path / name).write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
    assert open_input(str(tmp_path / name), None).kind == kind
    assert open_input(str(tmp_path / name), "tsv").kind == open_input("-", ".tsv").kind == ".tsv"
