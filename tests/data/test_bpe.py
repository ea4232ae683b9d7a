"""Pieces of words: what is learnt, what comes back, what is refused."""

import importlib.util
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seqmodels.data.bpe import BytePairs, vocabulary_from_json
from seqmodels.data.sources import DataError
from seqmodels.data.vocabulary import Vocabulary

TEXT = "the cat sat on the mat\nthe cat ran\n\n the café is été\n" * 5
PAIRS = BytePairs.build(TEXT, limit=270)


@given(st.text())
def test_every_text_comes_back(text):
    if any("\ud800" <= character <= "\udfff" for character in text):
        return
    ids = PAIRS.encode(text)
    assert ids.dtype == np.int32
    assert PAIRS.decode(ids) == text
    assert PAIRS.sizes[ids].sum() == len(text.encode())
    assert PAIRS.unseen(text) == ""


def test_half_of_a_surrogate_pair_is_read_as_unknown():
    assert PAIRS.decode(PAIRS.encode("a\ud83d\n")) == "a\ufffd\n"


def test_frequent_pairs_are_joined_first():
    assert len(PAIRS) == 270
    assert len(PAIRS.merges) == 14
    assert PAIRS.merges[0] == ("a", "t")
    assert {"he", "Ġthe", "Ġcat"} < set(PAIRS.symbols)
    assert PAIRS.encode(TEXT).size < 0.6 * len(TEXT)


def test_pieces_hold_no_line_end_and_what_follows():
    assert all(symbol.endswith("Ċ") for symbol in PAIRS.symbols if "Ċ" in symbol)
    assert PAIRS.encode("\n").size == 1


def test_a_line_is_read_alike_wherever_it_stands():
    lines = TEXT.splitlines(keepends=True)
    np.testing.assert_array_equal(PAIRS.encode(TEXT), np.concatenate([PAIRS.encode(line) for line in lines]))


def test_the_same_text_gives_the_same_pairs():
    assert BytePairs.build(TEXT, limit=270) == PAIRS
    assert hash(BytePairs.build(TEXT, limit=270)) == hash(PAIRS)


def test_a_small_text_gives_few_pairs():
    assert 256 < len(BytePairs.build(TEXT)) < 400


@pytest.mark.parametrize("limit", [3, 256])
def test_a_limit_without_room_is_refused(limit):
    with pytest.raises(DataError, match=rf"data.vocabulary: unit bpe needs more than its 256 bytes \(got {limit}\)"):
        BytePairs.build(TEXT, limit=limit)


def test_json_comes_back():
    again = vocabulary_from_json(PAIRS.to_json())
    assert again == PAIRS
    np.testing.assert_array_equal(again.encode(TEXT), PAIRS.encode(TEXT))


def test_other_vocabularies_come_back_too():
    characters = Vocabulary.build(TEXT, "char")
    assert vocabulary_from_json(characters.to_json()) == characters
    with pytest.raises(DataError, match="not JSON"):
        vocabulary_from_json("{")
    with pytest.raises(DataError, match="must be an object"):
        vocabulary_from_json("[]")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"more": 1}, "keys unit, symbols and merges"),
        ({"symbols": [*PAIRS.symbols, "a"]}, "there twice"),
        ({"symbols": PAIRS.symbols[1:], "merges": []}, "1 are missing"),
        ({"merges": [["a", "zz"]]}, "is joined, but not among the symbols"),
    ],
    ids=["key", "twice", "missing", "merge"],
)
def test_json_that_is_no_vocabulary_is_refused(change, message):
    stored = {**json.loads(PAIRS.to_json()), **change}
    with pytest.raises(DataError, match=message):
        vocabulary_from_json(json.dumps(stored))


@pytest.mark.parametrize("ids", [[-1], [270]])
def test_numbers_out_of_range_are_refused(ids):
    with pytest.raises(ValueError, match=r"0\.\.269"):
        PAIRS.decode(ids)


def test_a_character_cut_in_two_is_shown_as_such():
    (first, *_) = BytePairs.build("", limit=300).encode("é")
    assert PAIRS.decode([first]) == "\N{REPLACEMENT CHARACTER}"


def test_what_is_no_text_is_refused():
    PAIRS.check("café")
    with pytest.raises(DataError, match="not UTF-8 at position 2"):
        PAIRS.check("ab\udcff")


def test_without_the_package_the_remedy_is_told(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(DataError, match=r'pip install "seqmodels\[tokenizers\]"'):
        BytePairs.build(TEXT)
    with pytest.raises(DataError, match=r'pip install "seqmodels\[tokenizers\]"'):
        vocabulary_from_json(PAIRS.to_json())
