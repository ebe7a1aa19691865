"""The hub: huggingface_hub against a local server that speaks its two requests."""

import hashlib
import http.server
import shutil
import socket
import threading
import time
from functools import partial
from types import SimpleNamespace

import huggingface_hub.hub_mixin
import pytest
import torch

import healswin
from healswin.zoo import DownloadError, ZooModel
from healswin.zoo import load as load_module
from healswin.zoo.hub import hub_folder

COMMIT = "c" * 40


class Hub(http.server.BaseHTTPRequestHandler):
    """Answers GET and HEAD of /owner/name/resolve/revision/file."""

    def do_HEAD(self):
        self.answer()

    def do_GET(self):
        self.wfile.write(self.answer())

    def answer(self):
        server = self.server
        server.asked.append((self.command, self.path))
        repository, _, rest = self.path.partition("/resolve/")
        revision, _, file = rest.partition("/")
        content = server.files.get(file)
        error = None
        if repository != "/someone/street":
            error = "RepoNotFound"
        elif revision not in (*server.revisions, COMMIT):
            error = "RevisionNotFound"
        elif content is None:
            error = "EntryNotFound"
        self.send_response(404 if error else server.status)
        if error:
            self.send_header("X-Error-Code", error)
            content = b""
        self.send_header("X-Repo-Commit", COMMIT)
        self.send_header("ETag", f'"{hashlib.sha1(content).hexdigest()}"')
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        return content

    def log_message(self, *args):
        pass


@pytest.fixture
def hub(make_model, tmp_path, monkeypatch):
    """A hub with one model, which `load_model` asks."""
    make_model().save_pretrained(tmp_path / "upload")
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    server.files = {path.name: path.read_bytes() for path in (tmp_path / "upload").iterdir()}
    server.revisions, server.asked, server.status = ["main", "v1.0"], [], 200
    endpoint = f"http://127.0.0.1:{server.server_port}"
    monkeypatch.setattr(load_module, "hub_folder", partial(hub_folder, endpoint=endpoint))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def equal(a, b):
    theirs = b.state_dict()
    return all(torch.equal(value, theirs[name]) for name, value in a.state_dict().items())


def test_a_model_of_the_hub_comes_once_and_stays(hub, make_model, cache, monkeypatch):
    model = healswin.load_model("hf-hub:someone/street@v1.0")
    assert equal(model, make_model())
    assert model.config == make_model().config
    assert (cache / "hub").is_dir()
    # The weights are of the commit that the configuration came from.
    assert ("GET", f"/someone/street/resolve/{COMMIT}/model.safetensors") in hub.asked
    hub.asked.clear()
    assert equal(ZooModel.from_pretrained("someone/street", revision="v1.0"), model)
    assert not [path for method, path in hub.asked if method == "GET"]
    hub.asked.clear()
    monkeypatch.setenv("HEALSWIN_OFFLINE", "1")
    assert equal(healswin.load_model("hf-hub:someone/street@v1.0"), model)
    assert hub.asked == []
    with pytest.raises(DownloadError, match="not in the cache and HEALSWIN_OFFLINE is set"):
        healswin.load_model("hf-hub:someone/other")


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("hf-hub:someone/other", "no repository someone/other, or it is private"),
        ("hf-hub:someone/street@v2", "someone/street has no revision 'v2'"),
        ("hf-hub:street", "must be hf-hub:owner/name"),
        ("hf-hub:", "must be hf-hub:owner/name"),
        ("hf-hub:a/b/c", "must be hf-hub:owner/name"),
        ("hf-hub:someone/street@", "must be hf-hub:owner/name"),
        ("hf-hub:someone/str..eet", "hf-hub:someone/str..eet: "),
    ],
)
def test_what_the_hub_does_not_have(hub, address, message):
    with pytest.raises(ValueError, match=message):
        healswin.load_model(address)


def test_a_repository_of_another_kind(hub):
    del hub.files["config.json"]
    with pytest.raises(ValueError, match=r"someone/street holds no config.json"):
        healswin.load_model("hf-hub:someone/street")


def test_damage_is_noticed(hub):
    content = hub.files["model.safetensors"]
    hub.files["model.safetensors"] = content[:-1] + bytes([content[-1] ^ 1])
    with pytest.raises(ValueError, match="has the SHA-256"):
        healswin.load_model("hf-hub:someone/street")


def test_a_hub_that_refuses_is_quoted(hub):
    hub.status = 403
    with pytest.raises(DownloadError, match=r"hf-hub:someone/street: config.json"):
        healswin.load_model("hf-hub:someone/street")


def test_without_network_the_cache_serves(hub, monkeypatch):
    monkeypatch.setattr(time, "sleep", lambda seconds: None)  # huggingface_hub's own retries
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        nobody = f"http://127.0.0.1:{free.getsockname()[1]}"
    with pytest.raises(DownloadError, match="not in the cache and the hub cannot be reached"):
        hub_folder("hf-hub:someone/street", endpoint=nobody)
    healswin.load_model("hf-hub:someone/street")
    folder = hub_folder("hf-hub:someone/street", endpoint=nobody)
    assert folder.name == COMMIT
    assert (folder / "model.safetensors").read_bytes() == hub.files["model.safetensors"]


def test_pushing_uploads_the_three_files(make_model, tmp_path, monkeypatch):
    class Api:
        def __init__(self, token=None):
            pass

        def create_repo(self, repo_id, **settings):
            return SimpleNamespace(repo_id=repo_id)

        def upload_folder(self, repo_id, folder_path, **settings):
            shutil.copytree(folder_path, tmp_path / "uploaded")
            return f"https://hub/{repo_id}"

    monkeypatch.setattr(huggingface_hub.hub_mixin, "HfApi", Api)
    model = make_model()
    assert model.push_to_hub("me/street", model_card_kwargs={"licence": "MIT"}) == (
        "https://hub/me/street"
    )
    uploaded = tmp_path / "uploaded"
    assert {p.name for p in uploaded.iterdir()} == {"config.json", "model.safetensors", "README.md"}
    assert "license: mit" in (uploaded / "README.md").read_text()
    assert equal(healswin.load_model(uploaded), model)
    with pytest.raises(ValueError, match=r"a model card has no \['license'\]"):
        model.save_pretrained(tmp_path, model_card_kwargs={"license": "MIT"})
