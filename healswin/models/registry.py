"""Names for models: create one by name, list the names, add your own.

A name stands for a network class with some arguments chosen (`register_model`), or for the class
itself with its defaults (`register_network`). The second kind is how a file may say which class its
weights belong to: the class is looked up here, nothing that the file names is imported.

Packages add theirs through the entry-point group ``healswin.models``: every entry point names a
module that registers models when it is imported.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from fnmatch import fnmatch
from importlib.metadata import entry_points

from torch import nn

from healswin.grid import Grid

_MODELS: dict[str, Callable[..., nn.Module]] = {}
_NETWORKS: dict[str, type[nn.Module]] = {}


def register_model(name: str) -> Callable[[Callable[..., nn.Module]], Callable[..., nn.Module]]:
    """Decorator that makes a builder available to `create_model`.

    The builder takes grid, in_chans, num_classes and the network's own arguments.

    Raises:
        ValueError: If the name is taken.
    """

    def add(builder: Callable[..., nn.Module]) -> Callable[..., nn.Module]:
        if name in _MODELS:
            raise ValueError(f"a model named {name!r} is already registered")
        _MODELS[name] = builder
        return builder

    return add


def register_network(name: str, network: type[nn.Module], grid_type: type) -> None:
    """Make a network class available under a name, to `create_model` and to checkpoints.

    Args:
        name: The name; ``create_model(name, grid, in_chans, num_classes, **arguments)`` is then
            ``network(*fields_of_grid, in_chans, num_classes, **arguments)``, as in a task.
        network: The class.
        grid_type: The grids it works on, e.g. `healswin.grid.HealpixGrid`.

    Raises:
        ValueError: If the name is taken.
    """

    def build(grid: Grid, in_chans: int, num_classes: int, **arguments: object) -> nn.Module:
        if not isinstance(grid, grid_type):
            raise ValueError(f"grid={grid!r}: {name} works on a grid of type {grid_type.__name__}")
        return network(*dataclasses.astuple(grid), in_chans, num_classes, **arguments)

    register_model(name)(build)
    _NETWORKS[name] = network


def network_name(class_path: str) -> str:
    """The registered name of a network class.

    Args:
        class_path: Where the class can be imported from, as in a configuration: its module, or a
            package above that hands it on. "healswin.models.HealSwin" is "healswin".

    Raises:
        ValueError: If no such class is registered.
    """
    _load_entry_points()
    module, _, class_name = class_path.rpartition(".")
    for name, network in _NETWORKS.items():
        home = f"{network.__module__}."
        if network.__qualname__ == class_name and module and home.startswith(f"{module}."):
            return name
    raise ValueError(
        f"the network class {class_path!r} has no name, classes with one are {_known_classes()}: "
        f"call healswin.models.register_network(name, {class_name}, type_of_its_grid), in a module "
        "that an entry point of the group healswin.models names"
    )


def list_models(pattern: str = "*") -> list[str]:
    """Names of the registered models that match a shell pattern, e.g. "healswin_*", sorted."""
    _load_entry_points()
    return sorted(name for name in _MODELS if fnmatch(name, pattern))


def create_model(
    name: str,
    grid: Grid,
    in_chans: int = 3,
    num_classes: int = 10,
    *,
    features_only: bool = False,
    **arguments: object,
) -> nn.Module:
    """Build a model by its name.

    Args:
        name: One of `list_models`.
        grid: Grid of the maps: a `HealpixGrid`, an `ImageGrid` for flat baselines, or an
            `EquiangularGrid` for spherical CNNs.
        in_chans: Channels of the input.
        num_classes: Channels of the output.
        features_only: Only the encoder, which returns a list of maps, one for each stage, or for
            each of ``out_indices``; the same as ``head="features"``.
        **arguments: Arguments of the network that differ from the named configuration, such as
            ``head="classification"`` or ``drop_path=0.2``.

    Returns:
        The network with fresh weights; maps are (batch, in_chans, grid.num_pixels), images
        (batch, in_chans, height, width).

    Raises:
        ValueError: If the name is not known (the message lists those that are), or the arguments
            do not fit.
    """
    _load_entry_points()
    if name not in _MODELS:
        raise ValueError(f"model {name!r} is not known, known are {list_models()}")
    if features_only:
        if arguments.get("head", "features") != "features":
            raise ValueError(f"features_only=True contradicts head={arguments['head']!r}")
        arguments["head"] = "features"
    return _MODELS[name](grid, in_chans, num_classes, **arguments)


def _known_classes() -> list[str]:
    return sorted(f"{network.__module__}.{network.__qualname__}" for network in _NETWORKS.values())


@functools.cache
def _load_entry_points() -> None:
    for entry_point in entry_points(group="healswin.models"):
        entry_point.load()
