"""A small trained-like model, a private cache, and a server that can misbehave."""

import contextlib
import http.server
import threading

import pytest
import torch

from healswin.grid import HealpixGrid
from healswin.models import create_model
from healswin.zoo import ModelConfig, ZooModel

SMALL = {
    "embed_dim": 4,
    "depths": [1, 1],
    "num_heads": [1, 2],
    "window_size": 16,
    "bias": "radial",
}


def config_of(**changes):
    values = {
        "name": "healswin_tiny.town",
        "task": "segmentation",
        "model": "healswin_tiny",
        "arguments": SMALL,
        "grid": HealpixGrid(8, range(8)).to_dict(),
        "in_chans": 3,
        "num_classes": 2,
        "up": (0.0, -1.0, 0.0),
        "class_names": ("road", "sky"),
        "class_colours": ((90, 90, 90), (0, 0, 255)),
        "image_mean": (0.4, 0.5, 0.6),
        "image_std": (0.2, 0.25, 0.0),
        "data": {"name": "street", "fingerprint": "ab12"},
        "metrics": {"test/miou": 0.5},
    }
    return ModelConfig(**{**values, **changes})


def model_of(config, seed=0):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = create_model(
            config.model,
            config.make_grid(),
            config.in_chans,
            config.num_classes,
            **config.arguments,
        )
    return ZooModel(config, network).eval()


@pytest.fixture
def make_config():
    return config_of


@pytest.fixture
def make_model():
    return lambda seed=0, **changes: model_of(config_of(**changes), seed)


@pytest.fixture(autouse=True)
def cache(monkeypatch, tmp_path):
    """An empty cache, so that no test sees or changes the user's."""
    folder = tmp_path / "cache"
    monkeypatch.setenv("HEALSWIN_CACHE", str(folder))
    monkeypatch.delenv("HEALSWIN_OFFLINE", raising=False)
    monkeypatch.delenv("HEALSWIN_ZOO_INDEX", raising=False)
    return folder


class Handler(http.server.BaseHTTPRequestHandler):
    """Serves `server.files`; the first of `server.plans` says what goes wrong this time."""

    def do_GET(self):
        server = self.server
        asked, known = self.headers.get("Range"), self.headers.get("If-Range")
        server.asked.append((self.path, asked))
        plan = server.plans.pop(0) if server.plans else {}
        if "status" in plan:
            self.send_error(plan["status"])
            return
        if self.path not in server.files:
            self.send_error(404)
            return
        content = server.files[self.path]
        tag = server.tags.get(self.path, "")
        begin = 0
        if asked and not plan.get("ignores_range"):
            begin = int(asked.removeprefix("bytes=").removesuffix("-"))
            if known != tag and not plan.get("ignores_if_range"):
                begin = 0
        if begin > 0 and begin >= len(content):
            self.send_error(416)
            return
        self.send_response(206 if begin else 200)
        if begin:
            first = begin + plan.get("shifted", 0)
            self.send_header("Content-Range", f"bytes {first}-{len(content) - 1}/{len(content)}")
        if tag:
            self.send_header("ETag", tag)
        self.send_header("Content-Length", str(len(content) - begin))
        self.end_headers()
        if "corrupt" in plan:
            content = content[: plan["corrupt"]] + b"?" + content[plan["corrupt"] + 1 :]
        if "waits_for" in plan:
            plan["waits_for"].wait(10)
        with contextlib.suppress(ConnectionError):  # the client may have heard enough
            self.wfile.write(content[begin : plan.get("cut")])
        self.close_connection = True

    def log_message(self, *args):
        pass


@pytest.fixture
def server():
    """`files` {path: bytes}, `tags` {path: ETag}, `plans` [{what goes wrong}], `asked`, `url`."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.files, server.tags, server.plans, server.asked = {}, {}, [], []
    server.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()
