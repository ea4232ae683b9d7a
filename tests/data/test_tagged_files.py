"""The user's own tagged sentences, and everything that may be wrong with them."""

import pytest

from seqmodels.data.inputs import Input
from seqmodels.data.sources import DataError
from seqmodels.data.tagged_files import from_path
from seqmodels.data.word_lines import sentences_of

REST = "\t_" * 6
CONLLU = f"""# sent_id = 1
# text = I don't know.
1\tI\tI\tPRON{REST}
2-3\tdon't\t_\t_{REST}
2\tdo\tdo\tAUX{REST}
3\tn't\tnot\tPART{REST}
4\tknow\tknow\tVERB{REST}
4.1\twhat\twhat\tPRON{REST}
5\t.\t.\tPUNCT{REST}

# an empty one

1\tYes\tyes\tINTJ{REST}
2\t10 000\t10000\tNUM{REST}
"""


def columns(number):
    return "".join(f"the\tD\nfilm{place}\tN\nends\tV\n\n" for place in range(number))


def test_words_of_conllu_are_the_syntactic_ones(tmp_path):
    for name in ("train", "dev", "test"):
        (tmp_path / f"{name}.conllu").write_text(CONLLU, encoding="utf-8")
    data = from_path(tmp_path)
    assert [sentence[:2] for sentence in data.train] == [
        (("I", "do", "n't", "know", "."), ("PRON", "AUX", "PART", "VERB", "PUNCT")),
        (("Yes", "10 000"), ("INTJ", "NUM")),
    ]
    assert data.train[0].lines == (3, 5, 6, 7, 9)
    assert data.valid[1].file == str(tmp_path / "dev.conllu")
    assert data.classes == ("AUX", "INTJ", "NUM", "PART", "PRON", "PUNCT", "VERB")
    assert not data.ordered


@pytest.mark.parametrize("name", ["data.tsv", "data.txt"])
@pytest.mark.parametrize("ends", ["\n", "\r\n"])
def test_one_file_of_two_columns_is_split_by_a_seed(name, ends, tmp_path):
    path = tmp_path / name
    path.write_bytes(("\ufeff" + columns(40)).replace("\n", ends).encode())
    data = from_path(path)
    assert (data.name, data.classes) == (name, ("D", "N", "V"))
    assert [len(split) for split in (data.train, data.valid, data.test)] == [32, 4, 4]
    assert sorted(sentence.words[1] for sentence in (*data.train, *data.valid, *data.test)) == sorted(
        f"film{place}" for place in range(40)
    )
    assert from_path(path, seed=1).test != data.test


def test_a_split_that_is_not_there_is_held_out_of_training(tmp_path):
    (tmp_path / "train.tsv").write_text(columns(20))
    (tmp_path / "test.conllu").write_text(f"1\tfilm\tfilm\tN{REST}\n")
    data = from_path(tmp_path)
    assert [len(split) for split in (data.train, data.valid, data.test)] == [18, 2, 1]


@pytest.mark.parametrize(("labels", "ordered"), [("negative neutral positive", True), ("B I", False)])
def test_classes_of_sentiment_have_an_order(labels, ordered, tmp_path):
    (tmp_path / "a.tsv").write_text(("".join(f"word\t{label}\n" for label in labels.split()) + "\n") * 9)
    assert from_path(tmp_path / "a.tsv").ordered == ordered


@pytest.mark.parametrize(
    ("name", "content", "fault"),
    [
        ("a.tsv", "the\tD\nfilm N\n", r"a\.tsv:2: 1 column, but there must be two, the word and its label; put a tab"),
        ("a.tsv", "the\tD\tx\n", r"a\.tsv:1: 3 columns, but there must be two"),
        ("a.txt", "the\tD\n\nfilm\t\n", r"a\.txt:3: there is no label; fill it in, or remove the line"),
        ("a.txt", " \tD\n", r"a\.txt:1: there is no word"),
        ("a.tsv", "", r"a\.tsv: there are no words in it; each line must be a word, a tab and its label"),
        ("a.conllu", "# nothing\n\n", r"a\.conllu: there are no words in it"),
        ("a.conllu", "1\tthe\tthe\tDET\n", r"a\.conllu:1: 4 columns, but a line of CoNLL-U has 10; put a tab"),
        ("a.conllu", f"1\tthe\tthe\t_{REST}\n", r"a\.conllu:1: there is no label"),
        ("a.conllu", f"x\tthe\tthe\tDET{REST}\n", r"a\.conllu:1: the first column must be the number of the word"),
        ("a.csv", "the,D\n", r"a\.csv: its name must end in \.conllu, \.tsv, \.txt"),
        ("a.tsv", "the\tD\nfilm\tN\n", r"1 sentences are too few to hold some out; is there a blank line"),
        ("a.tsv", "the\tD\n\n" * 20, r"all words to learn from have the label 'D'"),
        ("a.tsv", b"the\tD\nfianc\xe9\tN\n", r"a\.tsv: not UTF-8 at byte 11; save it as UTF-8"),
        ("a.tsv", "the\tD\n".encode("utf-16"), r"a\.tsv: the file is in UTF-16; save it as UTF-8"),
    ],
)
def test_what_is_wrong_is_told_with_its_place(name, content, fault, tmp_path):
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(DataError, match=fault):
        from_path(path)


def test_a_label_that_training_does_not_have_is_told_with_its_line(tmp_path):
    (tmp_path / "train.tsv").write_text(columns(20))
    (tmp_path / "test.tsv").write_text("the\tD\nfilm\tX\n")
    with pytest.raises(DataError, match=r"test\.tsv:2: the label 'X' is in no training sentence"):
        from_path(tmp_path)


def test_files_that_are_not_there_or_there_twice(tmp_path):
    with pytest.raises(DataError, match=r"there must be train\.conllu or train\.tsv or train\.txt in this folder"):
        from_path(tmp_path)
    with pytest.raises(DataError, match=r"missing\.tsv: there is no such file"):
        from_path(tmp_path / "missing.tsv")
    for name in ("train.tsv", "train.conllu"):
        (tmp_path / name).write_text(columns(3))
    with pytest.raises(DataError, match=r"train\.conllu and train\.tsv are both for train; remove one of them"):
        from_path(tmp_path)


def until(lines):
    """Lines behind which nothing may be read yet."""
    yield from lines
    pytest.fail("it reads on before it answers")


def test_new_sentences_may_be_a_column_of_words():
    assert list(sentences_of(Input("new", ".tsv", ["the", "film\tN", "", "ends"]))) == [("the", "film"), ("ends",)]
    with pytest.raises(DataError, match="new:2: 3 columns, but there must be two"):
        list(sentences_of(Input("new", ".tsv", ["the", "film\tN\tx"])))


def test_labels_are_not_read_as_words_of_plain_sentences():
    assert list(sentences_of(Input("new.txt", ".txt", ["\tIt ends.", "", " "]))) == [("It", "ends", "."), (), ()]
    assert next(sentences_of(Input("new.txt", ".txt", until(["It ends."])))) == ("It", "ends", ".")
    for line in ("film\tN", "film\t"):
        with pytest.raises(DataError, match=r"new\.txt:2: a tab behind a word; .* --kind tsv"):
            list(sentences_of(Input("new.txt", ".txt", ["the", line])))


@pytest.mark.parametrize(
    ("kind", "lines"),
    [
        (".conllu", [f"1\tthe\tthe\t_{REST}", f"2\tfilm\tfilm\tNOUN{REST}"]),
        (".tsv", ["the\t", "film\tN"]),
    ],
)
def test_new_sentences_need_no_labels(kind, lines):
    assert list(sentences_of(Input("new", kind, lines))) == [("the", "film")]
    assert next(sentences_of(Input("new", kind, until([*lines, ""])))) == ("the", "film")
    with pytest.raises(DataError, match="new:2: there is no word"):
        list(sentences_of(Input("new", kind, [line.replace("film", " ") for line in lines])))
