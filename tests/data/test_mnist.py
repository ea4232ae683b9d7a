"""Handwritten digits: their files, whole and damaged, and the splits."""

import gzip
import hashlib
import struct

import numpy as np
import pytest

from seqmodels.data import mnist as module
from seqmodels.data.mnist import MNIST, mnist, read_idx, read_images
from seqmodels.data.sources import DataError, Source, SourceFile


def idx(array, kind=8):
    return bytes([0, 0, kind, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


def digits(number, seed=0):
    random = np.random.default_rng(seed)
    return random.integers(0, 256, (number, 28, 28), np.uint8), random.integers(0, 10, number).astype(np.uint8)


@pytest.fixture
def small(tmp_path, monkeypatch):
    """A folder with a data set of the same form, 50 and 20 images, 10 of the 50 for validation."""
    files = []
    for arrays, names in ((digits(50), MNIST.files[:2]), (digits(20, seed=1), MNIST.files[2:])):
        for array, file in zip(arrays, names, strict=True):
            data = gzip.compress(idx(array), mtime=0)
            (tmp_path / file.name).write_bytes(data)
            files.append(SourceFile(file.name, len(data), hashlib.sha256(data).hexdigest(), (), "here"))
    monkeypatch.setattr(module, "MNIST", Source("mnist", tuple(files), "none", "made up"))
    monkeypatch.setattr(module, "VALID", 10)
    return tmp_path


def test_splits_have_every_image_once(small):
    splits = mnist(small)
    assert [len(splits[split].labels) for split in ("train", "valid", "test")] == [40, 10, 20]
    pixels, labels = digits(50)
    known = {image.tobytes(): int(label) for image, label in zip(pixels, labels, strict=True)}
    found = [
        (image.tobytes(), int(label))
        for split in ("train", "valid")
        for image, label in zip(*splits[split], strict=True)
    ]
    assert len({image for image, _ in found}) == 50
    assert all(known[image] == label for image, label in found)
    np.testing.assert_array_equal(splits["test"].pixels, digits(20, seed=1)[0])
    assert splits["test"].labels.dtype == np.int32
    again = mnist(small)
    assert all(np.array_equal(again[split].pixels, splits[split].pixels) for split in splits)


def test_a_file_that_is_not_the_original_is_refused(small):
    path = small / MNIST.files[1].name
    path.write_bytes(gzip.compress(idx(digits(50, seed=5)[1])))
    with pytest.raises(DataError, match=r"not the canonical train-labels-idx1-ubyte\.gz: expected .* sha256"):
        mnist(small)


def test_files_that_are_missing_are_named(small):
    (small / MNIST.files[2].name).unlink()
    with pytest.raises(DataError, match=r"t10k-images-idx3-ubyte\.gz: [\d,]+ bytes, sha256"):
        mnist(small)


def write(path, data):
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("name", ["a.idx", "a.idx.gz"])
def test_an_array_comes_back(name, tmp_path):
    array = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
    data = idx(array) if name == "a.idx" else gzip.compress(idx(array))
    np.testing.assert_array_equal(read_idx(write(tmp_path / name, data)), array)


PLAIN = idx(np.arange(6, dtype=np.uint8).reshape(2, 3))


@pytest.mark.parametrize(
    ("data", "fault"),
    [
        (b"", "does not begin with the magic number"),
        (b"\0\0", "does not begin with the magic number"),
        (b"\1" + PLAIN[1:], "does not begin with the magic number"),
        (idx(np.arange(6, dtype=np.uint8), kind=13), "does not begin with the magic number"),
        (PLAIN[:9], r"0 bytes of data, but its head says \[\]"),
        (PLAIN[:-1], r"5 bytes of data, but its head says \[2, 3\]; restore the original file"),
        (PLAIN + b"\0", r"7 bytes of data, but its head says \[2, 3\]"),
        (b"\0\0\x08\0", r"0 bytes of data, but its head says \[\]"),
        (b"\0\0\x08\x41" + bytes(4 * 65), r"0 bytes of data, but its head says \[0, 0, 0"),
        (b"\0\0\x08\3" + b"\xff" * 8 + bytes(4), r"0 bytes of data, but its head says \[4294967295, 4294967295, 0\]"),
    ],
)
def test_damaged_files_are_told(data, fault, tmp_path):
    with pytest.raises(DataError, match=rf"a\.idx: {fault}"):
        read_idx(write(tmp_path / "a.idx", data))


def test_a_file_that_is_cut_off_within_its_packing(tmp_path):
    with pytest.raises(DataError, match=r"a\.gz: cannot be read"):
        read_idx(write(tmp_path / "a.gz", gzip.compress(PLAIN)[:-9]))


@pytest.mark.parametrize(
    ("pixels", "labels", "fault"),
    [
        (np.zeros((2, 27, 28), np.uint8), np.zeros(2, np.uint8), "images: not images of 28 by 28 pixels"),
        (np.zeros((2, 28), np.uint8), np.zeros(2, np.uint8), "images: not images of 28 by 28 pixels"),
        (np.zeros((2, 28, 28), np.uint8), np.zeros(3, np.uint8), r"labels: shape \(3,\), but .* has 2 images"),
        (np.zeros((2, 28, 28), np.uint8), np.array([1, 10], np.uint8), "labels: there is a label 10"),
    ],
)
def test_files_that_do_not_belong_together(pixels, labels, fault, tmp_path):
    paths = write(tmp_path / "images", idx(pixels)), write(tmp_path / "labels", idx(labels))
    with pytest.raises(DataError, match=fault):
        read_images(*paths)


@pytest.mark.data
def test_the_real_digits(data_folder):
    splits = mnist(data_folder)
    assert [len(splits[split].labels) for split in ("train", "valid", "test")] == [55_000, 5_000, 10_000]
    counts = sum(np.bincount(splits[split].labels) for split in ("train", "valid"))
    assert counts.tolist() == [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    assert splits["test"].labels[:5].tolist() == [7, 2, 1, 0, 4]
