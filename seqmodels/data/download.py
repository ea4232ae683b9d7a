"""Download of one file: mirrors in turn, resumed where it was cut, checked before anybody sees it."""

import contextlib
import hashlib
import http.client
import os
import re
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

_ATTEMPTS = 3
_TIMEOUT_SECONDS = 20.0
_PAUSE_SECONDS = 1.0
_QUIET_SECONDS = 2.0
_CHUNK_BYTES = 1 << 16


class DownloadError(Exception):
    """No mirror gave the file.

    Args:
      failures: for each mirror its address and what went wrong there.
    """

    def __init__(self, failures: Sequence[tuple[str, str]]) -> None:
        super().__init__("; ".join(f"{url}: {reason}" for url, reason in failures))
        self.failures = tuple(failures)


class _MirrorError(Exception):
    """One attempt failed; `again` says whether the same mirror may do better next time."""

    def __init__(self, reason: str, *, again: bool) -> None:
        super().__init__(reason)
        self.again = again


def download(urls: Sequence[str], target: Path, *, size: int, sha256: str) -> None:
    """Puts the file that has this size and sha256 at `target`, whole or not at all.

    The bytes gather in `<target>.part`, which a later call goes on from when this one is cut. While a process writes,
    the part bears the process' number, so that two processes never write into one file.

    Args:
      urls: mirrors, tried in turn; each gets three attempts if its faults look passing.
      target: where the file shall lie; its folder is made.
      size: length of the file in bytes.
      sha256: expected digest, hex.

    Raises:
      DownloadError: if every mirror failed.
      OSError: if the file system refused (disk full, no right to write).
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    failures: list[tuple[str, str]] = []
    with _claimed(target.with_name(target.name + ".part")) as part:
        for url in urls:
            reason = _from_mirror(url, part, size=size, sha256=sha256)
            if reason is None:
                os.replace(part, target)
                return
            failures.append((url, reason))
    raise DownloadError(failures)


@contextlib.contextmanager
def _claimed(part: Path) -> Iterator[Path]:
    """Lends what an earlier download left, under a name that only this process writes to."""
    own = part.with_name(f"{part.name}-{os.getpid()}")
    with contextlib.suppress(FileNotFoundError):
        os.replace(part, own)
    try:
        yield own
    finally:
        if _length(own):
            os.replace(own, part)
        else:
            own.unlink(missing_ok=True)


def _from_mirror(url: str, part: Path, *, size: int, sha256: str) -> str | None:
    """Tries one mirror; returns why it failed, or None when `part` holds the right file."""
    reason = ""
    for attempt in range(_ATTEMPTS):
        if attempt:
            time.sleep(_PAUSE_SECONDS * attempt)
        resumed = _length(part) > 0
        try:
            if _length(part) < size:
                _receive(url, part, size)
        except _MirrorError as error:
            reason = str(error)
            if not error.again:
                break
            continue
        found = _digest(part)
        if found == sha256:
            return None
        part.unlink()
        reason = f"wrong file: expected sha256 {sha256}, found {found}"
        if not resumed:
            break
        # The older bytes may have come from another mirror: this one deserves a clean start.
    return reason


def _receive(url: str, part: Path, size: int) -> None:
    """Adds what is missing to `part`; a mirror that knows no ranges sends all of it again."""
    have = _length(part)
    with _asked(url, have) as response, _Bar(url, size) as bar:
        resuming = have > 0 and _range_start(response) == have
        have = have if resuming else 0
        coming = response.headers.get("Content-Length", "")
        if coming.isdecimal() and have + int(coming) != size:
            raise _MirrorError(f"wrong file: {have + int(coming):,} bytes, expected {size:,}", again=False)
        with part.open("ab" if resuming else "wb") as file:
            while chunk := _read(response):
                have += len(chunk)
                if have > size:
                    file.truncate(0)
                    raise _MirrorError(f"wrong file: longer than the expected {size:,} bytes", again=False)
                file.write(chunk)
                bar.show(have)
            file.flush()
            os.fsync(file.fileno())
    if have < size:
        raise _MirrorError(f"broken off after {have:,} of {size:,} bytes", again=True)


@contextlib.contextmanager
def _asked(url: str, have: int) -> Iterator[http.client.HTTPResponse]:
    """Asks a mirror for the bytes from `have` on."""
    request = urllib.request.Request(url, headers={"Range": f"bytes={have}-"} if have else {})
    try:
        response = urllib.request.urlopen(request, timeout=_TIMEOUT_SECONDS)
    except urllib.error.HTTPError as error:
        error.close()
        again = error.code in (408, 429) or error.code >= 500
        raise _MirrorError(f"HTTP {error.code} {error.reason}", again=again) from error
    except urllib.error.URLError as error:
        raise _MirrorError(f"cannot be reached ({error.reason})", again=True) from error
    except (OSError, http.client.HTTPException) as error:
        raise _MirrorError(f"broken off ({error or type(error).__name__})", again=True) from error
    with response:
        yield response


def _read(response: http.client.HTTPResponse) -> bytes:
    """Reads a piece; kept apart from writing, so that a full disk is not taken for a fault of the network."""
    try:
        return response.read(_CHUNK_BYTES)
    except (OSError, http.client.HTTPException) as error:
        raise _MirrorError(f"broken off ({error or type(error).__name__})", again=True) from error


def _range_start(response: http.client.HTTPResponse) -> int | None:
    """Where a partial answer begins in the whole file, None for a full answer."""
    match = re.match(r"bytes (\d+)-", response.headers.get("Content-Range", ""))
    return int(match[1]) if response.status == 206 and match else None


def _length(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class _Bar:
    """A progress bar that appears on a terminal only, and only when the download takes longer than two seconds."""

    def __init__(self, url: str, size: int) -> None:
        self._label = url.rsplit("/", 1)[-1]
        self._size = size
        self._begin = time.monotonic()
        self._progress: Progress | None = None
        self._task = TaskID(0)

    def __enter__(self) -> "_Bar":
        return self

    def __exit__(self, *_: object) -> None:
        if self._progress is not None:
            self._progress.stop()

    def show(self, done: int) -> None:
        if self._progress is None and sys.stderr.isatty() and time.monotonic() - self._begin > _QUIET_SECONDS:
            columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
            self._progress = Progress(*columns, console=Console(stderr=True), transient=True)
            self._task = self._progress.add_task(self._label, total=self._size)
            self._progress.start()
        if self._progress is not None:
            self._progress.update(self._task, completed=done)
