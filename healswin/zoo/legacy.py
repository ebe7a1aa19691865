"""Checkpoints of the published HEAL-SWIN and S2CNN code, read without running them.

What their files hold was established from the published repositories (JanEGerken/HEAL-SWIN; the
segmentation code of Gerken et al. 2022, arXiv 2202.03990, and its MNIST classifiers; the example
``mnist`` of s2cnn, Cohen et al. 2018):

* HEAL-SWIN writes Lightning 1.x checkpoints. The state dict has the network's names behind
  ``model.``, beside the class weights of the loss; windows' attention masks are among the buffers.
  The configuration is not in the checkpoint but beside it, pickled dataclasses in the files
  ``model_config``, ``data_spec`` and ``data_config``. It is read from there, or from the
  checkpoint's hyperparameters where a fork has put it.
* The spherical CNNs of the segmentation code and of the example are state dicts at most. Their
  tensors do not tell bandwidths, sizes of kernel grids or strides, but widths that the papers name
  identify the published networks, whose other values are then known.
* The MNIST classifiers write Lightning checkpoints whose hyperparameters tell everything.

Everything that tensors tell is taken from tensors. What is left is taken from the caller, then from
a configuration; what nobody says is asked for by name. Images went into all of these networks as
they were stored, 0 to 255.
"""

from __future__ import annotations

import itertools
import math
import re
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from healswin.grid import EquiangularGrid, Grid, HealpixGrid, window_shift
from healswin.models import create_model, from_published, list_models
from healswin.zoo.config import ModelConfig
from healswin.zoo.inert_pickle import Record, Reference
from healswin.zoo.torch_file import (
    StoredTensor,
    TorchFile,
    read_pickle_file,
    read_torch_file,
    stored_tensor,
)

# Files beside a HEAL-SWIN checkpoint.
_BESIDE = ("model_config", "data_spec", "data_config")
_WINDOWS = {"nest_roll": "roll", "nest_grid_shift": "grid", "ring_shift": "ring"}
# Widths by which the published spherical CNNs are known.
_SEGMENTER_FEATURES = (11, 12, 13, 14, 13, 12, 11)
_CLASSIFIER_FEATURES = (20, 40)
_DEEP_FEATURES = (8, 16, 16, 24, 24, 32, 64)
_SEGMENTER_BANDWIDTH = 50
_CLASSIFIER_BANDWIDTH = 30
_MAX_DEPTH = 100


def is_published(path: str | Path) -> bool:
    """Whether a file holds a network of the published code; reads no tensors.

    Args:
        path: A checkpoint or a state dict, as torch.save wrote it.

    Returns:
        False for every other file, this library's own checkpoints included.

    Raises:
        OSError: If the file cannot be read.
    """
    try:
        file = read_torch_file(path)
        return _recognised(file.value, _state_of(file)) is not None
    except ValueError:
        return False


def load_published(
    path: str | Path,
    *,
    grid: Grid | None = None,
    class_names: Sequence[str] | None = None,
    depth: Mapping[str, Any] | None = None,
    pole: str | None = None,
    **arguments: Any,
) -> tuple[ModelConfig, dict[str, Tensor]]:
    """Read a checkpoint of the published code; nothing in it is run.

    What the file and its neighbours do not say, and tensors do not tell, must be given; what is
    given counts more than what a file says.

    Args:
        path: The checkpoint or state dict. ``model_config``, ``data_spec`` and ``data_config``
            beside it are read too.
        grid: The pixels of the maps.
        class_names: Names of the classes.
        depth: For depth: transform, mean, std and log_variance as in `ModelConfig`.
        pole: What the grid's north pole is, see `healswin.cameras.pole_rotation`.
        **arguments: Of the network, e.g. norm_placement, num_heads, windows and shift_size for
            HEAL-SWIN, bandwidths and max_beta for S2CNN, size for CNNs.

    Returns:
        The configuration of this library's model, and its state dict: the numbers as they are in
        the file.

    Raises:
        OSError: If a file cannot be read.
        ValueError: If the file is damaged or no network of the published code, if something is
            missing (the message names it), or the network has a part that this library's has not.
    """
    path = Path(path)
    file = read_torch_file(path)
    state = _state_of(file)
    recognised = _recognised(file.value, state)
    if recognised is None:
        raise ValueError(
            f"{path} has no parameters of the published HEAL-SWIN U-Net, S2CNNs or CNNs: it has "
            f"{list(state)[:3]}"
        )
    layout, prefix = recognised
    inner = {name[len(prefix) :]: t for name, t in state.items() if name.startswith(prefix)}
    try:
        said = _Said(arguments, _settings(file), grid)
        found = layout.read(_Weights(file, inner), said)
        task, depth = _task(layout.task, said, depth)
        said.ask()
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
    names = class_names if class_names is not None else said.names(found.num_classes)
    config = ModelConfig(
        name=re.sub(r"[^A-Za-z0-9._-]+", "_", f"published_{path.stem}"),
        task=task,
        model=found.model,
        arguments={**found.arguments, **arguments},
        grid=found.grid.to_dict(),
        in_chans=found.in_chans,
        num_classes=found.num_classes,
        pole=pole or ("vehicle" if said.value(bool, "rotate_pole") else "camera"),
        class_names=() if task == "depth" else tuple(names),
        image_mean=(0.0,) * found.in_chans,
        image_std=(1 / 255,) * found.in_chans,
        depth=depth,
    )
    return config, found.state


@dataclass(frozen=True)
class _Found:
    """A network of this library, and the weights under its names."""

    model: str
    arguments: dict[str, Any]
    grid: Grid
    in_chans: int
    num_classes: int
    state: dict[str, Tensor]


@dataclass(frozen=True)
class _Layout:
    """How a published network is recognised, and how it is read.

    Attributes:
        names: Parameters that it has, and others do not have together.
        task: What it was made for.
        read: From its weights and what is said of it to this library's network.
        hyperparameter: One that must be there too, where the names are everybody's.
    """

    names: tuple[str, ...]
    task: str
    read: Callable[[_Weights, _Said], _Found]
    hyperparameter: str | None = None


class _Weights:
    """The parameters of a network in a file: their shapes, and, when asked for, their numbers."""

    def __init__(self, file: TorchFile, stored: Mapping[str, StoredTensor]) -> None:
        self.file = file
        self.stored = stored

    def __contains__(self, name: str) -> bool:
        return name in self.stored

    def shape(self, name: str, dimensions: int) -> tuple[int, ...]:
        """The shape of a parameter that has so many dimensions, each of at least 1."""
        if name not in self.stored:
            raise ValueError(f"the parameter {name} is missing")
        shape = self.stored[name].shape
        if len(shape) != dimensions or 0 in shape:
            raise ValueError(f"{name} has shape {shape}, {dimensions} dimensions are needed")
        return shape

    def count(self, pattern: str) -> int:
        """How many of the names from 0 on there are; {} stands for the number."""
        return next(
            i
            for i in itertools.count()
            if not any(name.startswith(pattern.format(i)) for name in self.stored)
        )

    def first(self, suffix: str) -> str | None:
        """The first parameter whose name ends so."""
        return next((name for name in self.stored if name.endswith(suffix)), None)

    def all(self, but: tuple[str, ...] = ()) -> dict[str, Tensor]:
        """All tensors but those whose names end so."""
        return self.file.tensors({k: t for k, t in self.stored.items() if not k.endswith(but)})

    def one(self, name: str) -> Tensor:
        """One tensor."""
        return self.file.tensors({name: self.stored[name]})[name]


class _Said:
    """What the caller and the configuration say of a network, and what nobody has said."""

    def __init__(self, given: Mapping[str, Any], settings: Any, grid: Grid | None) -> None:
        self.given = given
        self.settings = settings
        self.grid = grid
        self.missing: list[str] = []

    def section(self, *names: str) -> dict[str, Any]:
        """The first table of the configuration with all these names; empty without one."""
        return next((t for t in _tables(self.settings) if all(n in t for n in names)), {})

    def value(self, kind: type, *names: str) -> Any:
        """What the configuration says under the first of these names; None if nothing usable."""
        values = (_of(kind, self.section(name).get(name)) for name in names)
        return next((value for value in values if value is not None), None)

    def list_of(self, kind: type, *names: str) -> list[Any] | None:
        """Likewise for a list of values."""
        values = (_list_of(kind, self.section(name).get(name)) for name in names)
        return next((value for value in values if value is not None), None)

    def need(self, argument: str, value: Any, otherwise: Any = None) -> Any:
        """The caller's value of an argument, or else this one; noted as missing if it is None.

        Args:
            argument: Its name, here and in the network.
            value: What a file says of it.
            otherwise: Stands in for what is missing, so that everything missing is found at once.
        """
        value = self.given.get(argument, value)
        if value is None:
            self.missing.append(argument)
            return otherwise
        return value

    def names(self, classes: int) -> list[str]:
        """Names of the classes; none if there are not as many as classes."""
        names = self.list_of(str, "class_names") or []
        return names if len(names) == classes else []

    def max_beta(self, layers: int) -> list[float] | None:
        """Sizes of the kernel grids of S2CNNs; one number stands for all layers."""
        same = self.value(float, "kernel_max_beta")
        return self.list_of(float, "kernel_max_beta") if same is None else [same] * layers

    def equiangular(self, known: int | None) -> EquiangularGrid:
        """The grid of a spherical CNN, whose layers assume "soft" sampling.

        Args:
            known: The bandwidth, where no configuration names it.
        """
        if isinstance(self.grid, EquiangularGrid):
            return self.grid
        if self.grid is not None:
            raise ValueError(f"grid={self.grid!r} must be an EquiangularGrid for this network")
        bandwidth = self.value(int, "b_in", "bandwidth")
        side = self.value(int, "dim_in", "image_size")
        if bandwidth is None:
            bandwidth = known if side is None else side // 2
        if bandwidth is None:
            self.missing.append("grid")
        return EquiangularGrid(bandwidth or 1)

    def ask(self) -> None:
        """Refuse to go on without what is missing.

        Raises:
            ValueError: If something is missing.
        """
        if self.missing:
            names = ", ".join(f"{name}=..." for name in dict.fromkeys(self.missing))
            raise ValueError(
                f"neither the file nor a {', '.join(_BESIDE[:-1])} or {_BESIDE[-1]} beside it says "
                f"all of the network: call load_published(path, {names})"
            )


def _of(kind: type, value: Any) -> Any:
    """A value if it is of this kind; whole numbers are real ones too, but bools are no numbers."""
    if isinstance(value, bool) and kind is not bool:
        return None
    if kind is float and isinstance(value, int):
        return float(value)
    return value if isinstance(value, kind) else None


def _list_of(kind: type, values: Any) -> list[Any] | None:
    if not isinstance(values, list):
        return None
    usable = [_of(kind, value) for value in values]
    return None if None in usable else usable


def _task(
    task: str, said: _Said, depth: Mapping[str, Any] | None
) -> tuple[str, dict[str, Any] | None]:
    """The task, and for depth how the network's answers become metres."""
    if depth is not None:
        return "depth", dict(depth)
    log_variance = said.value(bool, "use_logvar")
    scaling = said.section("data_transform", "normalize_data")
    if log_variance is None and not scaling:
        return task, None
    statistics = said.section("mean", "std", "min", "max")
    mean, std, least, most = (_of(float, statistics.get(k)) for k in ("mean", "std", "min", "max"))
    scale: tuple[float | None, float | None]
    match scaling.get("normalize_data"):
        case None | "None":
            scale = (0.0, 1.0)
        case "standardize":
            scale = (mean, std)
        case "min-max" if least is not None and most is not None:
            scale = (least, most - least)
        case _:
            scale = (None, None)
    transform = {"None": "none", "log": "log", "inv": "inverse"}.get(
        str(scaling.get("data_transform"))
    )
    if not scaling or None in (transform, *scale):
        said.missing.append("depth")
        return task, None
    return "depth", {
        "transform": transform,
        "mean": scale[0],
        "std": scale[1],
        "log_variance": log_variance is True,
    }


# The published HEAL-SWIN U-Net, and its flat counterpart.


def _read_flat(weights: _Weights, said: _Said) -> _Found:
    raise ValueError(
        "this is the flat SWIN-UNet of the published code; healswin's has the position bias of "
        "Swin V2 in place of a table, so that the weights do not fit it"
    )


def _read_heal_swin(weights: _Weights, said: _Said) -> _Found:
    embed_dim, in_chans, patch_size = weights.shape("patch_embed.proj.weight", 3)
    num_classes, _, _ = weights.shape("decoder.output.weight", 3)
    stages = weights.count("layers.{}.")
    depths = [weights.count(f"layers.{i}.blocks.{{}}.") for i in range(stages)]
    block = "layers.0.blocks.0"
    config = said.section("shift_strategy")
    table = f"{block}.attn.relative_position_bias_table" in weights
    cosine = f"{block}.attn.logit_scale" in weights
    _refuse_other_blocks(weights, config, cosine)
    heads = _heads(weights, stages) if table or cosine else said.list_of(int, "num_heads")
    window_size = _window_size(weights, said)
    post = _of(bool, config.get("use_v2_norm_placement"))
    arguments = {
        "embed_dim": embed_dim,
        "depths": depths,
        "num_heads": said.need("num_heads", heads),
        "patch_size": patch_size,
        "window_size": said.need("window_size", window_size),
        "bias": "table" if table else "none",
        "cosine": cosine,
        "norm_placement": said.need(
            "norm_placement", None if post is None else ("post" if post else "pre")
        ),
        "absolute_position": "absolute_pos_embed" in weights,
        "mlp_ratio": weights.shape(f"{block}.mlp.fc1.weight", 2)[0] / embed_dim,
    }
    for ours, theirs in {
        "dropout": "drop_rate",
        "attention_dropout": "attn_drop_rate",
        "drop_path": "drop_path_rate",
    }.items():
        rate = _of(float, config.get(theirs))
        if rate is not None:
            arguments[ours] = rate
    said.ask()
    grid, arguments["windows"], arguments["shift_size"] = _windows(weights, said, arguments)
    state = from_published(weights.all(but=(".attn_mask", ".relative_position_index")))
    return _Found("healswin", arguments, grid, in_chans, num_classes, state)


def _refuse_other_blocks(weights: _Weights, config: dict[str, Any], cosine: bool) -> None:
    """Options of the published blocks that this library's blocks do not have."""
    if "layers.0.blocks.0.attn.qkv.bias" not in weights:
        raise ValueError("qkv_bias=False: healswin's queries, keys and values have a bias")
    if any(name.startswith("patch_embed.norm.") for name in weights.stored):
        raise ValueError("patch_embed_norm_layer: healswin's patch embedding has no norm")
    if config.get("qk_scale") is not None and not cosine:
        raise ValueError(
            f"qk_scale={config['qk_scale']!r}: healswin scales products by the root of a head's "
            "width"
        )


def _heads(weights: _Weights, stages: int) -> list[int]:
    """Heads of every stage, from a parameter that has a value for each."""
    heads = []
    for i in range(stages):
        attention = f"layers.{i}.blocks.0.attn"
        if f"{attention}.logit_scale" in weights:
            heads.append(weights.shape(f"{attention}.logit_scale", 3)[0])
        else:
            heads.append(weights.shape(f"{attention}.relative_position_bias_table", 2)[1])
    return heads


def _window_size(weights: _Weights, said: _Said) -> int | None:
    """Tokens in a window: those of a mask, or from the offsets of a bias table, (2 side - 1)^2."""
    mask = weights.first(".attn_mask")
    if mask is not None:
        return weights.shape(mask, 3)[1]
    table = weights.first(".relative_position_bias_table")
    if table is not None:
        return ((math.isqrt(weights.shape(table, 2)[0]) + 1) // 2) ** 2
    return said.value(int, "window_size")


def _windows(
    weights: _Weights, said: _Said, arguments: Mapping[str, Any]
) -> tuple[HealpixGrid, str, int | None]:
    """Grid, way of shifting and shift: those that make the masks that are in the file.

    A mask says which pairs of tokens of a shifted window attend to each other, so that it tells
    what a configuration would. Stages of one window have none.
    """
    patch, window, depths = (arguments[k] for k in ("patch_size", "window_size", "depths"))
    masks = {
        i: f"layers.{i}.blocks.1.attn_mask"
        for i in reversed(range(len(depths)))
        if f"layers.{i}.blocks.1.attn_mask" in weights
    }
    sizes = {weights.shape(name, 3)[0] * window * 4**i * patch for i, name in masks.items()}
    if arguments["absolute_position"]:
        sizes.add(weights.shape("absolute_pos_embed", 3)[1] * patch)
    if len(sizes) > 1:
        raise ValueError(f"its stages belong to maps of different sizes: {sorted(sizes)} pixels")
    grids = _grids(said, sizes.pop() if sizes else None)
    said.ask()
    configured = said.value(str, "shift_strategy")
    if configured is not None and configured not in _WINDOWS:
        raise ValueError(f"shift_strategy={configured!r} must be one of {tuple(_WINDOWS)}")
    strategy = said.given.get("windows", _WINDOWS.get(configured))
    shift = said.given.get("shift_size", said.value(int, "shift_size"))
    strategies = [strategy] if strategy is not None else list(_WINDOWS.values())
    shifts = [shift] if shift is not None else list(range(1, window))
    fitting = list(itertools.product(grids, strategies, shifts))
    # From coarse to fine: the coarse stages leave few to be tried on the fine ones.
    for i, name in masks.items():
        attends = weights.one(name).numpy() == 0
        fitting = [c for c in fitting if _makes(c, math.isqrt(patch) * 2**i, window, attends)]
    if not fitting:
        raise ValueError(
            f"its attention masks are not those of grid={grids}, windows={strategies}, "
            f"shift_size={shift}"
        )
    if not masks:
        if any(d > 1 for i, d in enumerate(depths) if grids[0].num_pixels > window * 4**i * patch):
            raise ValueError("shift_size=0: every second block of healswin has shifted windows")
        return grids[0], strategies[0], None
    if len(fitting) > 1:
        raise ValueError(
            "its attention masks fit more than one way of shifting windows, e.g. "
            f"grid={fitting[0][0]}, windows={fitting[0][1]!r}, shift_size={fitting[0][2]} and "
            f"grid={fitting[1][0]}, windows={fitting[1][1]!r}, shift_size={fitting[1][2]}: give "
            "load_published grid=, windows= and shift_size="
        )
    return fitting[0]


def _makes(
    candidate: tuple[HealpixGrid, str, int], reduction: int, window: int, attends: np.ndarray
) -> bool:
    """Whether a way of shifting the windows of a coarsened grid has these masks."""
    grid, strategy, shift = candidate
    try:
        made = window_shift(strategy, grid.coarsened(reduction), window, shift).attends(window)
    except ValueError:
        return False
    return made.shape == attends.shape and bool((made == attends).all())


def _grids(said: _Said, pixels: int | None) -> list[HealpixGrid]:
    """The grids that a map with so many pixels may have, as far as nobody says which."""
    if said.grid is not None:
        if not isinstance(said.grid, HealpixGrid):
            raise ValueError(f"grid={said.grid!r} must be a HealpixGrid for this network")
        grids = [said.grid]
    else:
        nside = said.value(int, "input_nside")
        faces = said.value(int, "base_pix", "input_base_pix")
        pixels = said.value(int, "dim_in") if pixels is None else pixels
        grids = [
            HealpixGrid(2**k, range(n))
            for k in range(14)
            for n in range(1, 13)
            if n * 4**k == pixels and faces in (None, n) and nside in (None, 2**k)
        ]
        if pixels is None and isinstance(nside, int) and isinstance(faces, int):
            grids = [HealpixGrid(nside, range(faces))]
    if pixels is not None:
        grids = [grid for grid in grids if grid.num_pixels == pixels]
        if not grids:
            raise ValueError(
                f"its maps have {pixels} pixels, the grid that was given or configured has not"
            )
    if not grids:
        said.missing.append("grid")
    return grids


# The published S2CNNs and CNNs.


def _read_s2cnn_segmenter(weights: _Weights, said: _Said) -> _Found:
    in_chans, width, points = weights.shape("input_layer.kernel", 3)
    hidden = weights.count("hidden_layers.{}.")
    features = [width]
    features += [weights.shape(f"hidden_layers.{i}.kernel", 3)[1] for i in range(hidden)]
    _, num_classes, so3_points = weights.shape("output_layer.kernel", 3)
    skips = weights.count("skip_layers.{}.") > 0
    arguments: dict[str, Any] = {"features": features, "use_skips": skips}
    beta = said.max_beta(len(features) + 1)
    bandwidths = said.list_of(int, "b_ls", "bandlimit_numbers")
    published = tuple(features) == _SEGMENTER_FEATURES and beta is None and bandwidths is None
    if not published:
        arguments["bandwidths"] = said.need("bandwidths", bandwidths)
        arguments["max_beta"] = said.need("max_beta", beta)
    if (points, so3_points) != (24, 192):
        for name in ("n_alpha", "n_beta", "n_gamma"):
            said.need(name, None)
    grid = said.equiangular(_SEGMENTER_BANDWIDTH if published else None)
    return _Found("s2cnn_segmenter", arguments, grid, in_chans, num_classes, weights.all())


def _read_s2cnn_classifier(weights: _Weights, said: _Said) -> _Found:
    in_chans, first, s2_points = weights.shape("conv1.kernel", 3)
    _, second, so3_points = weights.shape("conv2.kernel", 3)
    num_classes, _ = weights.shape("out_layer.weight", 2)
    arguments: dict[str, Any] = {"features": [first, second]}
    published = (first, second) == _CLASSIFIER_FEATURES
    if not published:
        arguments["bandwidths"] = said.need("bandwidths", None)
    if s2_points != 24:
        arguments["s2_grid"] = said.need("s2_grid", None)
    if so3_points != 192:
        # With 72 points the example has two rings of six directions, with six twists.
        arguments["so3_grid"] = said.need("so3_grid", [6, 2, 6] if so3_points == 72 else None)
    grid = said.equiangular(_CLASSIFIER_BANDWIDTH if published else None)
    return _Found("s2cnn_classifier", arguments, grid, in_chans, num_classes, weights.all())


def _read_s2cnn_deep(weights: _Weights, said: _Said) -> _Found:
    return _deep(weights, said, "convolutional", "linear")


def _read_mnist_s2cnn(weights: _Weights, said: _Said) -> _Found:
    return _deep(weights, said, "conv", "dense")


def _deep(weights: _Weights, said: _Said, convolutions: str, dense: str) -> _Found:
    """A sequence of convolutions and ReLUs, then batch norms, linear layers and ReLUs."""
    _refuse_other_activations(said)
    layers = [f"{convolutions}.{i}.kernel" for i in range(0, 2 * len(weights.stored), 2)]
    shapes = [weights.shape(name, 3) for name in layers if name in weights]
    linear = [f"{dense}.{i}" for i in (1, 4, 7)]
    others = {name.split(".")[1] for name in weights.stored if name.startswith(f"{dense}.")}
    if others != set("013467") or f"{dense}.0.running_mean" not in weights:
        raise ValueError(
            "healswin's deep classifier has three linear layers, a batch norm before each: this "
            f"one has the layers {sorted(others)} in {dense!r}"
        )
    if [shape[2] for shape in shapes] != [6] + [36] * (len(shapes) - 1):
        raise ValueError(
            "the kernels of healswin's deep classifier have 6 points, on SO(3) 36: these have "
            f"{[shape[2] for shape in shapes]}"
        )
    features = [shape[1] for shape in shapes]
    hidden = [weights.shape(f"{name}.weight", 2)[0] for name in linear]
    arguments: dict[str, Any] = {"features": features, "hidden": hidden[:2]}
    beta, bandwidths = said.max_beta(len(features)), said.list_of(int, "bandlimit")
    published = tuple(features) == _DEEP_FEATURES and beta is None and bandwidths is None
    if not published:
        arguments["bandwidths"] = said.need("bandwidths", bandwidths)
        arguments["max_beta"] = said.need("max_beta", beta)
    # The MNIST classifiers name no image size where it is the usual one.
    grid = said.equiangular(_CLASSIFIER_BANDWIDTH if published or bandwidths else None)
    state = {
        re.sub(f"^{dense}", "linear", re.sub(f"^{convolutions}", "convolutional", name)): tensor
        for name, tensor in weights.all().items()
    }
    return _Found("s2cnn_deep_classifier", arguments, grid, shapes[0][0], hidden[2], state)


def _read_cnn_segmenter(weights: _Weights, said: _Said) -> _Found:
    width, in_chans, kernel, _ = weights.shape("input_layer.weight", 4)
    _, num_classes, _, _ = weights.shape("out_layer.weight", 4)
    layers = range(weights.count("downsample_layers.{}."))
    down = [weights.shape(f"downsample_layers.{i}.weight", 4) for i in layers]
    skips = weights.count("skip_down_conv_layers.{}.") > 0
    state = weights.all()
    strides = said.list_of(int, "strides")
    if strides is None and "size" not in said.given:
        grid = said.equiangular(_SEGMENTER_BANDWIDTH)
        for name in list_models("cnn_segmenter_*"):
            if _fits(state, name, grid, in_chans, num_classes, use_skips=skips):
                return _Found(name, {"use_skips": skips}, grid, in_chans, num_classes, state)
    size = {
        "features": [width, *(shape[0] for shape in down)],
        "kernel_sizes": [kernel, *(shape[2] for shape in down)],
        "strides": strides,
    }
    arguments = {
        "size": said.need("size", None if strides is None else size),
        "use_skips": skips,
    }
    grid = said.equiangular(None)
    return _Found("cnn_segmenter", arguments, grid, in_chans, num_classes, state)


def _fits(state: Mapping[str, Tensor], name: str, *sizes: Any, **arguments: Any) -> bool:
    """Whether a model has these parameters; no memory is taken for them."""
    try:
        with torch.device("meta"):
            model = create_model(name, *sizes, **arguments)
    except ValueError:
        return False
    shapes = {key: value.shape for key, value in model.state_dict().items()}
    return shapes == {key: value.shape for key, value in state.items()}


def _read_mnist_cnn(weights: _Weights, said: _Said) -> _Found:
    _refuse_other_activations(said)
    others = {name.split(".")[1] for name in weights.stored if name.startswith("dense.")}
    if others != {"0"} or len(weights.stored["dense.0.weight"].shape) != 2:
        raise ValueError(
            "healswin's CNN for classification has one linear layer behind its convolutions and no "
            f"batch norm: this one has the layers {sorted(others)} in 'dense'"
        )
    layers = [f"conv.{i}.weight" for i in range(0, 2 * len(weights.stored), 2)]
    shapes = [weights.shape(name, 4) for name in layers if name in weights]
    size = {
        "features": [shape[0] for shape in shapes],
        "kernel_sizes": [shape[2] for shape in shapes],
        "strides": said.list_of(int, "strides"),
    }
    renamed = {
        re.sub(r"^conv\.(\d+)", lambda m: f"layers.{int(m[1]) // 2}", name): tensor
        for name, tensor in weights.all().items()
    }
    state = {re.sub(r"^dense\.0", "out_layer", name): tensor for name, tensor in renamed.items()}
    num_classes = weights.shape("dense.0.weight", 2)[0]
    arguments = {"size": said.need("size", size)}
    grid = said.equiangular(_CLASSIFIER_BANDWIDTH)
    return _Found("cnn_classifier", arguments, grid, shapes[0][1], num_classes, state)


def _refuse_other_activations(said: _Said) -> None:
    activation = said.value(str, "activation_fn")
    if activation not in (None, "ReLU"):
        raise ValueError(f"activation_fn={activation!r}: healswin's network has ReLU")


_LAYOUTS = (
    _Layout(("patch_embed.proj.weight", "decoder.output.weight"), "segmentation", _read_heal_swin),
    _Layout(
        ("patch_embed.proj.weight", "concat_back_dim.1.weight", "output.weight"),
        "segmentation",
        _read_flat,
    ),
    _Layout(("input_layer.kernel", "output_layer.kernel"), "segmentation", _read_s2cnn_segmenter),
    _Layout(("conv1.kernel", "conv2.kernel"), "classification", _read_s2cnn_classifier),
    _Layout(("convolutional.0.kernel", "linear.0.weight"), "classification", _read_s2cnn_deep),
    _Layout(("conv.0.kernel", "dense.0.weight"), "classification", _read_mnist_s2cnn),
    _Layout(
        ("input_layer.weight", "downsample_layers.0.weight", "upsample_layers.0.weight"),
        "segmentation",
        _read_cnn_segmenter,
    ),
    _Layout(("conv.0.weight", "dense.0.weight"), "classification", _read_mnist_cnn, "strides"),
)


# What a file says.


def _state_of(file: TorchFile) -> dict[str, StoredTensor]:
    """The tensors of the file's state dict."""
    value = file.value
    if isinstance(value, Record):
        raise ValueError(
            f"{file.path} holds a pickled object of {value.kind}, not a checkpoint or a state dict"
        )
    if not isinstance(value, dict):
        raise ValueError(f"{file.path} holds a {type(value).__name__}, not a state dict")
    state = value.get("state_dict", value)
    if not isinstance(state, dict):
        raise ValueError(f"{file.path} has a state_dict that is no dictionary")
    try:
        described = {name: stored_tensor(v) for name, v in state.items() if isinstance(name, str)}
    except ValueError as error:
        raise ValueError(f"{file.path} has {error}") from None
    return {name: tensor for name, tensor in described.items() if tensor is not None}


def _recognised(checkpoint: Any, state: Mapping[str, StoredTensor]) -> tuple[_Layout, str] | None:
    """Layout and prefix of a published network in a state dict.

    This library's own checkpoints have some of the same names behind ``network.``.
    """
    hyperparameters = _plain(checkpoint.get("hyper_parameters"))
    for layout in _LAYOUTS:
        if layout.hyperparameter is not None and not any(
            layout.hyperparameter in table for table in _tables(hyperparameters)
        ):
            continue
        for name in state:
            prefix = name.removesuffix(layout.names[0])
            if prefix == name or (prefix and not prefix.endswith(".")):
                continue
            own = prefix.startswith("network.") or prefix.endswith("encoder.")
            if not own and all(prefix + other in state for other in layout.names):
                return layout, prefix
    return None


def _settings(file: TorchFile) -> dict[str, Any]:
    """What the hyperparameters of a checkpoint and the files beside it say."""
    settings = {"hyper_parameters": _plain(file.value.get("hyper_parameters"))}
    for name in _BESIDE:
        beside = file.path.parent / name
        if beside.is_file():
            settings[name] = _plain(read_pickle_file(beside))
    return settings


def _tables(settings: Any) -> Iterator[dict[str, Any]]:
    """All dictionaries inside plain values, the outer ones first."""
    waiting, seen = deque([settings]), set()
    while waiting:
        value = waiting.popleft()
        if id(value) in seen or not isinstance(value, dict | list | tuple):
            continue
        seen.add(id(value))
        if isinstance(value, dict):
            yield value
        waiting.extend(value.values() if isinstance(value, dict) else value)


def _plain(value: Any) -> Any:
    """Plain values for records: fields of an object, value of an enum, path, number of numpy.

    Objects that lie in several places of a pickle are converted once, so that no pickle can be
    larger here than it was.
    """
    return _Plainer().plain(value, 0)


class _Plainer:
    def __init__(self) -> None:
        self.done: dict[int, Any] = {}

    def plain(self, value: Any, depth: int) -> Any:
        if depth > _MAX_DEPTH:
            raise ValueError(f"a configuration with more than {_MAX_DEPTH} levels")
        if isinstance(value, Reference):
            return str(value)
        if not isinstance(value, dict | list | tuple | Record):
            return value
        if id(value) not in self.done:
            self._convert(value, depth + 1)
        return self.done[id(value)]

    def _convert(self, value: Any, depth: int) -> None:
        if isinstance(value, list | tuple):
            items: list[Any] = []
            self.done[id(value)] = items
            items.extend(self.plain(item, depth) for item in value)
            return
        if isinstance(value, Record):
            single = _single(value)
            if single is not None:
                self.done[id(value)] = self.plain(single, depth)
                return
        fields: dict[Any, Any] = {}
        self.done[id(value)] = fields
        for key, item in _fields(value):
            if isinstance(key, str):
                fields[key] = self.plain(item, depth)


def _fields(value: dict[Any, Any] | Record) -> Iterator[tuple[Any, Any]]:
    """Fields of an object, and what it holds as a dictionary."""
    if isinstance(value, dict):
        yield from value.items()
        return
    # A class with __slots__ has a pair: of its dictionary, and of its slots.
    for part in value.state if isinstance(value.state, tuple) else (value.state,):
        if isinstance(part, dict):
            yield from part.items()
    yield from value.entries


def _single(record: Record) -> Any:
    """The one value that a record of an enum, a path or a number of numpy stands for, or None."""
    module = record.kind.module if isinstance(record.kind, Reference) else ""
    name = record.kind.name if isinstance(record.kind, Reference) else ""
    if module == "pathlib" and all(isinstance(part, str) for part in record.args):
        return "/".join(record.args).replace("//", "/")
    if name == "scalar" and module in ("numpy.core.multiarray", "numpy._core.multiarray"):
        return _numpy_scalar(record)
    plain_call = record.state is None and not record.items and not record.entries
    if plain_call and len(record.args) == 1 and isinstance(record.args[0], str | int | float):
        return record.args[0]
    return None


def _numpy_scalar(record: Record) -> Any:
    """A number that numpy pickled: its type, "f8" for instance, and its bytes."""
    kind, data = (*record.args, None, None)[:2]
    code = kind.args[0] if isinstance(kind, Record) and kind.args else None
    if isinstance(data, Record) and data.args and isinstance(data.args[0], str):
        # Up to protocol 2 bytes are a text to be encoded.
        data = data.args[0].encode("latin-1", "replace")
    if not isinstance(code, str) or not re.fullmatch(r"[fiub][1248]", code):
        return None
    dtype = np.dtype(code).newbyteorder("<")
    if not isinstance(data, bytes) or len(data) != dtype.itemsize:
        return None
    return np.frombuffer(data, dtype)[0].item()
