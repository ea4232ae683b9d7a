"""Labelled sentences from a small grammar, in which the order of the words is everything.

A sentence has two clauses, and a clause says of something that it is good or bad: by an adjective, which a negation
may turn round, and an intensifier may strengthen.

    v(clause) = v(adjective) · (-1)^negations
    "X, and Y"                  v(X) = v(Y)     the label is both
    "X, but Y", "although X, Y"    v(X) ≠ v(Y)     the label is v(Y)
    "X, although Y"             v(X) ≠ v(Y)     the label is v(X)

One adjective is good, the other one bad. Exchanging them turns both clauses round, and with them the label; the words
stay the same. The data hold each sentence and its twin in the same split, so every bag of words has both labels
equally often: whatever looks at the bag alone is right in exactly half of the cases.
"""

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple, TypeVar

import numpy as np

from seqmodels.data.labelled_text import Example, LabelledText

T = TypeVar("T")

CLASSES: Final = ("negative", "positive")
TWINS: Final = {"train": 4000, "valid": 500, "test": 500}
"""Pairs of sentences in each split."""

ADJECTIVES: Final = (
    ("awful", "bad", "boring", "clumsy", "dull", "lazy", "poor", "silly", "stale", "terrible", "tired", "weak"),
    ("charming", "clever", "fine", "fresh", "funny", "good", "great", "lovely", "moving", "strong", "superb", "warm"),
)
_SUBJECTS: Final = (
    *("the acting", "the camera work", "the cast", "the dialogue", "the direction", "the ending", "the humour"),
    *("the lead actor", "the music", "the opening scene", "the pace", "the plot", "the second half", "the story"),
)
_INTENSIFIERS: Final = ("", "", "really ", "very ", "truly ", "so ", "quite ", "absolutely ")
_WITHIN_NEGATIONS: Final = ("", "", "really ", "very ", "so ", "that ")
_NEGATIONS: Final = ("not {}", "never {}", "hardly {}", "not {} at all", "by no means {}", "far from {}")
_DENIALS: Final = ("i would not say that {}", "nobody can claim that {}", "it is not true that {}")
_AGREEMENTS: Final = ("{x} , and {y}", "{x} , and what is more , {y}", "{x} ; moreover , {y}")
_CONTRASTS: Final = (
    *("{x} , but {y}", "{x} , and yet {y}", "{x} ; all the same , {y}", "although {x} , {y}", "while {x} , {y}"),
    *("{y} , although {x}", "{y} , even if {x}", "{y} , though i admit that {x}"),
)
_FRAMES: Final = (
    *("{} .", "{} .", "{} .", "{} !", "to be honest , {} .", "my sister and i agree : {} .", "after all , {} ."),
    *("{} , as far as i remember .", "{} , and that is all there is to say ."),
)


class Sentence(NamedTuple):
    """A sentence and its twin.

    Attributes:
      text: words with blanks between them.
      positive: its label; that of the twin is the other one.
      twin: the same words, the two adjectives exchanged.
      opinions: for each clause, what it speaks of and whether it says that this is good; in the twin it says the
        opposite.
    """

    text: str
    positive: bool
    twin: str
    opinions: tuple[tuple[str, bool], tuple[str, bool]]


class _Draws:
    """Choices that are the same under every Python and NumPy."""

    def __init__(self, *seed: int) -> None:
        self._numbers = iter(np.random.SeedSequence(seed).generate_state(32).tolist())

    def choose(self, options: Sequence[T]) -> T:
        chosen: T = options[next(self._numbers) % len(options)]
        return chosen


def sentence(seed: int, number: int) -> Sentence:
    r"""Draws one sentence.

    Args:
      seed: of the data set, at least 0.
      number: of the sentence, at least 0.

    Example:
      >>> print(*sentence(0, 4), sep="\n")
      while it is not true that the direction was hardly so strong , the acting was quite poor .
      False
      while it is not true that the direction was hardly so poor , the acting was quite strong .
      (('the direction', True), ('the acting', False))
    """
    draws = _Draws(seed, number)
    agree, first_good = draws.choose((True, False, False)), draws.choose((True, False))
    negations = draws.choose((0, 0, 1, 1, 2)), draws.choose((0, 0, 1, 1, 2))
    if sum(negations) % 2 != agree:  # with adjectives that differ, one clause more is turned round, or one less
        negations = negations[0], (1, 0, 1)[negations[1]]
    first = draws.choose(_SUBJECTS)
    subjects = first, draws.choose([subject for subject in _SUBJECTS if subject != first])
    clauses = [_clause(draws, subject, count) for subject, count in zip(subjects, negations, strict=True)]
    frame = draws.choose(_FRAMES).format(draws.choose(_AGREEMENTS if agree else _CONTRASTS))
    good, bad = draws.choose(ADJECTIVES[1]), draws.choose(ADJECTIVES[0])
    pair = (good, bad) if first_good else (bad, good)
    texts = [
        frame.format(x=clauses[0].replace("ADJECTIVE", a), y=clauses[1].replace("ADJECTIVE", b))
        for a, b in (pair, pair[::-1])
    ]
    values = first_good != (negations[0] % 2 == 1), first_good == (negations[1] % 2 == 1)
    return Sentence(texts[0], values[1], texts[1], ((subjects[0], values[0]), (subjects[1], values[1])))


def _clause(draws: _Draws, subject: str, negations: int) -> str:
    """A clause with a place for its adjective."""
    denied = negations == 2 or (negations == 1 and draws.choose((True, False, False)))
    said = f"{draws.choose(_WITHIN_NEGATIONS if negations else _INTENSIFIERS)}ADJECTIVE"
    negated = draws.choose(_NEGATIONS).format(said) if negations - denied else said
    clause = f"{subject} was {negated}"
    return draws.choose(_DENIALS).format(clause) if denied else clause


def sentiment_grammar(folder: Path | None = None, *, seed: int = 0) -> LabelledText:
    """8,000 / 1,000 / 1,000 sentences, no bag of words in two splits or in more than one pair of twins.

    Args:
      folder: not used; the sentences are made up.
      seed: decides them.
    """
    del folder
    splits: dict[str, tuple[Example, ...]] = {
        split: tuple(example for number, drawn in pairs for example in _examples(number, drawn))
        for split, pairs in sentences(seed).items()
    }
    return LabelledText("sentiment_grammar", CLASSES, splits["train"], splits["valid"], splits["test"])


def sentences(seed: int) -> dict[str, list[tuple[int, Sentence]]]:
    """The sentences of every split with their numbers, no bag of words twice.

    Args:
      seed: decides them.
    """
    splits: dict[str, list[tuple[int, Sentence]]] = {split: [] for split in TWINS}
    seen: set[tuple[str, ...]] = set()
    numbers = itertools.count()
    for split, twins in TWINS.items():
        while len(splits[split]) < twins:
            number = next(numbers)
            drawn = sentence(seed, number)
            bag = tuple(sorted(drawn.text.split()))
            if bag not in seen:
                splits[split].append((number, drawn))
            seen.add(bag)
    return splits


def _examples(number: int, drawn: Sentence) -> tuple[Example, Example]:
    """A sentence and its twin."""
    place = f"sentence {number}"
    return (
        Example(drawn.text, CLASSES[drawn.positive], place),
        Example(drawn.twin, CLASSES[not drawn.positive], f"{place}, its twin"),
    )
