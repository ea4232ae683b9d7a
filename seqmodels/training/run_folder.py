"""The folder that one run writes: who may write it, and how its files survive a crash."""

from __future__ import annotations

import contextlib
import errno
import json
import math
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Final, TypeAlias

from seqmodels.errors import UserError
from seqmodels.training.folder_lock import LOCK, FolderInUseError, FolderLock
from seqmodels.training.manifest import to_disk

JSON: TypeAlias = "bool | int | float | str | Sequence[JSON] | Mapping[str, JSON] | None"

CONFIG: Final = "config.toml"
METRICS: Final = "metrics.jsonl"
RESULT: Final = "result.json"
CHECKPOINTS: Final = "checkpoints"

# Any one of these says that a run was here. The config is removed last, so that an overwriting that is cut short leaves
# a folder which still says so; the result and the checkpoints first, so that what is left can be gone on with: no
# checkpoint without the rows and texts before it.
_MARKS: Final = (METRICS, RESULT, CHECKPOINTS, CONFIG)
_MADE_BY_A_RUN: Final = (
    RESULT,
    CHECKPOINTS,
    ".*.writing",
    "analysis",
    "bad_step",
    "confusion.png*",
    "curves.png*",
    "environment.json",
    "forecasts.png*",
    "piano_roll.png*",
    "samples.txt",
    "tensorboard",
    METRICS,
    CONFIG,
)


class RunError(UserError):
    """A run folder cannot be used as asked, or can no longer be written."""


@contextlib.contextmanager
def _disk_errors(doing: str, path: Path) -> Iterator[None]:
    """Turns what the operating system refuses into a sentence with a remedy."""
    try:
        yield
    except FileNotFoundError as error:
        raise RunError(f"cannot {doing} {path}: its folder is gone; was the run folder deleted or moved?") from error
    except OSError as error:
        reason = error.strerror or str(error)
        raise RunError(f"cannot {doing} {path}: {reason}; make room, make it writable or choose another run.dir") from (
            error
        )


def _write_atomically(path: Path, data: bytes) -> None:
    """Replaces a file as a whole: a reader or a crash sees the old bytes or the new ones, never a mixture."""
    temporary = path.with_name(f".{path.name}.writing")
    with _disk_errors("write", path):
        try:
            with open(temporary, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise


def _without_nan(value: JSON) -> JSON:
    """Puts None for NaN and infinities, which JSON does not have."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: _without_nan(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nan(item) for item in value]
    return value


def _parse_row(line: bytes) -> dict[str, Any] | None:
    """Reads one line of metrics; None when it is not a whole row."""
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return row if line.endswith(b"\n") and isinstance(row, dict) and isinstance(row.get("step"), int) else None


class MetricsFile:
    """The rows that a run logs, one JSON object a line, in the order in which they came.

    Args:
      path: the file; it appears with the first row.

    Example:
      >>> import tempfile
      >>> metrics = MetricsFile(Path(tempfile.mkdtemp()) / "metrics.jsonl")
      >>> for step in (10, 20, 30):
      ...     metrics.append({"step": step, "train/loss_nats": 1 / step})
      >>> metrics.truncate_after(20)
      >>> [row["step"] for row in metrics.read()]
      [10, 20]
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)

    def append(self, row: Mapping[str, JSON]) -> None:
        """Adds one row; when this returns, the operating system has it, so that killing the process keeps it.

        Args:
          row: holds the key `step`, an integer. NaN and infinities are written as null.

        Raises:
          RunError: if the disk is full or the folder gone; the rows that stood in the file still do.
        """
        if not isinstance(row["step"], int):
            raise TypeError(f"a row of metrics needs an integer step (got {row['step']!r})")
        line = json.dumps(_without_nan(row), allow_nan=False).encode() + b"\n"
        with _disk_errors("write", self.path), open(self.path, "ab", buffering=0) as file:
            size = file.tell()
            try:
                if file.write(line) != len(line):
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            except OSError:
                file.truncate(size)
                raise

    def read(self) -> list[dict[str, Any]]:
        """Reads all rows.

        Returns:
          One dict a row; a last line that is not whole is left out (a run may be writing it); no file is no row.

        Raises:
          RunError: if a line before the last is not a row.
        """
        return [row for _, row in self._lines()]

    def truncate_after(self, step: int) -> None:
        """Takes back the rows that a resumed run is about to log again, and a torn last line.

        Args:
          step: the step of the checkpoint; rows with a greater `step` go. Rows that stay keep their bytes.

        Raises:
          RunError: as for `read` and `append`.
        """
        kept = b"".join(line for line, row in self._lines() if row["step"] <= step)
        if self.path.exists() and self.path.stat().st_size != len(kept):
            _write_atomically(self.path, kept)

    def _lines(self) -> list[tuple[bytes, dict[str, Any]]]:
        if not self.path.exists():
            return []
        with _disk_errors("read", self.path):
            lines = self.path.read_bytes().splitlines(keepends=True)
        rows = []
        for number, line in enumerate(lines, start=1):
            row = _parse_row(line)
            if row is not None:
                rows.append((line, row))
            elif number < len(lines):
                raise RunError(f"{self.path}: line {number} is not a row of metrics; remove that line or start over")
        return rows


class RunFolder:
    """The files of one run.

    Made by `RunFolder(path)` it reads the folder of a run. Made by `RunFolder.create` it is a context manager that
    also holds the folder's lock until it is left, so that no second run can write there.

    Attributes:
      path: the folder.
      metrics: the rows in `metrics.jsonl`.
      checkpoints: the folder of the checkpoints; it appears with the first one.

    Example:
      >>> import tempfile
      >>> path = Path(tempfile.mkdtemp()) / "lstm"
      >>> with RunFolder.create(path, "seed = 1", resume=False, overwrite=False) as run:
      ...     run.metrics.append({"step": 1, "train/loss_nats": 4.5})
      ...     run.write_json("result.json", {"steps": 1})
      >>> run.finished, run.config_text
      (True, 'seed = 1')
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self.metrics = MetricsFile(self.path / METRICS)
        self.checkpoints = self.path / CHECKPOINTS
        self._lock: FolderLock | None = None

    @classmethod
    def create(cls, path: str | os.PathLike[str], config_text: str, *, resume: bool, overwrite: bool) -> RunFolder:
        """Opens a folder for a run to write, creating it when needed; everything is checked before anything changes.

        Args:
          path: the folder. Files in it that no run makes are left as they are.
          config_text: what `config.toml` shall hold. A resumed run's own stays: compare it with `config_text`.
          resume: go on with the run in the folder, if there is one.
          overwrite: remove the run in the folder, if there is one: only the files that a run makes.

        Returns:
          The folder, locked; a context manager that unlocks it.

        Raises:
          RunError: if there is a run and neither `resume` nor `overwrite` is given, if another process is writing
            the folder, or if it cannot be written.
        """
        run = cls(path)
        if resume and overwrite:
            raise RunError(f"run folder {run.path}: --resume and --overwrite exclude each other; give one of them")
        try:
            # Only a folder that already has the lock file is locked before the check, which must leave no trace.
            with _disk_errors("look for", run.path):
                locked = (run.path / LOCK).exists()
            if locked:
                run._acquire()
            run._check(resume or overwrite)
            with _disk_errors("create", run.path):
                run.path.mkdir(parents=True, exist_ok=True)
            if run._lock is None:
                run._acquire()
                run._check(resume or overwrite)  # another run may have come and gone in between
            if overwrite:
                run._remove_run()
            if not (run.path / CONFIG).exists():
                run.write_text(CONFIG, config_text)
        except BaseException:
            run._release()
            raise
        return run

    @property
    def finished(self) -> bool:
        """Whether the run in the folder went to its end."""
        return (self.path / RESULT).exists()

    @property
    def config_text(self) -> str:
        """The text of `config.toml`; raises RunError if the folder holds no run."""
        path = self.path / CONFIG
        if not path.is_file():
            raise RunError(f"{self.path} is not the folder of a run: it has no {CONFIG}")
        with _disk_errors("read", path):
            data = path.read_bytes()
        try:
            return data.decode("utf-8")
        except UnicodeDecodeError as error:
            raise RunError(f"{path}: not UTF-8 at byte {error.start:,}; was it damaged?") from error

    def write_text(self, name: str, text: str) -> None:
        """Writes or replaces the file `name` as a whole; raises RunError if the disk refuses."""
        _write_atomically(self.path / name, text.encode("utf-8"))

    def write_json(self, name: str, value: JSON) -> None:
        """Writes or replaces the file `name` as indented JSON, NaN and infinities as null; raises as `write_text`."""
        self.write_text(name, json.dumps(_without_nan(value), indent=2, allow_nan=False) + "\n")

    def append_text(self, name: str, text: str) -> None:
        """Adds `text` at the end of the file `name`, byte for byte; raises RunError if the disk refuses."""
        path = self.path / name
        with _disk_errors("write", path), open(path, "a", encoding="utf-8", newline="\n") as file:
            file.write(text)

    def force(self, *names: str) -> None:
        """Forces files, as far as they are there, onto the disk, where a power cut leaves them; raises RunError."""
        with _disk_errors("write", self.path):
            to_disk(*(path for name in names if (path := self.path / name).exists()), self.path)

    def __enter__(self) -> RunFolder:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._release()

    def _check(self, may_hold_a_run: bool) -> None:
        if self.path.exists() and not self.path.is_dir():
            raise RunError(f"run folder {self.path} is a file; choose another run.name or run.dir")
        if not may_hold_a_run and any((self.path / name).exists() for name in _MARKS):
            raise RunError(
                f"run folder {self.path} already holds a run; give --resume to go on with it, --overwrite to remove "
                "it, or choose another run.name"
            )

    def _remove_run(self) -> None:
        with _disk_errors("remove the run in", self.path):
            for pattern in _MADE_BY_A_RUN:
                for path in sorted(self.path.glob(pattern)):
                    # A link is removed, never what it points at.
                    if path.is_dir() and not path.is_symlink():
                        shutil.rmtree(path)
                    else:
                        path.unlink()

    def _acquire(self) -> None:
        with _disk_errors("lock", self.path):
            try:
                self._lock = FolderLock(self.path)
            except FolderInUseError as error:
                raise RunError(
                    f"run folder {self.path} is in use by {error}; wait for it to end or choose another run.name"
                ) from error

    def _release(self) -> None:
        if self._lock is not None:
            self._lock.release()
            self._lock = None
