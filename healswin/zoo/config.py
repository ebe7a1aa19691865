"""Everything that the construction and use of a trained model need, as plain JSON."""

from __future__ import annotations

import dataclasses
import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from healswin.cameras.base import POLES
from healswin.data.transforms import DEPTH_TRANSFORMS
from healswin.grid import Grid, grid_from_dict

FORMAT_VERSION = 1
TASKS = ("segmentation", "classification", "depth")
CARD_FIELDS = ("data", "licence", "command", "hardware", "limits")

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


def check_name(name: object) -> str:
    """A model's name, if it can also be the name of a folder.

    Raises:
        ValueError: If it cannot.
    """
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise ValueError(
            f"name={name!r} must be letters, digits, '.', '_' and '-', and begin with a letter or "
            "digit, e.g. 'healswin_tiny.street'"
        )
    return name


@dataclass(frozen=True)
class ModelConfig:
    """What ``config.json`` says of a trained model.

    Args:
        name: Of the model, e.g. "healswin_tiny.street".
        task: "segmentation", "classification" or "depth".
        model: Name of the network, one of `healswin.list_models`.
        arguments: Of the network beyond grid and channels, as plain JSON values.
        grid: The pixels of the maps as plain values, see `healswin.grid.grid_from_dict`.
        in_chans: Channels of the input.
        num_classes: Channels of the output.
        pole: What the grid's north pole is, see `healswin.cameras.pole_rotation`.
        up: Unit vector (x, y, z) of the map that points up in the world; None if not known.
        class_names: The classes of the pixels, or of the whole map; empty if they have no names.
        class_colours: RGB of each class, 0 to 255; may be empty.
        image_dtype: How images are stored: "uint8", or "float32" for maps of measured values.
        image_mean: Mean of each channel, of value / 255 for uint8; empty if not known.
        image_std: Standard deviation of each channel, likewise.
        depth: For depth only: ``transform`` "none", "log" or "inverse" of metres, ``mean`` and
            ``std`` of what it gives, ``log_variance``: whether a second channel is the logarithm
            of the variance; ``min`` and ``max`` of the metres where they are known.
        data: ``name`` and ``fingerprint`` of the data set the weights were trained on.
        metrics: Name and value of what was measured, of the weights as they are stored.
        card: Text of the model card under the names of `healswin.zoo.ModelCard`.
        format_version: Of this description.

    Raises:
        ValueError: If a value is not what it must be; the message names it.
    """

    name: str
    task: str
    model: str
    arguments: dict[str, Any]
    grid: dict[str, Any]
    in_chans: int
    num_classes: int
    pole: str = "camera"
    up: tuple[float, float, float] | None = None
    class_names: tuple[str, ...] = ()
    class_colours: tuple[tuple[int, int, int], ...] = ()
    image_dtype: str = "uint8"
    image_mean: tuple[float, ...] = ()
    image_std: tuple[float, ...] = ()
    depth: dict[str, Any] | None = None
    data: dict[str, str] = field(default_factory=dict)
    metrics: dict[str, float] = field(default_factory=dict)
    card: dict[str, str] = field(default_factory=dict)
    format_version: int = FORMAT_VERSION

    def __post_init__(self) -> None:
        if self.format_version != FORMAT_VERSION:
            raise ValueError(
                f"format_version={self.format_version!r} is not known, this version of healswin "
                f"reads {FORMAT_VERSION}"
            )
        check_name(self.name)
        _check_choice("task", self.task, TASKS)
        # "projection": of pictures that were projected onto the sphere, which no camera took.
        _check_choice("pole", self.pole, (*POLES, "projection"))
        _check_choice("image_dtype", self.image_dtype, ("uint8", "float32"))
        if not isinstance(self.model, str) or not self.model:
            raise ValueError(f"model={self.model!r} must be one of healswin.list_models()")
        for name in ("in_chans", "num_classes"):
            value = getattr(self, name)
            if type(value) is not int or value < 1:
                raise ValueError(f"{name}={value!r} must be a whole number of at least 1")
        # The same values whether they come from Python or from a file: lists, not tuples.
        for name in ("arguments", "grid", "depth", "data", "metrics", "card"):
            self._set(name, _plain(name, getattr(self, name), optional=name == "depth"))
        self._set("grid", grid_from_dict(self.grid).to_dict())
        if self.up is not None:
            self._set("up", _numbers("up", self.up, 3))
        self._check_classes()
        for name in ("image_mean", "image_std"):
            values = getattr(self, name)
            self._set(name, _numbers(name, values, self.in_chans) if len(values) else ())
        if bool(self.image_mean) != bool(self.image_std) or any(s < 0 for s in self.image_std):
            raise ValueError(
                f"image_std={self.image_std} must have one number of at least 0 for each in "
                f"image_mean={self.image_mean}"
            )
        self._check_depth()
        for name, texts in (("data", self.data), ("card", self.card)):
            if not all(isinstance(text, str) for text in texts.values()):
                raise ValueError(f"{name}={texts} must be texts")
        if set(self.card) - set(CARD_FIELDS):
            raise ValueError(f"card has {sorted(self.card)}, known are {CARD_FIELDS}")
        if not all(_is_number(value) for value in self.metrics.values()):
            raise ValueError(f"metrics={self.metrics} must be finite numbers")

    def _check_classes(self) -> None:
        names, colours = self.class_names, self.class_colours
        if isinstance(names, str) or not all(isinstance(name, str) for name in names):
            raise ValueError(f"class_names={names!r} must be a list of names")
        if names and (self.task == "depth" or len(names) != self.num_classes):
            raise ValueError(
                f"class_names={list(names)} must name the num_classes={self.num_classes} classes "
                "of a segmentation or classification, or be empty"
            )
        if colours and len(colours) != self.num_classes:
            raise ValueError(
                f"class_colours has {len(colours)} colours for num_classes={self.num_classes}"
            )
        for colour in colours:
            if len(colour) != 3 or not all(type(c) is int and 0 <= c <= 255 for c in colour):
                raise ValueError(
                    f"class_colours has {colour}, must be 3 whole numbers from 0 to 255"
                )
        self._set("class_names", tuple(names))
        self._set("class_colours", tuple(tuple(colour) for colour in colours))

    def _check_depth(self) -> None:
        if (self.task == "depth") != (self.depth is not None):
            raise ValueError(
                f"depth={self.depth} with task={self.task!r}: a depth model states its transform, "
                "others have None"
            )
        if self.depth is None:
            return
        expected = {"transform", "mean", "std", "log_variance"}
        # Published checkpoints do not state the limits.
        if set(self.depth) - {"min", "max"} != expected:
            raise ValueError(f"depth has {sorted(self.depth)}, must have {sorted(expected)}")
        limits = [self.depth[name] for name in ("min", "max") if name in self.depth]
        if limits and not (all(map(_is_number, limits)) and 0 < limits[0] <= limits[-1]):
            raise ValueError(f"depth has min, max = {limits}: metres above 0, in this order")
        if len(limits) == 1:
            raise ValueError(f"depth has {sorted(self.depth)}, must have both min and max or none")
        _check_choice("depth.transform", self.depth["transform"], DEPTH_TRANSFORMS)
        mean, std = self.depth["mean"], self.depth["std"]
        if not (_is_number(mean) and _is_number(std) and std > 0):
            raise ValueError(f"depth has mean={mean!r} and std={std!r}: numbers, std above 0")
        if not isinstance(self.depth["log_variance"], bool):
            raise ValueError(f"depth.log_variance={self.depth['log_variance']!r} must be a bool")
        channels = 2 if self.depth["log_variance"] else 1
        if self.num_classes != channels:
            raise ValueError(f"num_classes={self.num_classes} must be {channels} with {self.depth}")

    def _set(self, name: str, value: object) -> None:
        object.__setattr__(self, name, value)

    def make_grid(self) -> Grid:
        """The grid of the maps."""
        return grid_from_dict(self.grid)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values; `from_dict` gives an equal configuration."""
        return json.loads(json.dumps(dataclasses.asdict(self)))

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> ModelConfig:
        """The configuration that plain values describe.

        Raises:
            ValueError: If it is of another format version, a field is missing or not known, or a
                value is not what it must be.
        """
        if not isinstance(values, Mapping):
            raise ValueError(f"the configuration is {type(values).__name__}, not a table of fields")
        version = values.get("format_version")
        if version != FORMAT_VERSION:
            raise ValueError(
                f"format_version={version!r} is not known, this version of healswin reads "
                f"{FORMAT_VERSION}"
            )
        fields = {f.name: f for f in dataclasses.fields(cls)}
        unknown = sorted(set(values) - set(fields))
        if unknown:
            raise ValueError(f"fields {unknown} are not known, known are {list(fields)}")
        missing = [
            name
            for name, f in fields.items()
            if name not in values
            and f.default is dataclasses.MISSING
            and f.default_factory is dataclasses.MISSING
        ]
        if missing:
            raise ValueError(f"fields {missing} are missing")
        for name in ("up", "class_names", "class_colours", "image_mean", "image_std"):
            value = values.get(name, [])
            if not isinstance(value, list | tuple) and not (name == "up" and value is None):
                raise ValueError(f"{name}={value!r} must be a list")
        return cls(**values)


def _check_choice(name: str, value: object, choices: Sequence[str]) -> None:
    if value not in choices:
        raise ValueError(f"{name}={value!r} must be one of {tuple(choices)}")


def _plain(name: str, value: object, optional: bool) -> dict[str, Any] | None:
    if value is None and optional:
        return None
    try:
        if isinstance(value, Mapping):
            return json.loads(json.dumps(dict(value), allow_nan=False))
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name}={value!r} must be plain JSON values: {error}") from None
    raise ValueError(f"{name}={value!r} must be a table of names and values")


def _is_number(value: object) -> bool:
    return type(value) in (int, float) and math.isfinite(value)


def _numbers(name: str, values: Sequence[float], count: int) -> tuple[float, ...]:
    if len(values) != count or not all(_is_number(value) for value in values):
        raise ValueError(f"{name}={values} must be {count} finite numbers")
    return tuple(float(value) for value in values)
