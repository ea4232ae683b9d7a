"""Polyphonic music: which keys of a piano sound in the next frame, given all frames before."""

import itertools
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import jax
import jax.numpy as jnp
import numpy as np
import optax
from pydantic import Field

from seqmodels.cells.base import Array, PyTree
from seqmodels.config import config, make_whole
from seqmodels.data.buckets import BucketStream, EvaluationBuckets, bucket_widths, width_of
from seqmodels.data.chorales import jsb_chorales
from seqmodels.data.chord_progressions import chord_progressions
from seqmodels.data.inputs import Input
from seqmodels.data.piano_rolls import KEYS, LOWEST, Music, RollBatch, Rolls, chord_names, from_json, pieces_of
from seqmodels.data.streams import batches
from seqmodels.models.sequence_model_table import SequenceModelTable
from seqmodels.tasks.key_baselines import KeyTable
from seqmodels.tasks.played_piece import PlayedPiece
from seqmodels.training.groups import batched
from seqmodels.training.optimizers import OptimizerConfig
from seqmodels.training.reading import Reading, longest
from seqmodels.training.seeds import make_seeds
from seqmodels.training.tables import Devices, Run, Training
from seqmodels.training.task import Sums

MUSIC = {"chord_progressions": chord_progressions, "jsb_chorales": jsb_chorales}
_SPLITS = ("train", "valid", "test")
_SHOWN = 0.01
_DRAWN_PIECE, _DRAWN_FRAMES = 0, 64
"""The piece of the test that is drawn, and how many frames of it at most."""


@config
class TaskTable:
    """The table `[task]`."""

    name: Literal["music"]


@config
class DataTable:
    """The table `[data]`."""

    name: Annotated[Literal[tuple(MUSIC)], Field(description="a known data set")] = "chord_progressions"  # type: ignore[valid-type]  # mypy wants the names spelled out
    path: Annotated[str | None, Field(description="your own .json file of pieces; wins over data.name")] = None
    dir: Annotated[str | None, Field(description="folder with the data set's files; default: download to a cache")] = (
        None
    )
    buckets: Annotated[int, Field(ge=1, le=32, description="different widths of batches; each is compiled once")] = 2
    batch_size: Annotated[int, Field(ge=1, description="pieces read side by side")] = 16
    eval_batch_size: Annotated[int, Field(ge=1, description="pieces read side by side in validation and test")] = 32

    def __post_init__(self) -> None:
        """Makes paths whole, so that the config in the run folder means the same from anywhere."""
        make_whole(self, "path", "dir")

    def load(self) -> Music:
        """The pieces that the table asks for."""
        if self.path is not None:
            return from_json(Path(self.path))
        return MUSIC[self.name](None if self.dir is None else Path(self.dir))


@config
class SampleTable:
    """The table `[sample]`."""

    frames: Annotated[int, Field(ge=0, description="frames of the piece that is drawn after validation")] = 16


@config
class Config:
    """A whole config of this task."""

    task: TaskTable
    run: Run = Run()
    data: DataTable = DataTable()
    model: SequenceModelTable
    optimizer: OptimizerConfig
    training: Training = Training()
    devices: Devices = Devices()
    sample: SampleTable = SampleTable()


class Player:
    """A model of music: all of the task that needs no data.

    Args:
      config: the run's.
    """

    weight_unit = "frames"
    objective = "frame_nats"

    def __init__(self, config: Config) -> None:
        self.config = config
        self.model = config.model.build(KEYS, KEYS, config.training.compute_dtype)
        self._played, self._heard = jax.jit(self._play), jax.jit(self._hear)

    @staticmethod
    def restore(config: Config, extra: Mapping[str, Any]) -> "Player":
        """From the config alone."""
        del extra
        return Player(config)

    @property
    def measures(self) -> dict[str, tuple[int, ...]]:
        """The nats of a frame, the accuracy of the keys that are taken to sound, and what is expected of one piece."""
        return {"frame_nats": (), "accuracy": (), "piano_roll": (_DRAWN_FRAMES, KEYS)}

    def init(self, key: Array) -> PyTree:
        """The model's parameters."""
        return self.model.init(key)

    def initial_carry(self, params: PyTree) -> None:
        """None: no piece goes on from another one."""

    def loss(self, params: PyTree, carry: None, batch: RollBatch, key: Array | None) -> tuple[Array, tuple[None, Sums]]:
        """What the keys of a frame cost, given all frames before it; and what is expected of a piece to be drawn."""
        played = jnp.asarray(batch.frames).astype(jnp.float32)
        _, scores = self.model.apply(params, before(played), key=key)
        sums = measure_frames(scores, played, jnp.asarray(batch.lengths))
        total, weight = sums["frame_nats"]
        return total / weight, (carry, {**sums, "piano_roll": expected_keys(scores, jnp.asarray(batch.shown))})

    def metrics(self, means: Mapping[str, Any]) -> dict[str, float]:
        """The measures that are numbers."""
        return {name: means[name] for name, shape in self.measures.items() if not shape}

    @property
    def columns(self) -> tuple[str, ...]:
        """The cost of a frame, and the keys of the next one."""
        return "frame_nats", "next"

    def predict(self, params: PyTree, given: Input, *, rows: int) -> Iterator[dict[str, Any]]:
        """What a piece costs and how it may go on; see `seqmodels.tasks.predictor.Predictor`.

        Pieces are lines of JSON with the key "frames": lists of the MIDI numbers that sound. "next" are the
        probabilities of the keys after the last frame, of those above 1%.
        """
        for group in batched(pieces_of(given), rows):
            rolls = Rolls(tuple(group))
            width = width_of(rolls.lengths + 1)  # one frame more, which is to come
            batch = rolls.batch(np.arange(len(group)), rows, width)
            nats, shares = map(np.asarray, self._heard(params, batch))
            for row, length in enumerate(rolls.lengths.tolist()):
                likely = np.flatnonzero(shares[row, length] > _SHOWN).tolist()
                yield {
                    "frame_nats": float(nats[row, :length].mean()),
                    "next": [{"key": LOWEST + key, "probability": float(shares[row, length, key])} for key in likely],
                }

    def _hear(self, params: PyTree, batch: RollBatch) -> tuple[Array, Array]:
        """The nats of each frame [B, T], and the probabilities of all keys [B, T, 88], given those before it."""
        played = jnp.asarray(batch.frames).astype(jnp.float32)
        _, scores = self.model.apply(params, before(played))
        return optax.sigmoid_binary_cross_entropy(scores, played).sum(axis=-1), jax.nn.sigmoid(scores)

    def sample(self, params: PyTree) -> str | None:
        """A piece drawn key by key with the run's seed, a frame a line; the same frame again is one line."""
        number = self.config.sample.frames
        if number == 0:
            return None
        frames = np.asarray(self._played(params, jax.random.split(make_seeds(self.config.run.seed).sample, number)))
        groups = [(name, len(list(same))) for name, same in itertools.groupby(map(chord_names, frames))]
        return "\n".join(f"{name}  x {times}" if times > 1 else name for name, times in groups)

    def _play(self, params: PyTree, keys: Array) -> Array:
        """Frames [T, 88] that are drawn with keys [T]."""

        def step(now: tuple[PyTree, Array], key: Array) -> tuple[tuple[PyTree, Array], Array]:
            state, scores = self.model.step(params, *now)
            frame = jax.random.bernoulli(key, jax.nn.sigmoid(scores)).astype(jnp.float32)
            return (state, frame), frame

        frames: Array = jax.lax.scan(step, (self.model.initial_state(params), jnp.zeros(KEYS)), keys)[1]
        return frames


class Playing(Player):
    """The task: pieces as piano rolls, a recurrent model, its loss.

    Args:
      config: a valid one.

    Raises:
      DataError: if the data cannot be had or used.
    """

    name: ClassVar[str] = "music"
    schema: ClassVar[type[Any]] = Config

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        data = config.data
        self.music = data.load()
        self.data_name = f"the music of {self.music.name}"
        shown = {"test": _DRAWN_PIECE}
        self._splits = {split: Rolls(self.music.splits[split], shown.get(split)) for split in _SPLITS}
        self.widths = bucket_widths(np.concatenate([rolls.lengths for rolls in self._splits.values()]), data.buckets)
        self.stream = BucketStream(
            self._splits["train"], self.widths, data.batch_size, group=config.training.accumulate
        )

    def batches(self, start: int) -> Iterator[RollBatch]:
        """Training pieces of similar lengths from step `start` on."""
        return batches(self.stream, seed=self.config.run.seed, start=start)

    def origin(self, number: int) -> dict[str, Any]:
        """What the stream says of a batch."""
        return self.stream.origin(number, self.config.run.seed)

    def evaluation(self, params: PyTree, split: str) -> tuple[None, Iterable[RollBatch]]:
        """Every frame of a split once."""
        del params
        return None, EvaluationBuckets(self._splits[split], self.widths, self.config.data.eval_batch_size)

    def pictures(self, sums: Mapping[str, Any]) -> Mapping[str, Any]:
        """A piece of the test beside what was expected of it."""
        played = self._splits["test"].pieces[_DRAWN_PIECE][:_DRAWN_FRAMES]
        expected = np.asarray(sums["piano_roll"][0], np.float64)[: len(played)]
        return {"piano_roll": PlayedPiece(played, expected, LOWEST)}

    def reading(self, params: PyTree, most: int) -> Reading:
        """A piece of validation, and the cost of the keys of its last frame in nats."""
        row = longest(self._splits["valid"].lengths, most)
        played = jnp.asarray(self._splits["valid"].pieces[row]).astype(jnp.float32)

        def cost(last: PyTree, ys: Array) -> Array:
            del last
            return jnp.sum(optax.sigmoid_binary_cross_entropy(self.model.outputs(params, ys[-1]), played[-1]))

        asked = f"the last frame of piece {row + 1:,} of validation"
        return Reading(self.model.cell, params.cell, before(played[None])[0], cost, asked, "frame")

    def baselines(self) -> dict[str, dict[str, float]]:
        """Each key as often as in training; and as often as after a frame in which it sounded, or did not."""
        train = self._splits["train"].pieces
        methods = {"frequencies": KeyTable.fit(train, remembers=False), "frame before": KeyTable.fit(train)}
        found: dict[str, dict[str, float]] = {}
        for split in ("valid", "test"):
            for method, table in methods.items():
                for metric, value in table.measure(self._splits[split].pieces).items():
                    found.setdefault(f"{split}/{metric}", {})[method] = value
        return found

    def extra(self) -> dict[str, Any]:
        """The fingerprint of the data."""
        return {"data_sha256": self.music.fingerprint}

    def describe(self) -> list[str]:
        """What is trained on what, a line each."""
        sizes = ", ".join(f"{len(self._splits[split].pieces):,} {split}" for split in _SPLITS)
        frames = ", ".join(f"{int(self._splits[split].lengths.sum()):,}" for split in _SPLITS)
        widths = ", ".join(map(str, self.widths))
        return [
            f"{self.music.name}: {sizes} pieces; {frames} frames",
            f"{len(self.stream):,} batches an epoch, {self.config.data.batch_size} pieces, {widths} frames wide",
        ]


def before(frames: Array) -> Array:
    """What is read at each step, the frame before it; before the first one is silence."""
    return jnp.concatenate([jnp.zeros_like(frames[:, :1]), frames[:, :-1]], axis=1)


def expected_keys(scores: Array, shown: Array) -> tuple[Array, Array]:
    """The probabilities of the keys in the rows that are shown [B], as a sum of a fixed length [F, 88] and its weight.

    Args:
      scores: log p / (1 - p) of each key, [B, T, 88].
      shown: [B].
    """
    shares = jnp.where(shown[:, None, None], jax.nn.sigmoid(scores), 0.0).sum(axis=0)[:_DRAWN_FRAMES]
    total = jnp.zeros((_DRAWN_FRAMES, KEYS), shares.dtype).at[: len(shares)].set(shares)
    return total, shown.astype(jnp.float32).sum()


def measure_frames(scores: Array, played: Array, lengths: Array) -> Sums:
    """What scores are worth.

        frame_nats    -Σ_k log p(key k of this frame)
        accuracy      right / (right + too many + missing) of the keys taken to sound, those with p > 1/2

    Args:
      scores: log p / (1 - p) of each key, [B, T, 88].
      played: zeros and ones, [B, T, 88].
      lengths: [B].

    References:
      Bay, Ehmann & Downie (2009), Evaluation of multiple-F0 estimation and tracking systems (accuracy).
    """
    counted = jnp.arange(played.shape[1], dtype=lengths.dtype) < lengths[:, None]
    nats = jnp.where(counted, optax.sigmoid_binary_cross_entropy(scores, played).sum(axis=-1), 0.0)
    taken = (scores > 0) & counted[..., None]
    sounds = (played > 0) & counted[..., None]
    right, either = ((both.astype(jnp.float32)).sum() for both in (taken & sounds, taken | sounds))
    return {"frame_nats": (nats.sum(), counted.astype(jnp.float32).sum()), "accuracy": (right, either)}
