"""Files of vectors of words: what is read of them, and everything that may be wrong with them."""

import gzip

import jax
import numpy as np
import pytest
from oracles import assert_equal

from seqmodels.data.sources import DataError
from seqmodels.data.vectors import read_vectors

WORDS = ("<unk>", "<eos>", "film", "Film", "PARIS", "naïve", ".", "rare")
LINES = "the 1 2\nfilm 3 -4.5\nparis 5e-1 6\nnaïve 7 8\n. . 9 9\n. 1 0\nfilm 0 0\n"


def write(path, content=LINES):
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return str(path)


def vectors(found):
    return {WORDS[row]: tuple(value) for row, value in zip(found.rows, found.values.tolist(), strict=True)}


EXPECTED = {"film": (3, -4.5), "Film": (3, -4.5), "PARIS": (0.5, 6), "naïve": (7, 8), ".": (1, 0)}
"""The first vector of a word; that in small letters where there is none; ". ." is another word than "."."""


@pytest.mark.parametrize(
    "content", [LINES, f"400 2\n{LINES}", LINES.replace("\n", " \r\n"), f"\n{LINES}\n\n", LINES.replace(" ", "\t")]
)
def test_words_that_are_known_get_their_vector(content, tmp_path):
    found = read_vectors(write(tmp_path / "vectors.txt", content), WORDS, 2)
    assert vectors(found) == EXPECTED
    assert (found.rows.dtype, found.values.dtype) == (np.int32, np.float32)


def test_a_word_as_it_is_written_comes_before_small_letters(tmp_path):
    found = read_vectors(write(tmp_path / "vectors.txt", "film 1 2\nFilm 3 4\n"), WORDS, 2)
    assert vectors(found) == {"film": (1, 2), "Film": (3, 4)}


def test_a_packed_file_is_read_as_it_is(tmp_path):
    assert vectors(read_vectors(write(tmp_path / "v.gz", gzip.compress(LINES.encode())), WORDS, 2)) == EXPECTED


def test_other_rows_of_the_table_stay(tmp_path):
    table = jax.random.normal(jax.random.key(0), (len(WORDS), 2))
    found = read_vectors(write(tmp_path / "vectors.txt"), WORDS, 2).into(table)
    assert_equal(found[np.array([0, 1, 7])], table[np.array([0, 1, 7])])
    assert_equal(found[2:7], np.array([EXPECTED[word] for word in WORDS[2:7]], np.float32))
    assert_equal(read_vectors(None, WORDS, 2).into(table), table)


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        ("", r"v\.txt: there are no vectors in it; each line must be a word and 2 numbers"),
        ("400 2\n", r"v\.txt: there are no vectors in it"),
        ("the 1 2 3\n", r"v\.txt:1: a vector of 3 numbers, but model\.embedding_size is 2; set model\.embedding_s"),
        ("4 3\nthe 1 2 3\n", r"v\.txt:2: a vector of 3 numbers"),
        ("the cat sat\n", r"v\.txt:1: must be a word and 2 numbers with blanks between them; data\.vectors must name"),
        ("the,1,2\n", r"v\.txt:1: must be a word and 2 numbers"),
        ("the 1 2\nfilm 1\n", r"v\.txt:2: must be a word and 2 numbers"),
        ("the 1 2\nfilm\n", r"v\.txt:2: must be a word and 2 numbers"),
        ("the 1 2\nfilm 1 x\n", r"v\.txt:2: must be a word and 2 numbers"),
        ("the 1 2\nfilm 1 nan\n", r"v\.txt:2: must be a word and 2 numbers"),
        ("the 1 2\nfilm 1 1e39\n", r"v\.txt:2: must be a word and 2 numbers"),
        ("3000000 2\nthe \0\xff\xfe\n".encode("latin-1"), r"v\.txt:2: must be a word and 2 numbers"),
        (b"PK\3\4\0\0 \0 \0\n", r"v\.txt:1: must be a word and 2 numbers"),
        ("le 1 2\nchat 3 4\n", r"v\.txt: it has none of the 8 words of the training text; name vectors of this lang"),
    ],
)
def test_what_is_wrong_is_told_with_its_place(content, fault, tmp_path):
    with pytest.raises(DataError, match=fault):
        read_vectors(write(tmp_path / "v.txt", content), WORDS, 2)


def test_files_that_cannot_be_read(tmp_path):
    write(tmp_path / "vector.txt")
    with pytest.raises(DataError, match=r"vectors\.txt: there is no such file; did you mean .*vector\.txt"):
        read_vectors(str(tmp_path / "vectors.txt"), WORDS, 2)
    with pytest.raises(DataError, match=r"cannot be read"):
        read_vectors(str(tmp_path), WORDS, 2)
    with pytest.raises(DataError, match=r"v\.gz: cannot be read"):
        read_vectors(write(tmp_path / "v.gz", gzip.compress(LINES.encode())[:-9]), WORDS, 2)
