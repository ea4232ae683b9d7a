import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seqmodels.data.sources import DataError
from seqmodels.data.vocabulary import Vocabulary

TEXT = "the cat\nthe dog a\n"


@given(st.text())
def test_characters_come_back(text):
    vocabulary = Vocabulary.build(text, "char")
    ids = vocabulary.encode(text)
    assert ids.dtype == np.int32
    assert ids.shape == (len(text),)
    assert vocabulary.decode(ids) == text
    assert list(vocabulary.symbols[1:]) == sorted(set(text) - {"\ufffd"})


@given(st.text())
def test_bytes_come_back(text):
    vocabulary = Vocabulary.build("", "byte")
    ids = vocabulary.encode(text)
    assert ids.dtype == np.int32
    assert bytes(ids.tolist()) == text.encode()
    assert vocabulary.decode(ids) == text
    assert vocabulary.unseen(text) == ""


def test_half_of_a_surrogate_pair_is_read_as_unknown_and_one_that_stands_for_a_byte_as_that():
    ids = Vocabulary.build("", "byte").encode("a\ud83d\udc80z\udfff")
    assert bytes(ids.tolist()) == "a\ufffd".encode() + b"\x80z" + "\ufffd".encode()


@given(st.lists(st.lists(st.sampled_from(["a", "bb", "<unk>", "é"]))))
def test_words_come_back(lines):
    text = "\n".join(" ".join(line) for line in lines)
    vocabulary = Vocabulary.build(text, "word")
    assert vocabulary.decode(vocabulary.encode(text)) == text


def test_numbers_of_characters_by_hand():
    vocabulary = Vocabulary.build("banana!", "char")
    assert vocabulary.symbols == ("\ufffd", "!", "a", "b", "n")
    assert vocabulary.encode("nab!").tolist() == [4, 2, 3, 1]
    assert vocabulary.decode([4, 2, 0]) == "na\ufffd"


def test_numbers_of_words_by_hand():
    vocabulary = Vocabulary.build(TEXT, "word")
    assert vocabulary.symbols == ("<unk>", "<eos>", "the", "a", "cat", "dog")
    assert vocabulary.encode("the  dog\tcat\n\n fish").tolist() == [2, 5, 4, 1, 1, 0]
    assert vocabulary.decode(vocabulary.encode(TEXT)) == TEXT
    assert vocabulary.encode("the").dtype == np.int32


@pytest.mark.parametrize(
    ("unit", "limits", "symbols"),
    [
        ("word", {"limit": 4}, ("<unk>", "<eos>", "the", "a")),
        ("word", {"least": 2}, ("<unk>", "<eos>", "the")),
        ("char", {"limit": 4}, ("\ufffd", "a", "n", " ")),
        ("char", {"least": 3}, ("\ufffd", "a", "n")),
    ],
)
def test_rare_symbols_can_be_left_out(unit, limits, symbols):
    vocabulary = Vocabulary.build(TEXT if unit == "word" else "banana  nab\n", unit, **limits)
    assert set(vocabulary.symbols) == set(symbols)
    assert vocabulary.symbols[0] == symbols[0]


@pytest.mark.parametrize(("unit", "limit"), [("char", 1), ("word", 2), ("byte", 300)])
def test_a_limit_without_room_is_refused(unit, limit):
    with pytest.raises(DataError, match=f"limit of {limit} symbols"):
        Vocabulary.build(TEXT, unit, limit=limit)


def test_unknown_characters_become_the_unknown_symbol():
    vocabulary = Vocabulary.build("abc", "char")
    # Below, between and above the known code points, and a lone surrogate as terminals pass them on.
    assert vocabulary.encode("aA~bé🙂\udcff").tolist() == [1, 0, 0, 2, 0, 0, 0]
    assert vocabulary.unseen("cabbage") == "eg"
    assert vocabulary.unseen("a\ufffd") == "\ufffd"
    assert Vocabulary.build("a b", "word").unseen("a d <unk> c d\n") == "c d"


def test_check_names_five_unknown_characters_and_where_they_stand():
    vocabulary = Vocabulary.build("abc", "char")
    vocabulary.check("abba")
    with pytest.raises(DataError) as caught:
        vocabulary.check("ab€xyzxyzu v")
    text = str(caught.value)
    assert "'€' (U+20AC, position 2), 'x' (U+0078, position 3)" in text
    assert "and 2 more" in text
    assert text.count("position") == 5
    Vocabulary.build("abc", "byte").check("€")
    Vocabulary.build("abc", "word").check("€")


@pytest.mark.parametrize("ids", [[-1], [4], [0, 300]])
def test_numbers_out_of_range_are_refused(ids):
    with pytest.raises(ValueError, match=r"0\.\.3"):
        Vocabulary.build("abc", "char").decode(ids)


def test_a_byte_sequence_cut_in_two_is_shown_as_such():
    vocabulary = Vocabulary.build("", "byte")
    assert vocabulary.decode(vocabulary.encode("é")[:1]) == "\ufffd"


def test_nothing_is_nothing():
    for unit in ("char", "byte", "word"):
        vocabulary = Vocabulary.build("abc", unit)
        assert vocabulary.encode("").shape == (0,)
        assert vocabulary.decode([]) == ""


@pytest.mark.parametrize("unit", ["char", "byte", "word"])
def test_json_comes_back(unit):
    vocabulary = Vocabulary.build('é "quoted" 🙂\n', unit)
    again = Vocabulary.from_json(vocabulary.to_json())
    assert again == vocabulary
    assert hash(again) == hash(vocabulary)
    assert len(again) == len(vocabulary)


@pytest.mark.parametrize(
    ("stored", "message"),
    [
        ("{", "not JSON"),
        ("[]", "must be an object"),
        ({"unit": "char"}, "keys unit and symbols"),
        ({"unit": "char", "symbols": ["\ufffd"], "more": 1}, "keys unit and symbols"),
        ({"unit": 1, "symbols": []}, "unit must be a string"),
        ({"unit": "char", "symbols": ["\ufffd", 1]}, "list of strings"),
        ({"unit": "chars", "symbols": ["\ufffd"]}, "none of char, byte, word"),
        ({"unit": "char", "symbols": ["a"]}, "first symbols"),
        ({"unit": "char", "symbols": ["\ufffd", "a", "a"]}, "'a' is there twice"),
        ({"unit": "char", "symbols": ["\ufffd", "ab"]}, "'ab' is not one char"),
        ({"unit": "word", "symbols": ["<unk>", "<eos>", "a b"]}, "'a b' is not one word"),
        ({"unit": "byte", "symbols": ["0x00"]}, "first symbols"),
        ({"unit": "byte", "symbols": [*(f"0x{byte:02x}" for byte in range(256)), "more"]}, "256 bytes, not 257"),
    ],
)
def test_json_that_is_no_vocabulary_is_refused(stored, message):
    with pytest.raises(DataError, match=message):
        Vocabulary.from_json(stored if isinstance(stored, str) else json.dumps(stored))
