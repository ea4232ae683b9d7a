"""Made-up sentences: labels against a reading of their own, and that the words alone say nothing."""

import collections
import re

import pytest

from seqmodels.data.sentiment_grammar import ADJECTIVES, CLASSES, TWINS, sentence, sentiment_grammar

BAD, GOOD = map(set, ADJECTIVES)
NEGATIONS = ("not", "never", "hardly", "by no means", "far from", "nobody")
CONTRAST_LAST = (" , but ", " , and yet ", " ; all the same , ")
CONTRAST_FIRST = (" , although ", " , even if ", " , though i admit that ")
OPENINGS = ("although ", "while ")
FRAMES = ("to be honest , ", "my sister and i agree : ", "after all , ")


@pytest.fixture(scope="module")
def data():
    return sentiment_grammar()


def valence(clause):
    words = clause.split()
    (adjective,) = (word for word in words if word in BAD | GOOD)
    negations = sum(len(re.findall(rf"\b{negation}\b", clause)) for negation in NEGATIONS)
    return (adjective in GOOD) != (negations % 2 == 1)


def reading(text):
    """The label as a reader finds it, written without looking at how sentences are made."""
    for frame in FRAMES:
        text = text.removeprefix(frame)
    if text.startswith(OPENINGS):
        first, second = text.split(" , ")[:2]
        assert valence(first) != valence(second)
        return valence(second)
    for marks, decides in ((CONTRAST_LAST, 1), (CONTRAST_FIRST, 0)):
        for mark in marks:
            if mark in text:
                clauses = text.split(mark)
                assert len(clauses) == 2
                assert valence(clauses[0]) != valence(clauses[1])
                return valence(clauses[decides])
    places = [match.start() for match in re.finditer(r" , and | ; moreover , ", text)]
    cut = next(
        place for place in places if all({*part.split()} & (BAD | GOOD) for part in (text[:place], text[place:]))
    )
    assert valence(text[:cut]) == valence(text[cut:])
    return valence(text[:cut])


def test_labels_are_those_of_a_reader(data):
    for split in ("train", "valid", "test"):
        for example in data.split(split):
            assert CLASSES[reading(example.text)] == example.label, example


def test_every_bag_of_words_has_both_labels_equally_often(data):
    """So no function of the bag can be right more often than not, on any split."""
    for split, twins in TWINS.items():
        bags = collections.defaultdict(collections.Counter)
        for example in data.split(split):
            bags[tuple(sorted(example.text.split()))][example.label] += 1
        assert len(bags) == twins
        assert all(counts == {"negative": 1, "positive": 1} for counts in bags.values())


def test_no_bag_of_words_is_in_two_splits(data):
    bags = [{tuple(sorted(example.text.split())) for example in data.split(split)} for split in TWINS]
    assert sum(map(len, bags)) == len(set().union(*bags))


def test_sentences_have_what_they_are_made_for(data):
    texts = [example.text for example in data.train]
    for words in ("not", "at all", "hardly", "very", "but", "although", "i would not say that", "moreover"):
        assert sum(f" {words} " in f" {text} " for text in texts) > 100, words
    lengths = [len(text.split()) for text in texts]
    assert (min(lengths), max(lengths)) == (11, 38)
    assert len({word for text in texts for word in text.split()}) < 150


def test_the_seed_decides_the_sentences(data):
    assert sentiment_grammar().fingerprint == data.fingerprint
    assert sentiment_grammar(seed=1).fingerprint != data.fingerprint
    assert sentence(3, 5) == sentence(3, 5) != sentence(4, 5)


def test_the_sentences_are_those_they_always_were(data):
    # Figures must stay comparable, and a run resumable, under other versions of Python and NumPy.
    assert data.fingerprint == FINGERPRINT


FINGERPRINT = "8314e862b3f54bd4680f7a7838a2cafb1a3dc9c19f9004066641e1b65e5818fd"
