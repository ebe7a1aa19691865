"""HealSwin: spherical vision on the HEALPix grid.

The package imports nothing heavy: each public name is loaded when it is first used, so that
command-line help answers at once and conversion workers never load torch.
"""

from importlib import import_module

__version__ = "0.1.0"

_HOMES = {
    "HealpixGrid": "healswin.grid",
    "create_model": "healswin.zoo",
    "list_models": "healswin.models",
    "load_model": "healswin.zoo",
    "register_model": "healswin.models",
}

__all__ = [
    "HealpixGrid",
    "__version__",
    "create_model",
    "list_models",
    "load_model",
    "register_model",
]


def __getattr__(name: str) -> object:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'healswin' has no attribute {name!r}; it has {__all__}")


def __dir__() -> list[str]:
    return __all__
