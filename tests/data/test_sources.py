import errno
import gzip
import hashlib
import http.server
import os
import sys
import threading
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from seqmodels.data import download as download_module
from seqmodels.data.catalogue import SOURCES
from seqmodels.data.imdb import IMDB_LABELLED
from seqmodels.data.sources import (
    DataError,
    Source,
    SourceFile,
    cache_folder,
    fetch,
    inspect,
    is_there,
    read_bytes,
)

CONTENT = bytes(range(256)) * 600


def source_of(*urls, content=CONTENT):
    file = SourceFile("text.txt", len(content), hashlib.sha256(content).hexdigest(), urls)
    return Source("toy", (file,), "none", "a toy")


@dataclass
class Mirror:
    """A server on this machine: what it answers and what it was asked for."""

    content: bytes = CONTENT
    status: int = 200
    ranges: bool = True
    sized: bool = True
    cut_after: int | None = None
    asked: list[str | None] = field(default_factory=list)
    url: str = ""

    def answer(self, handler):
        wanted = handler.headers.get("Range")
        self.asked.append(wanted)
        if self.status != 200:
            handler.send_error(self.status)
            return
        start = int(wanted.removeprefix("bytes=").removesuffix("-")) if wanted and self.ranges else 0
        handler.send_response(206 if start else 200)
        if start:
            handler.send_header("Content-Range", f"bytes {start}-{len(self.content) - 1}/{len(self.content)}")
        if self.sized:
            handler.send_header("Content-Length", str(len(self.content) - start))
        handler.end_headers()
        cut, self.cut_after = self.cut_after, None
        handler.wfile.write(self.content[start:cut])


@pytest.fixture
def mirror():
    servers = []

    def start(**settings):
        mirror = Mirror(**settings)

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                mirror.answer(self)

            def log_message(self, *_):
                pass

        server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        servers.append((server, thread))
        mirror.url = f"http://127.0.0.1:{server.server_port}/text.txt"
        return mirror

    yield start
    for server, thread in servers:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("SEQMODELS_DATA", str(tmp_path / "cache"))
    monkeypatch.setattr(download_module, "_PAUSE_SECONDS", 0.0)
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path / "cache"


def leftovers(cache):
    return sorted(path.name for path in (cache / "toy").iterdir())


def test_cache_folder_is_the_named_one_or_in_the_home_folder(cache, monkeypatch):
    assert cache_folder() == cache
    monkeypatch.delenv("SEQMODELS_DATA")
    assert cache_folder().parts[-2:] == (".cache", "seqmodels")


def test_downloads_once_and_leaves_only_the_file(mirror, cache):
    good = mirror()
    path = fetch(source_of(good.url))["text.txt"]
    assert path.read_bytes() == CONTENT
    assert fetch(source_of(good.url))["text.txt"] == path
    assert good.asked == [None]
    assert leftovers(cache) == ["text.txt"]


def test_goes_on_where_the_connection_was_cut(mirror, cache):
    cut = mirror(cut_after=100_000)
    assert read_bytes(fetch(source_of(cut.url))["text.txt"]) == CONTENT
    assert cut.asked == [None, "bytes=100000-"]
    assert leftovers(cache) == ["text.txt"]


def test_goes_on_where_an_earlier_call_stopped(mirror, cache):
    down, up = mirror(status=503), mirror()
    (cache / "toy").mkdir(parents=True)
    (cache / "toy" / "text.txt.part").write_bytes(CONTENT[:5000])
    with pytest.raises(DataError, match="HTTP 503"):
        fetch(source_of(down.url))
    assert len(down.asked) == 3
    assert leftovers(cache) == ["text.txt.part"]
    assert fetch(source_of(up.url))["text.txt"].read_bytes() == CONTENT
    assert up.asked == ["bytes=5000-"]


def test_a_mirror_without_ranges_sends_everything_again(mirror):
    simple = mirror(ranges=False, cut_after=100_000)
    assert fetch(source_of(simple.url))["text.txt"].read_bytes() == CONTENT
    assert simple.asked == [None, "bytes=100000-"]


def test_wrong_beginnings_are_thrown_away(mirror, cache):
    good = mirror()
    (cache / "toy").mkdir(parents=True)
    (cache / "toy" / "text.txt.part").write_bytes(b"wrong")
    assert fetch(source_of(good.url))["text.txt"].read_bytes() == CONTENT
    assert good.asked == ["bytes=5-", None]


def test_a_complete_part_needs_no_mirror(mirror, cache):
    idle = mirror()
    (cache / "toy").mkdir(parents=True)
    (cache / "toy" / "text.txt.part").write_bytes(CONTENT)
    assert fetch(source_of(idle.url))["text.txt"].read_bytes() == CONTENT
    assert idle.asked == []


def test_an_answer_of_unknown_length_that_is_too_long_leaves_nothing(mirror, cache):
    with pytest.raises(DataError, match="longer than the expected 153,600 bytes"):
        fetch(source_of(mirror(content=CONTENT + b"x", sized=False).url))
    assert leftovers(cache) == []


@pytest.mark.parametrize("content", [CONTENT[::-1], CONTENT[:-1], CONTENT + b"x", b"<html>"])
def test_the_next_mirror_stands_in_for_one_with_wrong_bytes(mirror, cache, content):
    bad, missing, good = mirror(content=content), mirror(status=404), mirror()
    assert fetch(source_of(bad.url, missing.url, good.url))["text.txt"].read_bytes() == CONTENT
    assert [len(asked.asked) for asked in (bad, missing, good)] == [1, 1, 1]
    assert leftovers(cache) == ["text.txt"]


def test_a_damaged_file_in_the_cache_is_replaced(mirror, cache):
    good = mirror()
    fetch(source_of(good.url))["text.txt"].write_bytes(b"damaged")
    assert fetch(source_of(good.url))["text.txt"].read_bytes() == CONTENT


def test_when_all_mirrors_fail_the_error_says_what_to_put_where(mirror, cache):
    missing, bad = mirror(status=404), mirror(content=CONTENT[::-1])
    source = source_of(missing.url, bad.url, closed_url())
    with pytest.raises(DataError) as caught:
        fetch(source)
    text = str(caught.value)
    wanted = ("text.txt", "153,600 bytes", source.files[0].sha256, "data.dir=", *source.files[0].urls)
    assert [part for part in wanted if part not in text] == []
    assert [part for part in ("HTTP 404", "wrong file: expected sha256", "cannot be reached") if part not in text] == []
    assert leftovers(cache) == []


def closed_url():
    """An address on this machine that nobody answers at."""
    with http.server.HTTPServer(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler) as server:
        return f"http://127.0.0.1:{server.server_port}/text.txt"


def test_a_full_disk_is_told_as_such(mirror, monkeypatch):
    good = mirror()

    def full(_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(DataError, match=r"cannot be written \(No space left.*SEQMODELS_DATA"):
        fetch(source_of(good.url))


def test_a_cache_that_cannot_be_written_is_told_as_such(mirror, cache):
    cache.write_text("a file, not a folder")
    with pytest.raises(DataError, match=r"cannot be written .*SEQMODELS_DATA"):
        fetch(source_of(mirror().url))


@pytest.mark.parametrize("place", ["text.txt", "text.txt.gz", "toy/text.txt", "toy/text.txt.gz"])
def test_finds_the_file_in_the_users_folder(tmp_path, place):
    path = tmp_path / "mine" / place
    path.parent.mkdir(parents=True)
    path.write_bytes(gzip.compress(CONTENT) if path.suffix == ".gz" else CONTENT)
    found = fetch(source_of(), tmp_path / "mine")
    assert found == {"text.txt": path}
    assert read_bytes(found["text.txt"]) == CONTENT


def test_a_right_file_is_found_behind_a_wrong_one_of_the_same_name(tmp_path):
    (tmp_path / "text.txt").write_bytes(b"something else")
    (tmp_path / "toy").mkdir()
    (tmp_path / "toy" / "text.txt").write_bytes(CONTENT)
    assert fetch(source_of(), tmp_path) == {"text.txt": tmp_path / "toy" / "text.txt"}


def test_a_wrong_file_in_the_users_folder_is_named_with_both_digests(tmp_path):
    (tmp_path / "text.txt").write_bytes(CONTENT[:-1])
    source = source_of()
    with pytest.raises(DataError) as caught:
        fetch(source, tmp_path)
    for part in (str(tmp_path / "text.txt"), source.files[0].sha256, hashlib.sha256(CONTENT[:-1]).hexdigest()):
        assert part in str(caught.value)


@pytest.mark.parametrize("damaged", [b"not gzip", gzip.compress(CONTENT)[:100]], ids=["no gzip", "cut short"])
def test_a_damaged_archive_is_named(tmp_path, damaged):
    (tmp_path / "text.txt.gz").write_bytes(damaged)
    with pytest.raises(DataError, match=r"text\.txt\.gz: cannot be read"):
        fetch(source_of(), tmp_path)
    with pytest.raises(DataError, match=r"text\.txt\.gz: cannot be read"):
        read_bytes(tmp_path / "text.txt.gz")


def test_nothing_is_downloaded_into_the_users_folder(tmp_path, mirror):
    good = mirror()
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "other.txt").write_text("other")
    with pytest.raises(DataError) as caught:
        fetch(source_of(good.url), folder)
    for part in ("text.txt", "153,600 bytes", "other.txt", good.url, f"data.dir={folder}"):
        assert part in str(caught.value)
    assert good.asked == []
    assert [path.name for path in folder.iterdir()] == ["other.txt"]


@pytest.mark.parametrize(("name", "kind"), [("absent", "there is no such folder"), ("file", "not a folder")])
def test_a_folder_that_is_none_is_named(tmp_path, name, kind):
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match=kind):
        fetch(source_of(), tmp_path / name)


def test_sources_are_complete():
    files = [file for source in (*SOURCES.values(), IMDB_LABELLED) for file in source.files]
    assert len({file.sha256 for file in files}) == len(files)
    for file in files:
        assert len(bytes.fromhex(file.sha256)) == 32
        assert all(url.startswith("https://") and url.endswith(file.name) for url in file.urls)
        assert bool(file.urls) != bool(file.page)


def test_a_file_without_mirrors_says_where_a_person_finds_it(cache):
    file = SourceFile("text.txt", 3, hashlib.sha256(b"abc").hexdigest(), (), page="the library")
    with pytest.raises(DataError) as caught:
        fetch(Source("toy", (file,), "none", "a toy"))
    assert "from the library" in str(caught.value)
    assert "data.dir=" in str(caught.value)
    (cache / "toy").mkdir(exist_ok=True)
    (cache / "toy" / "text.txt").write_bytes(b"abc")
    assert fetch(Source("toy", (file,), "none", "a toy")) == {"text.txt": cache / "toy" / "text.txt"}


def test_what_is_there_is_looked_at(tmp_path):
    source = source_of()
    assert inspect(source, tmp_path) == {"text.txt": (None, [])}
    assert not is_there(source, tmp_path)
    (tmp_path / "text.txt").write_bytes(CONTENT + b"!")
    path, faults = inspect(source, tmp_path)["text.txt"]
    assert path is None
    assert "not the canonical text.txt" in faults[0]
    assert is_there(source, tmp_path)
    (tmp_path / "toy").mkdir()
    (tmp_path / "toy" / "text.txt.gz").write_bytes(gzip.compress(CONTENT))
    assert inspect(source, tmp_path)["text.txt"] == (tmp_path / "toy" / "text.txt.gz", faults)


def test_a_packed_file_that_is_canonical_itself_is_not_unpacked(tmp_path):
    content = gzip.compress(CONTENT)
    file = SourceFile("text.tar.gz", len(content), hashlib.sha256(content).hexdigest(), ())
    (tmp_path / "text.tar.gz").write_bytes(content)
    assert fetch(Source("toy", (file,), "none", "a toy"), tmp_path) == {"text.tar.gz": tmp_path / "text.tar.gz"}


def test_a_folder_that_may_not_be_read_is_told_as_such(tmp_path, monkeypatch):
    def refuse(_):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(Path, "is_file", refuse)
    with pytest.raises(DataError, match="cannot be searched"):
        fetch(source_of(), tmp_path)


def test_a_slow_download_shows_a_bar_on_a_terminal_only(mirror, monkeypatch, capsys):
    monkeypatch.setattr(download_module, "_QUIET_SECONDS", -1.0)
    fetch(source_of(mirror().url))
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setenv("SEQMODELS_DATA", str(cache_folder() / "another"))
    fetch(source_of(mirror().url))
    assert "text.txt" in capsys.readouterr().err
