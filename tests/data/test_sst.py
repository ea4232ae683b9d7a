"""Trees of labelled spans, and the data sets made of them."""

import pytest

from seqmodels.data.labelled_sets import labelled_set
from seqmodels.data.sources import DataError
from seqmodels.data.sst import FIVE, TWO, Span, from_trees, read_tree, sst2, sst5

GOOD = "(3 (2 (2 The) (2 film)) (4 (2 is) (4 (3 good) (2 .))))"
BAD = "(1 (2 It) (0 (2 (2 is) (2 n't)) (3 good)))"
DULL = "(2 (2 It) (2 ends))"
TEXTS = {"train.txt": f"{GOOD}\n{BAD}\n\n{DULL}\n", "dev.txt": BAD, "test.txt": f"{DULL}\n{GOOD}\n"}


def test_a_tree_is_its_spans():
    assert read_tree(BAD) == [
        Span("1", ("It", "is", "n't", "good")),
        Span("2", ("It",)),
        Span("0", ("is", "n't", "good")),
        Span("2", ("is", "n't")),
        Span("2", ("is",)),
        Span("2", ("n't",)),
        Span("3", ("good",)),
    ]


def test_escaped_characters():
    assert read_tree(r"(2 (2 -LRB-) (2 (2 and\/or) (2 -RRB-)))")[0].words == ("(", "and/or", ")")


def test_a_leaf_is_one_word_whatever_is_in_it():
    """As a no-break space is in some, which parts words in texts all the same."""
    leaf = "(2 8\N{NO-BREAK SPACE}1/2)"
    assert [span.words for span in read_tree(f"(3 {leaf} (3 films))")][1:] == [("8\N{NO-BREAK SPACE}1/2",), ("films",)]
    made = from_trees("sst2", {**TEXTS, "dev.txt": f"(3 {leaf} (3 films))"}, TWO, phrases=False)
    assert made.valid[0].text == "8 1/2 films"


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ("(2 (2 a)", "a bracket is open at its end"),
        ("(2 a))", "there is more behind its end"),
        ("(2 a) (2 b)", "there is more behind its end"),
        ("a (2 b)", "does not begin with a label"),
        (")", "closed that was not opened"),
        ("(2 a", "open at its end"),
        ("(", "not a tree"),
    ],
)
def test_what_is_not_a_tree_is_told_with_its_line(line, fault):
    with pytest.raises(DataError, match=rf"dev\.txt:2: not a labelled tree: .*{fault}"):
        from_trees("sst", {**TEXTS, "dev.txt": f"{BAD}\n{line}\n"}, TWO, phrases=False)


def test_two_classes_leave_neutral_sentences_out():
    data = from_trees("sst2", TEXTS, TWO, phrases=False)
    assert data.classes == ("negative", "positive")
    assert [example[:2] for example in data.train] == [
        ("The film is good .", "positive"),
        ("It is n't good", "negative"),
    ]
    assert [example.place for example in (*data.valid, *data.test)] == ["dev.txt:1", "test.txt:2"]


def test_five_classes_are_in_their_order():
    texts = {**TEXTS, "train.txt": TEXTS["train.txt"] + "(0 (0 awful))\n(4 (4 superb))\n"}
    data = from_trees("sst5", texts, FIVE, phrases=False)
    assert data.classes == ("very negative", "negative", "neutral", "positive", "very positive")
    assert data.numbers("train").tolist() == [3, 1, 2, 0, 4]


def test_phrases_are_every_different_span_of_the_training_sentences():
    data = from_trees("sst2", TEXTS, TWO, phrases=True)
    assert {(text, label) for text, label, _ in data.train} == {
        ("The film is good .", "positive"),
        ("is good .", "positive"),
        ("good .", "positive"),
        ("good", "positive"),
        ("It is n't good", "negative"),
        ("is n't good", "negative"),
    }
    assert len(data.train) == 6
    assert data.whole == ("The film is good .", "It is n't good", "It ends")
    assert (len(data.valid), len(data.test)) == (1, 1)


def test_only_trees_have_phrases(tmp_path):
    with pytest.raises(DataError, match=r"data\.phrases: imdb has none; leave it out, or take one of sst2, sst5"):
        labelled_set("imdb", tmp_path, phrases=True)


def test_missing_files_are_named(tmp_path):
    with pytest.raises(DataError, match=r"train\.txt: 2,160,058 bytes.*nlp\.stanford\.edu"):
        sst2(tmp_path)


@pytest.mark.data
def test_the_real_treebank(data_folder):
    for made, sizes in ((sst2, (6920, 872, 1821)), (sst5, (8544, 1101, 2210))):
        data = made(data_folder)
        assert (len(data.train), len(data.valid), len(data.test)) == sizes
    assert len(sst2(data_folder, phrases=True).train) > 60_000
    assert len(sst5(data_folder, phrases=True).train) > 150_000
