"""Piano rolls: the user's files, made-up chords, the chorales, and batches of them."""

import io
import json

import numpy as np
import pytest
from scipy.io import savemat

from seqmodels.data.chorales import JSB_CHORALES, from_mat, jsb_chorales
from seqmodels.data.chord_progressions import PIECES, chord_progressions
from seqmodels.data.piano_rolls import Music, Rolls, chord_names, from_json, roll_of
from seqmodels.data.sources import DataError

SPLITS = ("train", "valid", "test")


def written(folder, content):
    path = folder / "pieces.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return path


def test_pieces_of_a_file(tmp_path):
    music = from_json(
        written(tmp_path, {"train": [[[21, 60], []], [[108]]], "valid": [[[60]]], "test": [[[62], [62]]], "about": 1})
    )
    assert [[len(piece) for piece in music.splits[split]] for split in SPLITS] == [[2, 1], [1], [2]]
    assert np.argwhere(music.splits["train"][0]).tolist() == [[0, 0], [0, 39]]
    assert np.argwhere(music.splits["train"][1]).tolist() == [[0, 87]]


def whole(**changes):
    return {split: [[[60]]] for split in SPLITS} | changes


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        ("", "no JSON"),
        ("[" * 99999, "cannot be read"),
        ("9" * 5000, "cannot be read"),
        ("{\n,", r"no JSON \(line 2: "),
        ([], 'must be an object with "train", "valid" and "test"'),
        ({"train": [], "valid": []}, 'must be an object with "train", "valid" and "test"'),
        (whole(test={}), 'must be an object with "train", "valid" and "test"'),
        (whole(valid=[]), "there are no pieces in valid"),
        (whole(train=[[[60]], []]), "train, piece 2: must be a list of one frame at least"),
        (whole(train=[3]), "train, piece 1: must be a list of one frame at least"),
        (whole(test=[[[60], 61]]), "test, piece 1, frame 2: must be a list of whole numbers"),
        (whole(test=[[["60"]]]), "test, piece 1, frame 1: must be a list of whole numbers"),
        (whole(test=[[[60.0]]]), "test, piece 1, frame 1: must be a list of whole numbers"),
        (whole(test=[[[True]]]), "test, piece 1, frame 1: must be a list of whole numbers"),
        (whole(test=[[[60, 20]]]), "frame 1: 20 is no key of a piano; they are 21 to 108"),
        (whole(test=[[[109]]]), "109 is no key of a piano"),
    ],
)
def test_faults_of_a_file_are_told(content, fault, tmp_path):
    with pytest.raises(DataError, match=rf"pieces\.json: {fault}|pieces\.json: .*{fault}"):
        from_json(written(tmp_path, content))


def test_names_of_chords():
    assert chord_names(roll_of([[21, 60, 61, 108]])[0]) == "A0 C4 C#4 C8"
    assert chord_names(np.zeros(88)) == "-"


def test_every_split_and_the_borders_of_pieces_decide_the_fingerprint():
    one, two = roll_of([[60]]), roll_of([[60], [60]])
    sets = [
        {"train": (one, one), "valid": (one,), "test": (one,)},
        {"train": (two,), "valid": (one,), "test": (one,)},
        {"train": (one,), "valid": (one, one), "test": (one,)},
        {"train": (one, roll_of([[61]])), "valid": (one,), "test": (one,)},
    ]
    assert len({Music("a", splits).fingerprint for splits in sets}) == 4
    assert Music("b", sets[0]).fingerprint == Music("a", sets[0]).fingerprint


def test_a_batch_has_its_pieces_and_silence():
    rolls = Rolls((roll_of([[60], [61]]), roll_of([[62]] * 3), roll_of([[63]])))
    frames, lengths, shown = rolls._replace(shown=0).batch(np.array([1, 0]), 3, 4)
    assert shown.tolist() == [False, True, False]
    assert not rolls.batch(np.array([1, 0]), 3, 4).shown.any()
    assert rolls.lengths.tolist() == [2, 3, 1]
    assert lengths.tolist() == [3, 2, 0]
    assert np.argwhere(frames).tolist() == [[0, 0, 41], [0, 1, 41], [0, 2, 41], [1, 0, 39], [1, 1, 40]]


def test_made_up_pieces_are_triads_of_one_major_key():
    music = chord_progressions()
    scales = [{(key + step) % 12 for step in (0, 2, 4, 5, 7, 9, 11)} for key in range(12)]
    keys = set()
    for split in SPLITS:
        assert len(music.splits[split]) == PIECES[split]
        for piece in music.splits[split]:
            assert piece.shape == (32, 88)
            np.testing.assert_array_equal(piece[::2], piece[1::2])
            np.testing.assert_array_equal(piece[0], piece[-1])
            notes = [np.nonzero(frame)[0] + 21 for frame in piece]
            root = int(notes[0][0]) % 12
            assert {int(note) % 12 for chord in notes for note in chord} <= scales[root]
            keys.add(root)
            for bass, *chord in notes:
                intervals = sorted((note - bass) % 12 for note in chord)
                assert intervals in ([0, 4, 7], [0, 3, 7], [0, 3, 6])
    assert keys == set(range(12))


def test_the_seed_decides_the_made_up_pieces():
    assert chord_progressions().fingerprint == chord_progressions(seed=0).fingerprint
    assert chord_progressions(seed=1).fingerprint != chord_progressions().fingerprint


def cells(*pieces):
    made = np.empty((1, len(pieces)), object)
    for place, piece in enumerate(pieces):
        made[0, place] = piece
    return made


def mat(folder, **arrays):
    file = io.BytesIO()
    savemat(file, arrays)
    path = folder / "music.mat"
    path.write_bytes(file.getvalue())
    return path


def test_pieces_of_a_mat_file(tmp_path):
    train = roll_of([[60], [64]]), roll_of([[67]])
    path = mat(tmp_path, traindata=cells(*train), validdata=cells(train[0]), testdata=cells(train[1]))
    music = from_mat("music", path)
    assert Music("", {"train": train, "valid": train[:1], "test": train[1:]}).fingerprint == music.fingerprint
    assert all(piece.dtype == np.uint8 for pieces in music.splits.values() for piece in pieces)


def test_faults_of_a_mat_file_are_told(tmp_path):
    one = cells(roll_of([[60]]))
    with pytest.raises(DataError, match=r"music\.mat: no \.mat file with traindata, validdata and testdata"):
        from_mat("music", mat(tmp_path, traindata=one, validdata=one))
    (tmp_path / "text.mat").write_text("this is not a file of that kind" * 9)
    with pytest.raises(DataError, match=r"text\.mat: no \.mat file"):
        from_mat("music", tmp_path / "text.mat")
    with pytest.raises(DataError, match=r"test, piece 1: not 88 keys a frame \(shape \(1, 12\)\)"):
        from_mat("music", mat(tmp_path, traindata=one, validdata=one, testdata=cells(np.zeros((1, 12)))))


def test_chorales_that_are_missing_are_told(tmp_path):
    with pytest.raises(DataError, match="files of polymusic are missing"):
        jsb_chorales(tmp_path)
    assert JSB_CHORALES.files[0].urls


@pytest.mark.data
def test_the_chorales(data_folder):
    splits = jsb_chorales(data_folder).splits
    assert [len(splits[split]) for split in SPLITS] == [229, 76, 77]
    assert [sum(map(len, splits[split])) for split in SPLITS] == [13_807, 4_602, 4_725]
