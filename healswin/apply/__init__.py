"""From photographs to what a model says of them: ``healswin apply``.

    photograph --ImageToGrid--> map --model--> classes or depth --GridToImage--> photograph

* `healswin.apply.application` does this for images of one camera and returns arrays;
* `healswin.apply.pictures` draws and writes them;
* `healswin.apply.inputs` finds images and their calibrations;
* `healswin.apply.maps` applies a model to maps of the sphere, which need no camera;
* `healswin.apply.command` is the command.

The grid, the pole and the normalisation come from the model's own configuration. torch is imported
when a model is at hand, so that wrong input is told at once.
"""

from importlib import import_module

_HOMES = {
    "Applied": "healswin.apply.application",
    "Applier": "healswin.apply.application",
    "apply_to_image": "healswin.apply.application",
    "apply_to_map": "healswin.apply.maps",
    "main": "healswin.apply.command",
}

__all__ = ["Applied", "Applier", "apply_to_image", "apply_to_map", "main"]


def __getattr__(name: str) -> object:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'healswin.apply' has no attribute {name!r}; it has {__all__}")


def __dir__() -> list[str]:
    return __all__
