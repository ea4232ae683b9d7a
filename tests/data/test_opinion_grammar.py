"""Made-up opinions: labels against those of whole sentences, and what a word and its place do not say."""

import collections

import pytest

from seqmodels.data.opinion_grammar import opinion_grammar
from seqmodels.data.sentiment_grammar import ADJECTIVES, TWINS, sentiment_grammar

CONTRASTS = {"but", "yet", "same", "although", "while", "if", "though"}


@pytest.fixture(scope="module")
def data():
    return opinion_grammar()


def spoken_of(sentence):
    """The labels that are not neutral, in runs: of each thing that is spoken of, its place and its labels."""
    runs = []
    for place, label in enumerate(sentence.labels):
        if label != "neutral":
            if place == 0 or sentence.labels[place - 1] == "neutral":
                runs.append((place, []))
            runs[-1][1].append(label)
    return runs


def test_two_things_are_spoken_of_and_the_sentence_agrees(data):
    """Both opinions are that of an agreeing sentence; in a contrast they differ, and one is that of the sentence."""
    whole = sentiment_grammar()
    for split in TWINS:
        for sentence, example in zip(data.split(split), whole.split(split), strict=True):
            assert " ".join(sentence.words) == example.text
            first, second = (set(labels) for _, labels in spoken_of(sentence))
            assert len(first) == len(second) == 1
            assert example.label in first | second
            assert (first != second) == bool(CONTRASTS & set(sentence.words)), example.text


def test_every_word_spoken_of_has_both_labels_equally_often_in_each_place(data):
    """So whatever looks at a word and its place is right in half of these."""
    for split in TWINS:
        counts = collections.defaultdict(collections.Counter)
        for sentence in data.split(split):
            for place, (word, label) in enumerate(zip(sentence.words, sentence.labels, strict=True)):
                counts[word, place][label] += 1
        assert all(found["positive"] == found["negative"] for found in counts.values())


def test_what_is_spoken_of_first_cannot_be_told_from_what_stands_before_it(data):
    """Twins follow each other, begin alike up to the first adjective, and say the opposite before it."""
    adjectives = {word for words in ADJECTIVES for word in words}
    for split in TWINS:
        sentences = data.split(split)
        for one, twin in zip(sentences[::2], sentences[1::2], strict=True):
            end = next(place for place, word in enumerate(one.words) if word in adjectives)
            assert one.words[:end] == twin.words[:end]
            (place, (label, *_)), (other, (opposite, *_)) = spoken_of(one)[0], spoken_of(twin)[0]
            assert place == other < end
            assert {label, opposite} == {"negative", "positive"}


def test_the_data_are_those_they_always_were(data):
    assert data.fingerprint == FINGERPRINT
    assert opinion_grammar(seed=1).fingerprint != FINGERPRINT


FINGERPRINT = "2c2242a87cd78c67697cff84811105ee97d79ff2ca2823cb2a16aacf08ba04f4"
