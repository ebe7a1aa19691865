"""The index and the entries, beside it and at a server."""

import json

import pytest
import torch

import healswin
from healswin.zoo import (
    DownloadError,
    download,
    entries,
    entry_files,
    entry_folder,
    find_entry,
    list_entries,
    write_index,
)


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch):
    monkeypatch.setattr(download, "PAUSE", 0)


@pytest.fixture
def folder(make_model, tmp_path):
    """Two entries and their index."""
    folder = tmp_path / "entries"
    for seed, name in enumerate(["healswin_tiny.town", "healswin_tiny.night"]):
        make_model(seed, name=name).save_pretrained(folder / name)
    write_index(folder)
    return folder


@pytest.fixture
def packaged(folder, monkeypatch):
    monkeypatch.setattr(entries, "PACKAGED", folder)
    return folder


@pytest.fixture
def served(folder, server, tmp_path, monkeypatch):
    """The entries at a server, which an index there describes; none are packaged."""
    empty = tmp_path / "none"
    empty.mkdir()
    write_index(empty)
    monkeypatch.setattr(entries, "PACKAGED", empty)
    for path in folder.rglob("*"):
        if path.is_file():
            name = f"/zoo/{path.relative_to(folder)}"
            server.files[name], server.tags[name] = path.read_bytes(), f'"{name}"'
    monkeypatch.setenv("HEALSWIN_ZOO_INDEX", f"{server.url}/zoo/index.json")
    return server


def weights_of(model):
    return torch.cat([p.detach().flatten() for p in model.parameters()])


def test_packaged_entries_load_by_name(make_model, packaged):
    assert list_entries() == ["healswin_tiny.night", "healswin_tiny.town"]
    assert list_entries("*.town") == ["healswin_tiny.town"]
    assert list_entries("cnn*") == []
    model = healswin.load_model("healswin_tiny.night")
    assert torch.equal(weights_of(model), weights_of(make_model(1)))
    assert set(entry_files("healswin_tiny.night")) == {
        "config.json",
        "model.safetensors",
        "README.md",
    }
    entry = find_entry("healswin_tiny.night")
    assert entry.folder == entry_folder("healswin_tiny.night") == packaged / "healswin_tiny.night"
    assert entry.size == sum(path.stat().st_size for path in entry.folder.iterdir())


def test_an_unknown_name_lists_what_there_is(packaged, tmp_path, monkeypatch):
    with pytest.raises(
        ValueError, match=r"named 'healswin_tiny\.twn': did you mean .* entries are \['heal"
    ):
        healswin.load_model("healswin_tiny.twn")
    with pytest.raises(ValueError, match="named 'zzz': entries are"):
        healswin.load_model("zzz")
    monkeypatch.setattr(entries, "PACKAGED", tmp_path)
    (tmp_path / "index.json").write_text('{"format_version": 1, "entries": {}}')
    with pytest.raises(ValueError, match="named 'zzz': entries are none"):
        healswin.load_model("zzz")


def test_an_entry_goes_before_a_folder_of_its_name(make_model, packaged, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    name = "healswin_tiny.town"
    make_model(5).save_pretrained(tmp_path / name)
    assert torch.equal(weights_of(healswin.load_model(name)), weights_of(make_model(0)))
    for path in (f"./{name}", tmp_path / name):
        assert torch.equal(weights_of(healswin.load_model(path)), weights_of(make_model(5)))


@pytest.mark.parametrize("file", ["config.json", "model.safetensors", "README.md"])
def test_a_changed_file_is_noticed(packaged, file):
    path = packaged / "healswin_tiny.town" / file
    content = path.read_bytes()
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(ValueError, match=f"{file} is not the file that the index lists"):
        healswin.load_model("healswin_tiny.town")
    path.unlink()
    with pytest.raises(ValueError, match=f"{file} is missing, though the index"):
        healswin.load_model("healswin_tiny.town")
    healswin.load_model("healswin_tiny.night")


def test_entries_of_a_server_come_once_and_stay(make_model, served, cache, monkeypatch):
    name = "healswin_tiny.town"
    model = healswin.load_model(name)
    assert torch.equal(weights_of(model), weights_of(make_model(0)))
    assert find_entry(name).folder == cache / "zoo" / name
    asked = [path for path, _ in served.asked]
    assert asked.count(f"/zoo/{name}/model.safetensors") == 1
    served.asked.clear()
    healswin.load_model(name)
    assert {path for path, _ in served.asked} == {"/zoo/index.json"}
    served.asked.clear()
    monkeypatch.setenv("HEALSWIN_OFFLINE", "1")
    healswin.load_model(name)
    assert served.asked == []
    with pytest.raises(
        DownloadError, match=r"night/config.json is not there, and HEALSWIN_OFFLINE"
    ):
        healswin.load_model("healswin_tiny.night")
    with pytest.raises(ValueError, match="no entry of the zoo, folder or file is named 'other'"):
        healswin.load_model("other")


def test_a_broken_and_a_damaged_download_are_made_good(make_model, served):
    name = "healswin_tiny.town"
    list_entries()
    served.plans += [{}, {}, {"cut": 3000}, {"corrupt": 4000}]
    model = healswin.load_model(name)
    assert torch.equal(weights_of(model), weights_of(make_model(0)))
    weights = [asked for path, asked in served.asked if path.endswith("safetensors")]
    assert weights == [None, "bytes=3000-", None]


def test_a_damaged_cache_is_made_good(make_model, served, cache):
    name = "healswin_tiny.town"
    healswin.load_model(name)
    (cache / "zoo" / name / "model.safetensors").write_bytes(b"?")
    assert torch.equal(weights_of(healswin.load_model(name)), weights_of(make_model(0)))


def test_a_server_that_lacks_a_file_is_quoted(served):
    del served.files["/zoo/healswin_tiny.town/model.safetensors"]
    with pytest.raises(DownloadError, match=r"town/model\.safetensors cannot .* answers 404"):
        healswin.load_model("healswin_tiny.town")


def test_entries_of_the_package_need_no_server(served, packaged):
    healswin.load_model("healswin_tiny.town")
    assert served.asked == []


def test_an_index_that_cannot_be_fetched_is_the_last_one(served, monkeypatch):
    assert len(list_entries()) == 2
    served.plans += [{"status": 500}] * 5
    assert len(list_entries()) == 2
    served.plans.clear()
    del served.files["/zoo/index.json"]
    with pytest.raises(DownloadError, match=r"HEALSWIN_ZOO_INDEX: .* answers 404"):
        list_entries()


def test_an_index_that_was_never_fetched_is_missed_offline(served, monkeypatch):
    monkeypatch.setenv("HEALSWIN_OFFLINE", "1")
    with pytest.raises(DownloadError, match=r"HEALSWIN_ZOO_INDEX: .*HEALSWIN_OFFLINE is set"):
        list_entries()


def test_an_index_may_be_a_file_whose_entries_are_elsewhere(folder, server, tmp_path, monkeypatch):
    for path in (folder / "healswin_tiny.town").iterdir():
        server.files[f"/there/healswin_tiny.town/{path.name}"] = path.read_bytes()
    index = write_index(folder, url=f"{server.url}/there/")
    elsewhere = tmp_path / "my_index.json"
    elsewhere.write_bytes(index.read_bytes())
    monkeypatch.setenv("HEALSWIN_ZOO_INDEX", str(elsewhere))
    assert healswin.load_model("healswin_tiny.town").config.name == "healswin_tiny.town"
    monkeypatch.setenv("HEALSWIN_ZOO_INDEX", str(tmp_path / "absent.json"))
    with pytest.raises(ValueError, match=r"HEALSWIN_ZOO_INDEX=.*absent.json does not exist"):
        list_entries()


def test_a_second_index_beside_its_entries(folder, monkeypatch):
    monkeypatch.setenv("HEALSWIN_ZOO_INDEX", str(folder / "index.json"))
    assert "healswin_tiny.night" in list_entries()
    assert find_entry("healswin_tiny.night").folder == folder / "healswin_tiny.night"


def test_the_index_says_what_is_there(folder):
    index = json.loads((folder / "index.json").read_text())
    assert index["format_version"] == 1
    assert list(index["entries"]) == ["healswin_tiny.night", "healswin_tiny.town"]
    entry = index["entries"]["healswin_tiny.town"]
    assert entry["url"] is None
    size = (folder / "healswin_tiny.town" / "model.safetensors").stat().st_size
    assert entry["files"]["model.safetensors"]["size"] == size


def test_folders_that_are_no_entries_are_refused(folder):
    (folder / "healswin_tiny.night").rename(folder / "healswin_tiny.dawn")
    with pytest.raises(ValueError, match=r"dawn holds the model 'healswin_tiny.night'"):
        write_index(folder)
    (folder / "healswin_tiny.dawn").rename(folder / "healswin_tiny.night")
    weights = folder / "healswin_tiny.night" / "model.safetensors"
    weights.write_bytes((folder / "healswin_tiny.town" / "model.safetensors").read_bytes())
    with pytest.raises(ValueError, match="was stated: the file is damaged"):
        write_index(folder)
    weights.unlink()
    with pytest.raises(ValueError, match=r"night is no entry, it lacks \['model.safetensors'\]"):
        write_index(folder)


GOOD = {"sha256": "0" * 64, "size": 1}
BOTH = {"config.json": GOOD, "model.safetensors": GOOD}


@pytest.mark.parametrize(
    ("index", "message"),
    [
        ("{", "Expecting"),
        ([], "no index of format version 1"),
        ({"format_version": 2, "entries": {}}, "no index of format version 1"),
        ({"format_version": 1}, "'entries'"),
        ({"format_version": 1, "entries": 3}, "items"),
        ({"../up": {"url": None, "files": BOTH}}, "name='../up'"),
        ({"a": {"url": "file:///etc", "files": BOTH}}, "url='file:///etc'"),
        ({"a": {"files": BOTH}}, "'url'"),
        ({"a": {"url": None, "files": {**BOTH, "../x": GOOD}}}, "the file '../x'"),
        ({"a": {"url": None, "files": {"config.json": GOOD}}}, "needs config.json and model"),
        ({"a": {"url": None, "files": {**BOTH, "README.md": {**GOOD, "size": -1}}}}, "SHA-256 and"),
        ({"a": {"url": None, "files": {**BOTH, "README.md": {"sha256": "0", "size": 1}}}}, "SHA"),
        ({"a": {"url": None, "files": {**BOTH, "README.md": {"size": 1}}}}, "'sha256'"),
    ],
)
def test_an_index_that_cannot_be_used_says_why(tmp_path, monkeypatch, index, message):
    if isinstance(index, dict) and "format_version" not in index:
        index = {"format_version": 1, "entries": index}
    path = tmp_path / "index.json"
    path.write_text(index if isinstance(index, str) else json.dumps(index))
    monkeypatch.setenv("HEALSWIN_ZOO_INDEX", str(path))
    with pytest.raises(ValueError, match=f"index.json cannot be read: .*{message}"):
        list_entries()
