"""Film reviews out of an archive that is never unpacked."""

import io
import tarfile

import pytest

from seqmodels.data.imdb import IMDB, IMDB_LABELLED, imdb, read_reviews
from seqmodels.data.sources import DataError, at_hand

REVIEWS = {
    "aclImdb/train/pos/10_9.txt": b"good<br /><br />film",
    "aclImdb/train/pos/9_7.txt": b"fine",
    "aclImdb/train/neg/0_1.txt": "schrecklich für mich".encode(),
    "aclImdb/test/neg/3_2.txt": b"bad",
    "aclImdb/README": b"read me",
    "aclImdb/imdb.vocab": b"the",
    "aclImdb/train/unsup/5_0.txt": b"whatever",
    "aclImdb/train/labeledBow.feat": b"0",
}


def archive(path, files=REVIEWS, mode="w:xz"):
    with tarfile.open(path, mode) as made:
        for folder in ("aclImdb", "aclImdb/train", "aclImdb/train/pos"):
            entry = tarfile.TarInfo(folder)
            entry.type = tarfile.DIRTYPE
            made.addfile(entry)
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            made.addfile(entry, io.BytesIO(content))
    return path


@pytest.mark.parametrize("mode", ["w:xz", "w:gz"])
def test_reviews_come_in_the_order_of_class_and_number(mode, tmp_path):
    path = archive(tmp_path / "a.tar", mode=mode)
    found = read_reviews(path)
    assert [example[:2] for example in found["train"]] == [
        ("schrecklich für mich", "negative"),
        ("fine", "positive"),
        ("good  film", "positive"),
    ]
    assert found["test"] == [("bad", "negative", f"{path}:aclImdb/test/neg/3_2.txt")]
    other = archive(tmp_path / "b.tar", dict(reversed(REVIEWS.items())), mode)
    assert [e[:2] for e in read_reviews(other)["train"]] == [e[:2] for e in found["train"]]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.tar", "b.tar"]


def test_the_labelled_reviews_alone_are_taken_where_they_lie(tmp_path):
    assert at_hand(IMDB, tmp_path) is IMDB
    (tmp_path / IMDB.name).mkdir()
    (tmp_path / IMDB.name / IMDB_LABELLED.files[0].name).write_bytes(b"no archive")
    assert at_hand(IMDB, tmp_path) is IMDB_LABELLED
    with pytest.raises(DataError, match=r"not the canonical aclImdb_labelled\.tar\.xz"):
        imdb(tmp_path)


@pytest.mark.parametrize(
    "name", ["../evil.txt", "/etc/passwd", "aclImdb/train/pos/../../x", "aclImdb/train/pos/x.txt", "other/1_2.txt"]
)
def test_names_that_do_not_belong_there_are_refused(name, tmp_path):
    with pytest.raises(DataError, match="does not belong there; restore the original archive"):
        read_reviews(archive(tmp_path / "a.tar", {name: b"x"}))


def test_a_review_that_is_a_link_is_refused(tmp_path):
    with tarfile.open(tmp_path / "a.tar", "w") as made:
        entry = tarfile.TarInfo("aclImdb/train/pos/1_9.txt")
        entry.type, entry.linkname = tarfile.SYMTYPE, "/etc/passwd"
        made.addfile(entry)
    with pytest.raises(DataError, match=r"1_9\.txt is not a plain file"):
        read_reviews(tmp_path / "a.tar")


def test_an_archive_that_is_damaged_is_named(tmp_path):
    whole = archive(tmp_path / "a.tar").read_bytes()
    for content in (b"", b"no archive", whole[: len(whole) // 2]):
        (tmp_path / "b.tar").write_bytes(content)
        with pytest.raises(DataError, match=r"b\.tar: cannot be read"):
            read_reviews(tmp_path / "b.tar")


def test_an_archive_that_is_cut_within_its_head_is_named(tmp_path):
    whole = archive(tmp_path / "a.tar", mode="w:gz").read_bytes()
    for length in range(40):
        (tmp_path / "b.tar").write_bytes(whole[:length])
        with pytest.raises(DataError, match=r"b\.tar: cannot be read"):
            read_reviews(tmp_path / "b.tar")


def test_a_review_that_is_not_utf_8_is_named(tmp_path):
    path = archive(tmp_path / "a.tar", {"aclImdb/train/pos/1_9.txt": b"caf\xe9"})
    with pytest.raises(DataError, match=r"1_9\.txt is not UTF-8 at byte 3"):
        read_reviews(path)


def test_the_archive_that_is_missing_is_named(tmp_path):
    with pytest.raises(DataError, match=r"aclImdb_v1\.tar\.gz: 84,125,825 bytes"):
        imdb(tmp_path)


@pytest.mark.data
def test_the_real_reviews(data_folder):
    data = imdb(data_folder)
    assert [len(split) for split in (data.train, data.valid, data.test)] == [22_500, 2_500, 25_000]
    assert data.classes == ("negative", "positive")
    for split in ("train", "valid", "test"):
        assert data.numbers(split).mean() == 0.5
    assert data.numbers("test")[:3].tolist() == [0, 0, 0]
