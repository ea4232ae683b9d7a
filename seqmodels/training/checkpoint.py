"""Checkpoints of a training run: whole or not there, and checked to the last bit when read."""

from __future__ import annotations

import contextlib
import json
import math
import os
import re
import shutil
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Generic, TypeVar

import jax

from seqmodels.errors import UserError, first_line
from seqmodels.training.leaves import differences, named_leaves
from seqmodels.training.manifest import (
    DamagedError,
    Manifest,
    check_files,
    read_manifest,
    to_disk,
    write_manifest,
)
from seqmodels.training.piece_store import read_pieces, take_descriptions, write_pieces
from seqmodels.training.pieces import Piece, assemble, pieces_here, regions_wanted
from seqmodels.training.processes import gather, leads, together
from seqmodels.training.run_folder import JSON

_WRITING, _REMOVED, _REPLACED = ".writing-", ".removed-", ".replaced-"
_SHOWN_FAULTS: Final = 8

Tree = TypeVar("Tree")
Loaded = TypeVar("Loaded")


class CheckpointError(UserError):
    """A checkpoint cannot be written, cannot be read, or belongs to another model."""


@dataclass(frozen=True)
class Restored(Generic[Tree]):
    """What `Checkpoints.restore` found.

    Attributes:
      step: the optimizer step after which the checkpoint was saved.
      tree: the arrays, in the structure asked for.
      extra: the JSON saved beside them.
      skipped: a sentence for each newer checkpoint that was damaged and passed over.
    """

    step: int
    tree: Tree
    extra: Mapping[str, Any]
    skipped: tuple[str, ...]


class Checkpoints:
    """The checkpoints in one folder, each a folder named after its step.

    A checkpoint is written beside its place under a hidden name, forced to the disk and then renamed, so that a
    process killed at any moment leaves only whole ones. A manifest holds the sha256 of every file and, apart from
    that, of every array as it was in memory; nothing is given out that differs in a single bit.

    Only one run may save into a folder (`RunFolder` holds the lock); any number may read meanwhile. Nothing is
    written, not even the folder, before the first `save`. Of arrays that several devices share each piece is stored
    by itself, by the process that has it, and read by those that need it: a run may go on with other devices, and
    with more or fewer processes. These see one folder, and save and restore together.

    Args:
      folder: where the checkpoints are.
      keep_last: how many of the newest are kept, at least 1.
      keep_best: whether the one with the lowest score is kept too.

    Example:
      >>> import tempfile
      >>> import jax.numpy as jnp
      >>> checkpoints = Checkpoints(tempfile.mkdtemp(), keep_last=1)
      >>> checkpoints.save(10, {"w": jnp.ones(3)}, {"vocabulary": "ab"}, score=2.5)
      >>> checkpoints.save(20, {"w": jnp.zeros(3)}, {"vocabulary": "ab"}, score=2.7)
      >>> checkpoints.steps(), checkpoints.best_step()
      ([10, 20], 10)
      >>> restored = checkpoints.restore({"w": jax.ShapeDtypeStruct((3,), jnp.float32)})
      >>> restored.step, restored.tree["w"].tolist(), restored.extra["vocabulary"]
      (20, [0.0, 0.0, 0.0], 'ab')
    """

    def __init__(self, folder: str | os.PathLike[str], *, keep_last: int = 2, keep_best: bool = True) -> None:
        if keep_last < 1:
            raise ValueError(f"keep_last must be at least 1 (got {keep_last})")
        self.folder = Path(folder).absolute()
        self.keep_last = keep_last
        self.keep_best = keep_best
        self._damaged: set[int] = set()

    def save(
        self, step: int, tree: Any, extra: Mapping[str, JSON], *, score: float | None = None, keep: int | None = None
    ) -> None:
        """Saves a checkpoint; when this returns it is whole on the disk.

        A checkpoint of the same step is replaced, and there is no moment without a whole one. Then those beyond
        `keep_last` and the best are removed, and with them those that `restore` found damaged.

        Args:
          step: the optimizer step, not negative.
          tree: any pytree of arrays.
          extra: JSON to keep beside the arrays. Tuples come back as lists, NaN and infinities as they are.
          score: what this state reached, lower is better; None or NaN never counts as the best.
          keep: the step of one more that is not removed, to which the caller may go back, and with it the best until
            there.

        Raises:
          CheckpointError: if the disk is full or cannot be written; the earlier checkpoints are as they were. If the
            folder around `folder` is gone, which is not made again: whoever took it away had a reason.
        """
        if step < 0:
            raise ValueError(f"step must not be negative (got {step})")
        head = {
            "step": step,
            "score": None if score is None or math.isnan(score) else float(score),
            "extra": json.loads(json.dumps(extra)),
        }
        leaves = named_leaves(tree)
        pieces = pieces_here(leaves)
        temporary = self.folder / f"{_WRITING}{step:09d}"
        try:
            with self._saving(step):
                if leads():
                    self.folder.mkdir(exist_ok=True)
                    self._tidy()
                    temporary.mkdir()
            with self._saving(step):
                write_pieces(temporary, pieces)
            with self._saving(step):
                if leads():
                    _conclude(temporary, head, leaves)
                    self._publish(temporary, step)
                    self._remove_all_but(self._worth_keeping(step, keep))
            self._damaged.discard(step)
        finally:
            if leads():
                shutil.rmtree(temporary, ignore_errors=True)

    @contextlib.contextmanager
    def _saving(self, step: int) -> Iterator[None]:
        """A part of saving that all processes do or none; says what failed, and what to do."""
        with together():
            try:
                yield
            except Exception as error:
                failed = f"cannot save the checkpoint of step {step} in {self.folder}"
                if not self.folder.parent.is_dir():
                    said = f"{failed}: its folder is gone; was the run folder deleted or moved?"
                    raise CheckpointError(said) from error
                remedy = "make room on the disk or make it writable, then resume from the last checkpoint"
                raise CheckpointError(f"{failed}: {first_line(error)}; {remedy}") from error

    def restore(self, like: Tree, step: int | None = None) -> Restored[Tree]:
        """Reads the newest checkpoint that is undamaged, or that of one step.

        Args:
          like: a pytree of arrays or `jax.ShapeDtypeStruct` with the structure, shapes and dtypes wanted. A leaf
            that was put on certain devices is restored onto them, others onto the default device.
          step: the step wanted; None takes the newest.

        Returns:
          The state, as jax arrays, and what was passed over.

        Raises:
          CheckpointError: if there is none, if all are damaged (one line each), or if it is of another model.
        """
        wanted = named_leaves(like)

        def load(folder: Path, manifest: Manifest) -> dict[str, list[Piece]]:
            _check_same_model(folder, manifest, wanted)
            return read_pieces(
                folder, manifest["leaves"], {name: regions_wanted(leaf) for name, leaf in wanted.items()}
            )

        manifest, pieces, skipped = self._first_whole(step, load)
        leaves = {name: assemble(leaf, pieces[name]) for name, leaf in wanted.items()}
        for name, leaf in leaves.items():
            saved = manifest["leaves"][name]["dtype"]
            if leaf.dtype.name != saved:
                raise CheckpointError(f"{name} was saved as {saved}, which needs JAX_ENABLE_X64=1")
        tree = jax.tree.unflatten(jax.tree.structure(like), leaves.values())
        return Restored(manifest["step"], tree, manifest["extra"], skipped)

    def drop_after(self, step: int) -> None:
        """Removes the checkpoints of later steps than that of one which is whole, or all checkpoints.

        Args:
          step: the step to go back to; 0: to before the first one.

        Raises:
          CheckpointError: if there is no undamaged checkpoint of that step, and nothing is removed; if the disk
            refuses.
        """
        if step:
            try:
                self._first_whole(step, lambda folder, manifest: None)
            except CheckpointError as error:
                remedy = "nothing was removed; resume with training.bad_steps.name='skip'"
                raise CheckpointError(f"cannot go back to step {step}; {remedy}", *error.lines) from error
        with together():
            try:
                if leads():
                    self._tidy()
                    self._remove_all_but([earlier for earlier in self.steps() if earlier <= step])
            except OSError as error:
                raise CheckpointError(f"cannot remove checkpoints in {self.folder}: {first_line(error)}") from error

    def read_extra(self, step: int | None = None) -> Mapping[str, Any]:
        """Reads the JSON of the checkpoint that `restore` would take; raises as `restore`."""
        return dict(self._first_whole(step, lambda folder, manifest: None)[0]["extra"])

    def steps(self) -> list[int]:
        """Lists the steps of all checkpoints, oldest first, damaged ones included."""
        if not self.folder.is_dir():
            return []
        pattern = re.compile(rf"(?:{re.escape(_REPLACED)})?(\d{{9,}})")
        return sorted({int(match[1]) for path in self.folder.iterdir() if (match := pattern.fullmatch(path.name))})

    def best_step(self) -> int | None:
        """Gives the step with the lowest score, the earliest of equals; None if no checkpoint has a score."""
        return _best(self._scores())

    def _first_whole(
        self, step: int | None, load: Callable[[Path, Manifest], Loaded]
    ) -> tuple[Manifest, Loaded, tuple[str, ...]]:
        steps = self.steps()
        if step is not None and step not in steps:
            there = f"there are: {', '.join(map(str, steps))}" if steps else "there is none at all"
            raise CheckpointError(f"no checkpoint of step {step} in {self.folder} ({there})")
        if not steps:
            raise CheckpointError(f"no checkpoint in {self.folder}: was a run saved there?")
        faults: list[str] = []
        for candidate in reversed(steps) if step is None else [step]:
            folder, damage = self._locate(candidate), ""
            try:
                manifest = read_manifest(folder, candidate)
                check_files(folder, manifest, share=slice(jax.process_index(), None, jax.process_count()))
                loaded = load(folder, manifest)
            except DamagedError as error:
                damage = str(error)
            damage = next(filter(None, gather(damage)), "")  # found by any process, it is damaged for all
            if not damage:
                return manifest, loaded, tuple(faults)
            self._damaged.add(candidate)
            faults.append(f"checkpoint {folder} is damaged: {damage}")
        remedy = "put a copy of one in its place, or start the run again with --overwrite"
        raise CheckpointError(f"no undamaged checkpoint in {self.folder}; {remedy}", *faults)

    def _place_of(self, step: int) -> Path:
        return self.folder / f"{step:09d}"

    def _locate(self, step: int) -> Path:
        place = self._place_of(step)
        aside = self.folder / f"{_REPLACED}{step:09d}"
        return aside if aside.exists() and not place.exists() else place

    def _scores(self) -> dict[int, float | None]:
        """The scores of all checkpoints whose manifest can be read and that were not found damaged."""
        scores: dict[int, float | None] = {}
        for step in set(self.steps()) - self._damaged:
            with contextlib.suppress(DamagedError):
                scores[step] = read_manifest(self._locate(step), step)["score"]
        return scores

    def _publish(self, temporary: Path, step: int) -> None:
        place = self._place_of(step)
        if place.exists():
            # No system renames onto a full folder: the old one steps aside, where `_locate` still finds it.
            os.rename(place, self.folder / f"{_REPLACED}{step:09d}")
        os.rename(temporary, place)
        to_disk(self.folder, self.folder.parent)
        self._tidy()

    def _worth_keeping(self, saved: int, keep: int | None) -> set[int | None]:
        scores = self._scores()
        kept = {saved, keep, *sorted(scores)[-self.keep_last :]}
        if self.keep_best:
            kept |= {_best(scores), _best({step: score for step, score in scores.items() if step <= (keep or 0)})}
        return kept

    def _remove_all_but(self, kept: Collection[int | None]) -> None:
        for step in self.steps():
            if step not in kept:
                # Renamed first: a removal that is cut short must not look like a damaged checkpoint.
                os.rename(self._place_of(step), self.folder / f"{_REMOVED}{step:09d}")
        self._tidy()

    def _tidy(self) -> None:
        """Removes what a killed process left, and brings back what it had only put aside."""
        for path in sorted(self.folder.glob(".*-*")):
            if path.name.startswith((_WRITING, _REMOVED)):
                shutil.rmtree(path)
            elif path.name.startswith(_REPLACED):
                place = self.folder / path.name.removeprefix(_REPLACED)
                if place.exists():
                    shutil.rmtree(path)
                else:
                    os.rename(path, place)


def _best(scores: Mapping[int, float | None]) -> int | None:
    known = [(score, step) for step, score in scores.items() if score is not None]
    return min(known)[1] if known else None


def _conclude(folder: Path, head: Manifest, leaves: Mapping[str, Any]) -> None:
    """Writes the manifest over what all processes have written, and forces everything to the disk."""
    written = take_descriptions(folder)
    described = {
        name: {"shape": list(leaf.shape), "dtype": leaf.dtype.name, "pieces": written[name]}
        for name, leaf in leaves.items()
    }
    write_manifest(folder, head, described)
    to_disk(*folder.rglob("*"), folder)


def _check_same_model(folder: Path, manifest: Manifest, wanted: Mapping[str, Any]) -> None:
    faults = differences(manifest["leaves"], wanted)
    if faults:
        more = [f"and {len(faults) - _SHOWN_FAULTS} more"] if len(faults) > _SHOWN_FAULTS else []
        headline = f"checkpoint {folder} is of another model; use the config it was saved with, or start a new run"
        raise CheckpointError(headline, *faults[:_SHOWN_FAULTS], *more)
