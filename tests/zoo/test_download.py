"""Downloads from a server that cuts connections, forgets, lies and changes its mind."""

import errno
import hashlib
import socket
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from healswin.zoo import download as download_module
from healswin.zoo.download import DownloadError, cache_folder, download, offline

CONTENT = bytes(range(256)) * 1000
OTHER = bytes(reversed(CONTENT))
FACTS = {"sha256": hashlib.sha256(CONTENT).hexdigest(), "size": len(CONTENT)}


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch):
    monkeypatch.setattr(download_module, "PAUSE", 0)


@pytest.fixture
def url(server):
    server.files["/file"] = CONTENT
    server.tags["/file"] = '"one"'
    return f"{server.url}/file"


@pytest.fixture
def path(tmp_path):
    return tmp_path / "folder" / "file"


def ranges(server):
    return [asked for _, asked in server.asked]


def only_the_file(path):
    return {p.name for p in path.parent.iterdir()} <= {path.name, f"{path.name}.lock"}


def test_a_file_comes_once(server, url, path):
    assert download(url, path, **FACTS) == path
    assert path.read_bytes() == CONTENT
    download(url, path, **FACTS)
    assert ranges(server) == [None]
    assert only_the_file(path)


def test_without_facts_what_is_there_is_enough(server, url, path):
    download(url, path)
    server.files["/file"] = OTHER
    assert download(url, path).read_bytes() == CONTENT
    assert download(url, path, again=True).read_bytes() == OTHER
    assert len(server.asked) == 2


def test_broken_connections_are_taken_up_where_they_broke(server, url, path):
    server.plans += [{"cut": 1000}, {"cut": 70_000}, {"cut": 70_000}]
    download(url, path, **FACTS)
    assert path.read_bytes() == CONTENT
    assert ranges(server) == [None, "bytes=1000-", "bytes=70000-", "bytes=70000-"]
    assert only_the_file(path)


def test_a_later_call_takes_up_what_is_there(server, url, path, monkeypatch):
    monkeypatch.setattr(download_module, "ATTEMPTS", 1)
    server.plans += [{"cut": 5000}]
    with pytest.raises(DownloadError, match="broke after 5000 of 256000 bytes, 1 attempts"):
        download(url, path, **FACTS)
    assert not path.exists()
    download(url, path, **FACTS)
    assert ranges(server) == [None, "bytes=5000-"]


def test_a_whole_partial_file_is_not_asked_for(server, url, path):
    path.parent.mkdir()
    path.with_name("file.partial").write_bytes(CONTENT)
    download(url, path, **FACTS)
    assert server.asked == []
    assert only_the_file(path)


def test_a_server_without_ranges_sends_all_again(server, url, path):
    server.plans += [{"cut": 1000}, {"ignores_range": True}]
    download(url, path, **FACTS)
    assert path.read_bytes() == CONTENT
    assert len(server.asked) == 2


def test_nothing_is_taken_up_without_a_tag(server, url, path):
    for tag in ("", 'W/"weak"'):
        server.tags["/file"] = tag
        server.asked.clear()
        server.plans += [{"cut": 1000}]
        download(url, path, again=True, **FACTS)
        assert ranges(server) == [None, None]


def test_a_file_that_changed_is_not_glued(server, url, path, monkeypatch):
    monkeypatch.setattr(download_module, "ATTEMPTS", 1)
    server.plans += [{"cut": 1000}]
    with pytest.raises(DownloadError):
        download(url, path)
    server.files["/file"], server.tags["/file"] = OTHER, '"two"'
    assert download(url, path).read_bytes() == OTHER
    assert ranges(server) == [None, "bytes=1000-"]


@pytest.mark.parametrize("plan", [{"ignores_if_range": True}, {"shifted": 1}])
def test_a_part_that_does_not_fit_is_not_glued(server, url, path, plan):
    server.plans += [{"cut": 1000}, plan]
    if "ignores_if_range" in plan:
        # The first answer was of another file than the second.
        server.files["/old"], server.tags["/old"] = OTHER, '"old"'
        path.parent.mkdir()
        path.with_name("file.partial").write_bytes(OTHER[:500])
        path.with_name("file.partial.tag").write_text('"old"')
        server.plans[:] = [plan]
    assert download(url, path).read_bytes() == CONTENT
    assert ranges(server)[-1] is None


def test_a_partial_file_that_is_too_long_is_given_up(server, url, path):
    path.parent.mkdir()
    path.with_name("file.partial").write_bytes(CONTENT + b"more")
    path.with_name("file.partial.tag").write_text('"one"')
    download(url, path, **FACTS)
    assert path.read_bytes() == CONTENT
    assert ranges(server) == [f"bytes={len(CONTENT) + 4}-", None]


def test_passing_trouble_of_the_server_passes(server, url, path):
    server.plans += [{"status": 500}, {"status": 503}, {"status": 429}]
    download(url, path, **FACTS)
    assert len(server.asked) == 4


def test_lasting_trouble_ends(server, url, path):
    server.plans += [{"status": 500}] * 9
    with pytest.raises(DownloadError, match=r"HTTP Error 500.*, 5 attempts"):
        download(url, path, **FACTS)
    assert len(server.asked) == 5


@pytest.mark.parametrize("status", [403, 404, 410])
def test_a_refusal_is_not_asked_again(server, url, path, status):
    server.plans += [{"status": status}]
    with pytest.raises(DownloadError, match=f"{url} cannot .*: the server answers {status}") as e:
        download(url, path, **FACTS)
    assert e.value.refused
    assert len(server.asked) == 1
    assert not path.exists()


def test_a_damaged_file_is_fetched_anew_once(server, url, path):
    server.plans += [{"corrupt": 7}]
    download(url, path, **FACTS)
    assert path.read_bytes() == CONTENT
    assert ranges(server) == [None, None]


def test_another_file_than_stated_is_refused(server, url, path):
    for content in (OTHER, CONTENT + b"more", CONTENT[:-1]):
        server.asked.clear()
        server.files["/file"] = content
        with pytest.raises(DownloadError, match=f"another file than stated: .*{FACTS['sha256']}"):
            download(url, path, **FACTS)
        assert len(server.asked) == 2
        assert only_the_file(path)
        assert not path.exists()


def test_a_file_without_end_does_not_fill_the_disk(server, url, path):
    server.files["/file"] = bytes(50_000_000)
    with pytest.raises(DownloadError, match=r"another file than stated: (\d{6}) bytes"):
        download(url, path, **FACTS)


def test_a_cached_file_that_was_damaged_is_replaced(server, url, path):
    download(url, path, **FACTS)
    path.write_bytes(OTHER)
    assert download(url, path, **FACTS).read_bytes() == CONTENT


def test_two_at_once_fetch_once(server, url, path):
    gate = threading.Event()
    server.plans += [{"waits_for": gate}]
    with ThreadPoolExecutor(2) as pool:
        both = [pool.submit(download, url, path, **FACTS) for _ in range(2)]
        gate.set()
        assert [f.result().read_bytes() for f in both] == [CONTENT, CONTENT]
    assert len(server.asked) == 1


@pytest.mark.slow
def test_a_killed_process_leaves_what_the_next_can_use(server, url, path):
    gate = threading.Event()
    server.files["/file"] = CONTENT
    server.plans += [{"cut": 100_000}, {"waits_for": gate}]
    program = "import sys; from healswin.zoo.download import download; download(*sys.argv[1:])"
    process = subprocess.Popen([sys.executable, "-c", program, url, str(path)])
    try:
        while len(server.asked) < 2:
            assert process.poll() is None
    finally:
        process.kill()
        process.wait()
        gate.set()
    download(url, path, **FACTS)
    assert path.read_bytes() == CONTENT
    assert ranges(server) == [None, "bytes=100000-", "bytes=100000-"]


def test_offline_asks_nobody(server, url, path, monkeypatch):
    monkeypatch.setenv("HEALSWIN_OFFLINE", "1")
    with pytest.raises(DownloadError, match="file is not there, and HEALSWIN_OFFLINE is set"):
        download(url, path, **FACTS)
    monkeypatch.setenv("HEALSWIN_OFFLINE", "0")
    assert not offline()
    download(url, path, **FACTS)
    monkeypatch.setenv("HEALSWIN_OFFLINE", "1")
    assert download(url, path, **FACTS) == path
    path.write_bytes(OTHER)
    with pytest.raises(DownloadError, match="file is another file than stated, and HEALSWIN_OFF"):
        download(url, path, **FACTS)
    assert len(server.asked) == 1


def test_no_network_is_said(path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        nobody = f"http://127.0.0.1:{free.getsockname()[1]}/file"
    with pytest.raises(DownloadError, match=r"the server cannot be reached \(.*refused\)") as e:
        download(nobody, path)
    assert not e.value.refused


def test_a_full_disk_is_said_and_what_came_is_kept(server, url, path, monkeypatch):
    def full(descriptor):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(download_module.os, "fsync", full)
        with pytest.raises(
            DownloadError, match=r"no room left for .*\d+ bytes free.*HEALSWIN_CACHE"
        ):
            download(url, path, **FACTS)
    assert not path.exists()
    download(url, path, **FACTS)
    assert len(server.asked) == 1


def test_a_place_that_cannot_be_written_is_said(url, tmp_path):
    (tmp_path / "blocked").write_text("a file")
    with pytest.raises(DownloadError, match=r"cannot be stored as .*blocked"):
        download(url, tmp_path / "blocked" / "file")


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://x/y", "here", ""])
def test_only_http_is_spoken(url, path):
    with pytest.raises(ValueError, match=f"url='{url}' must begin with https://"):
        download(url, path)


def test_where_the_cache_is(monkeypatch):
    monkeypatch.setenv("HEALSWIN_CACHE", "~/mine")
    assert cache_folder() == Path.home() / "mine"
    monkeypatch.delenv("HEALSWIN_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", "/somewhere")
    assert cache_folder() == Path("/somewhere/healswin")
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache_folder() == Path.home() / ".cache" / "healswin"
