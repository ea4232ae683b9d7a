"""A lock on a folder that ends with the process which holds it, however that process ends."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

LOCK: Final = ".lock"

_PAUSE: Final = 0.02  # seconds
_LOCKED_BYTE: Final = 1 << 30  # far behind the text: on Windows a locked byte cannot be read by others
_HELD_BY_ANOTHER: Final = (errno.EAGAIN, errno.EACCES, errno.EDEADLK)


class FolderInUseError(Exception):
    """Another process holds the lock; the message is who: "process N on HOST"."""


class FolderLock:
    """A lock of one folder, taken on construction: a lock of the system on a file in it.

    The system gives the lock back when the process ends. The file stays in the folder: removing it would let two
    later processes lock two different files of the same name.

    Args:
      folder: an existing folder.
      name: of the file; a folder may have several locks.

    Raises:
      FolderInUseError: if another process holds it.
      OSError: if the folder cannot be written, or its file system has no locks.

    Example:
      >>> import tempfile
      >>> folder = Path(tempfile.mkdtemp())
      >>> lock = FolderLock(folder)
      >>> try:
      ...     FolderLock(folder)
      ... except FolderInUseError as error:
      ...     print(error)
      process ... on ...
      >>> lock.release()
      >>> FolderLock(folder).release()
    """

    def __init__(self, folder: Path, name: str = LOCK) -> None:
        self._descriptor = os.open(folder / name, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            self._take()
            os.ftruncate(self._descriptor, 0)
            os.write(self._descriptor, f"process {os.getpid()} on {socket.gethostname()}\n".encode())
        except OSError as error:
            owner = os.read(self._descriptor, 1000).decode("utf-8", "replace").strip() or "another process"
            os.close(self._descriptor)
            if error.errno in _HELD_BY_ANOTHER:
                raise FolderInUseError(owner) from error
            raise

    def release(self) -> None:
        """Gives the lock back."""
        os.close(self._descriptor)

    def _take(self) -> None:
        if sys.platform == "win32":
            os.lseek(self._descriptor, _LOCKED_BYTE, os.SEEK_SET)
            try:
                msvcrt.locking(self._descriptor, msvcrt.LK_NBLCK, 1)
            finally:
                os.lseek(self._descriptor, 0, os.SEEK_SET)
        else:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


def wait_for(folder: Path, name: str = LOCK) -> FolderLock:
    """Takes a lock as soon as nobody else holds it; arguments and OSError are those of `FolderLock`."""
    while True:
        with contextlib.suppress(FolderInUseError):
            return FolderLock(folder, name)
        time.sleep(_PAUSE)


@contextlib.contextmanager
def alone(folder: Path, name: str = LOCK) -> Iterator[None]:
    """Holds a lock, as soon as nobody else does, for the length of a `with` block.

    Example:
      >>> import tempfile
      >>> folder = Path(tempfile.mkdtemp())
      >>> with alone(folder):
      ...     (folder / "a").touch()
      >>> FolderLock(folder).release()
    """
    lock = wait_for(folder, name)
    try:
        yield
    finally:
        lock.release()
