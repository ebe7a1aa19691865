"""The model zoo: trained models by name, from folders, checkpoints and hubs.

    model = healswin.load_model("healswin_tiny.street")
    classes = model.predict(maps)

A model is a folder of three files: ``config.json`` holds its whole construction (`ModelConfig`),
``model.safetensors`` the weights, ``README.md`` the model card. `ZooModel.save_pretrained` writes
one, `load_model` reads one, wherever it is. Files are read as data only; one that would need code
to run is refused. Downloads are kept in HEALSWIN_CACHE (default ~/.cache/healswin);
HEALSWIN_OFFLINE=1 forbids them.

torch is imported when a name is first used, so that the commands' help answers at once.
"""

from importlib import import_module

_HOMES = {
    "DownloadError": "healswin.zoo.download",
    "Entry": "healswin.zoo.entries",
    "FileFacts": "healswin.zoo.entries",
    "ModelCard": "healswin.zoo.card",
    "ModelConfig": "healswin.zoo.config",
    "ZooModel": "healswin.zoo.model",
    "build_model": "healswin.zoo.load",
    "cache_folder": "healswin.zoo.download",
    "create_model": "healswin.zoo.load",
    "entry_files": "healswin.zoo.entries",
    "entry_folder": "healswin.zoo.entries",
    "find_entry": "healswin.zoo.entries",
    "is_published": "healswin.zoo.legacy",
    "list_entries": "healswin.zoo.entries",
    "load_model": "healswin.zoo.load",
    "load_published": "healswin.zoo.legacy",
    "model_card": "healswin.zoo.card",
    "to_metres": "healswin.zoo.model",
    "write_index": "healswin.zoo.entries",
}

__all__ = [
    "DownloadError",
    "Entry",
    "FileFacts",
    "ModelCard",
    "ModelConfig",
    "ZooModel",
    "build_model",
    "cache_folder",
    "create_model",
    "entry_files",
    "entry_folder",
    "find_entry",
    "is_published",
    "list_entries",
    "load_model",
    "load_published",
    "model_card",
    "to_metres",
    "write_index",
]


def __getattr__(name: str) -> object:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'healswin.zoo' has no attribute {name!r}; it has {__all__}")


def __dir__() -> list[str]:
    return __all__
