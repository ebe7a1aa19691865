"""Names for models: create one by name, list the names, add your own."""

from __future__ import annotations

from collections.abc import Callable
from fnmatch import fnmatch

from torch import nn

from healswin.grid import HealpixGrid

_MODELS: dict[str, Callable[..., nn.Module]] = {}


def register_model(name: str) -> Callable[[Callable[..., nn.Module]], Callable[..., nn.Module]]:
    """Decorator that makes a builder available to `create_model`.

    The builder takes nside, base_pixels, in_chans, num_classes and the network's own arguments.

    Raises:
        ValueError: If the name is taken.
    """

    def add(builder: Callable[..., nn.Module]) -> Callable[..., nn.Module]:
        if name in _MODELS:
            raise ValueError(f"a model named {name!r} is already registered")
        _MODELS[name] = builder
        return builder

    return add


def list_models(pattern: str = "*") -> list[str]:
    """Names of the registered models that match a shell pattern, e.g. "healswin_*", sorted."""
    return sorted(name for name in _MODELS if fnmatch(name, pattern))


def create_model(
    name: str,
    grid: HealpixGrid,
    in_chans: int = 3,
    num_classes: int = 10,
    **arguments: object,
) -> nn.Module:
    """Build a model by its name.

    Args:
        name: One of `list_models`.
        grid: Grid of the maps.
        in_chans: Channels of the input.
        num_classes: Channels of the output.
        **arguments: Arguments of the network that differ from the named configuration.

    Returns:
        The network with fresh weights; maps are (batch, in_chans, grid.num_pixels).

    Raises:
        ValueError: If the name is not known, or an argument does not fit.
    """
    if name not in _MODELS:
        raise ValueError(f"model {name!r} is not known, known are {list_models()}")
    return _MODELS[name](grid.nside, grid.base_pixels, in_chans, num_classes, **arguments)
