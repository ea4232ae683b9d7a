"""Where the trials of a sweep are kept: a journal in its folder, or a database; needs optuna, an extra."""

from pathlib import Path

from optuna.storages import BaseStorage, JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend

from seqmodels.errors import UserError
from seqmodels.sweeps.tables import Sweep
from seqmodels.training.folder_lock import alone, wait_for

JOURNAL, JOURNAL_LOCK = "journal.jsonl", ".journal.lock"


def open_storage(sweep: Sweep) -> BaseStorage:
    """The storage of a sweep, whose folder is there.

    Raises:
      UserError: if it cannot be opened, or is damaged.
    """
    if sweep.table.storage is not None:
        return _open_database(sweep.table.storage)
    path = sweep.folder / JOURNAL
    with alone(sweep.folder, JOURNAL_LOCK):
        _drop_torn_line(path)
    try:
        backend = JournalFileBackend(str(path), lock_obj=_JournalLock(sweep.folder))  # type: ignore[arg-type]  # its base class is private
        return JournalStorage(backend)
    except (ValueError, KeyError) as error:
        raise UserError(f"{path} is damaged: {error}; remove {sweep.folder} or choose another sweep.name") from error


def _open_database(url: str) -> BaseStorage:
    try:
        return RDBStorage(url)
    except Exception as error:  # whatever a database and its driver raise
        kind, reason = url.partition("://")[0], str(error).strip().partition("\n")[0]
        raise UserError(f"sweep.storage: the database ({kind}://...) cannot be opened: {reason}") from error


def _drop_torn_line(path: Path) -> None:
    """Cuts off a last line that is not whole, as a full disk leaves one: whoever wrote it was told that it failed."""
    if path.exists():
        content = path.read_bytes()
        if not content.endswith(b"\n"):
            with path.open("r+b") as file:
                file.truncate(content.rfind(b"\n") + 1)


class _JournalLock:
    """A lock of the system, which a killed worker does not leave behind."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def acquire(self) -> bool:
        self._lock = wait_for(self._folder, JOURNAL_LOCK)
        return True

    def release(self) -> None:
        self._lock.release()
