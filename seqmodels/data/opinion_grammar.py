"""The sentences of the grammar of sentiment, in which each word that is spoken of is labelled with what is said of it.

    although the plot was not funny , the music was good .
    neutral  negative         neutral  positive  neutral

(the words "the plot" are negative, the words "the music" positive, all others neutral.)

The data hold each sentence and its twin in the same split. The twin has the same words in the same places but for two
adjectives, which are exchanged, and it says the opposite of everything. So:

- Every word that is spoken of has both labels equally often in the same place. Whatever looks at a word and its place
  alone is right in exactly half of these.
- A sentence and its twin begin alike up to the first adjective, which stands behind what it speaks of. Whatever reads
  from the left alone is right in exactly half of the words that are spoken of first.
"""

from pathlib import Path
from typing import Final

from seqmodels.data.sentiment_grammar import Sentence, sentences
from seqmodels.data.tagged_text import TaggedSentence, TaggedText

CLASSES: Final = ("negative", "neutral", "positive")


def opinion_grammar(folder: Path | None = None, *, seed: int = 0) -> TaggedText:
    """8,000 / 1,000 / 1,000 sentences, the same as those of `sentiment_grammar`.

    Args:
      folder: not used; the sentences are made up.
      seed: decides them.
    """
    del folder
    train, valid, test = (
        tuple(tagged for number, drawn in pairs for tagged in tag(number, drawn)) for pairs in sentences(seed).values()
    )
    return TaggedText("opinion_grammar", CLASSES, train, valid, test, ordered=True)


def tag(number: int, drawn: Sentence) -> tuple[TaggedSentence, TaggedSentence]:
    """A sentence and its twin with their labels.

    Example:
      >>> from seqmodels.data.sentiment_grammar import sentence
      >>> tagged, _ = tag(4, sentence(0, 4))
      >>> [f"{word}/{label}" for word, label in zip(tagged.words, tagged.labels) if label != "neutral"]
      ['the/positive', 'direction/positive', 'the/negative', 'acting/negative']
    """
    places = range(1, len(drawn.text.split()) + 1)
    sides = ((drawn.text, f"sentence {number}", False), (drawn.twin, f"sentence {number}, its twin", True))
    first, second = (
        TaggedSentence(tuple(text.split()), _labels(text, drawn, turned=turned), file, tuple(places))
        for text, file, turned in sides
    )
    return first, second


def _labels(text: str, drawn: Sentence, *, turned: bool) -> tuple[str, ...]:
    """The label of each word of a sentence, or of its twin, which says the opposite."""
    words = text.split()
    labels = ["neutral"] * len(words)
    for subject, good in drawn.opinions:
        spoken = subject.split()
        start = next(place for place in range(len(words)) if words[place:][: len(spoken)] == spoken)
        labels[start : start + len(spoken)] = ["positive" if good != turned else "negative"] * len(spoken)
    return tuple(labels)
