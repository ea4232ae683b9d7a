"""The leaves of the treebank, the English Web Treebank, and lexicons."""

import pytest

from seqmodels.data.lexicon import read_lexicon, vader_in
from seqmodels.data.sources import DataError
from seqmodels.data.sst import FIVE
from seqmodels.data.sst_words import THREE, from_leaves, sst_words
from seqmodels.data.tagged_sets import tagged_set
from seqmodels.data.ud_english import ud_english_ewt

TRAIN = "(3 (2 (2 The) (2 film)) (4 (2 is) (4 (3 good) (2 .))))\n\n(0 (0 awful) (1 (1 bad) (4 superb)))\n"
TEXTS = {"train.txt": TRAIN, "dev.txt": "(3 (2 It) (1 (2 is) (3 good)))", "test.txt": "(1 bad)"}


def test_words_have_the_labels_of_the_leaves():
    data = from_leaves("sst_words", TEXTS, FIVE)
    assert data.classes == ("very negative", "negative", "neutral", "positive", "very positive")
    assert data.ordered
    first, second = data.train
    assert first.words == ("The", "film", "is", "good", ".")
    assert first.labels == ("neutral", "neutral", "neutral", "positive", "neutral")
    assert second.labels == ("very negative", "negative", "very positive")
    assert (second.file, second.lines) == ("train.txt", (3, 3, 3))
    assert (data.valid[0].words, data.test[0].labels) == (("It", "is", "good"), ("negative",))


def test_three_classes_leave_the_strength_out():
    data = from_leaves("sst_words", TEXTS, THREE)
    assert data.classes == ("negative", "neutral", "positive")
    assert data.train[1].labels == ("negative", "negative", "positive")


def test_what_is_not_a_tree_is_told_with_its_line():
    with pytest.raises(DataError, match=r"dev\.txt:1: not a labelled tree"):
        from_leaves("sst_words", {**TEXTS, "dev.txt": "(3 (2 It)"}, FIVE)


def test_missing_files_are_named(tmp_path):
    with pytest.raises(DataError, match=r"train\.txt: 2,160,058 bytes"):
        tagged_set("sst_words", tmp_path, classes=3)
    with pytest.raises(DataError, match=r"en_ewt-ud-train\.conllu: 14,203,025 bytes.*UD_English-EWT"):
        tagged_set("ud_english_ewt", tmp_path, classes=None)


def test_a_number_of_classes_is_for_the_treebank():
    with pytest.raises(DataError, match=r"data\.classes: opinion_grammar leaves no choice"):
        tagged_set("opinion_grammar", None, classes=3)


def test_a_lexicon_is_words_and_numbers(tmp_path):
    path = tmp_path / "lexicon.txt"
    path.write_text("good\t1.9\t0.9\t[2, 1]\nnot good\t-2\n\n:(\t-1\n")
    assert read_lexicon(path) == {"good": 1.9, "not good": -2.0, ":(": -1.0}
    assert vader_in(tmp_path) is None


def test_the_lexicon_beside_the_data_must_be_that_lexicon(tmp_path):
    (tmp_path / "vader_lexicon.txt").write_text("good\t1.9\n")
    with pytest.raises(DataError, match=r"vader_lexicon\.txt: not the canonical vader_lexicon\.txt"):
        vader_in(tmp_path)


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        ("good\t1.9\nbad\n", r"lexicon\.txt:2: must be a word, a tab and a number \(got 'bad'\)"),
        ("good\thigh\n", r"lexicon\.txt:1: must be a word, a tab and a number"),
        ("good\tnan\n", r"lexicon\.txt:1: must be a word, a tab and a number"),
        ("\n", r"lexicon\.txt: there are no words in it; name a lexicon with data\.lexicon=FILE"),
    ],
)
def test_what_is_no_lexicon_is_told_with_its_line(content, fault, tmp_path):
    (tmp_path / "lexicon.txt").write_text(content)
    with pytest.raises(DataError, match=fault):
        read_lexicon(tmp_path / "lexicon.txt")


@pytest.mark.data
def test_the_real_words(data_folder):
    for made, sizes in ((sst_words, (163_563, 21_274, 42_405)), (ud_english_ewt, (204_577, 25_147, 25_094))):
        data = made(data_folder)
        counts = [sum(len(sentence.words) for sentence in split) for split in (data.train, data.valid, data.test)]
        assert tuple(counts) == sizes
    assert len(data.classes) == 17
    assert len(read_lexicon(vader_in(data_folder))) > 7_000


@pytest.mark.data
def test_each_word_of_the_treebank_was_labelled_once(data_folder):
    """So a table of the training words is right on all of them, in every split."""
    data = sst_words(data_folder)
    labels = {}
    for sentence in (*data.train, *data.valid, *data.test):
        for word, label in zip(sentence.words, sentence.labels, strict=True):
            assert labels.setdefault(word, label) == label
