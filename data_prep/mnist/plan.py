"""What a preparation will make: its arguments, checked against the pictures of the source."""

from __future__ import annotations

import colorsys
import dataclasses
from dataclasses import dataclass
from typing import Any

import numpy as np

import healswin
from data_prep.mnist.canvas import most_items
from data_prep.mnist.conversion import MnistConversion
from data_prep.mnist.drawing import PARTS, Part, make_parts
from data_prep.mnist.originals import Originals, find_originals
from data_prep.mnist.projection import UP, canvas_positions
from data_prep.stats import totals
from healswin.data.store import IGNORE_INDEX

# The one row of `valid`: the sphere knows a value everywhere, the background is one.
VALID_KEY = "sphere"

# What the set's north pole is: the point from which the canvas is seen (`projection`).
POLE = "projection"

BACKGROUND = "background"
_BACKGROUND_COLOUR = (44, 46, 54)

# Samples of a shard: so many bytes of an image array at most, and so many samples.
_SHARD_BYTES = 2**22
_SHARD_SAMPLES = 1024


@dataclass(frozen=True)
class Plan:
    """A conversion whose source was read; made by `make_plan`, and sent to every worker.

    Args:
        conversion: The arguments; nothing is left open.
        originals: The pictures.
        parts: The parts of the split in the order of their samples.
    """

    conversion: MnistConversion
    originals: Originals
    parts: list[Part]

    @property
    def samples(self) -> int:
        """Number of samples."""
        return sum(part.count for part in self.parts)

    @property
    def names(self) -> list[str]:
        """The arrays that have samples."""
        return ["image", *self.conversion.tasks]

    @property
    def canvas_side(self) -> int:
        """Pixels along a side of the canvas."""
        return self.conversion.canvas

    @property
    def class_names(self) -> list[str]:
        """What a pixel can show."""
        if "semantic" not in self.conversion.tasks:
            return []
        return [BACKGROUND, *self.originals.label_names]

    @property
    def shard(self) -> int:
        """Samples of a shard."""
        pixels = self.conversion.pixels().num_pixels
        return max(1, min(_SHARD_SAMPLES, _SHARD_BYTES // pixels))

    def part_of(self, index: int) -> tuple[Part, int]:
        """The part of a sample, and its number there.

        Raises:
            IndexError: If there is no such sample.
        """
        for part in self.parts:
            if index < part.count:
                return part, index
            index -= part.count
        raise IndexError(f"sample {index} behind the last one")

    def as_json(self) -> dict[str, Any]:
        """What a resumed conversion must have in common with the one that began."""
        return {
            **self.conversion.arguments(),
            "tool_version": healswin.__version__,
            "label_names": list(self.originals.label_names),
            "source_files": self.originals.files,
        }

    def arrays(self) -> dict[str, tuple[tuple[int, ...], str]]:
        """Shape and dtype of every array."""
        samples, pixels = self.samples, self.conversion.pixels().num_pixels
        arrays = {
            "image": ((samples, pixels, 1), "uint8"),
            "label": ((samples,), "int64"),
            "semantic": ((samples, pixels), "uint8"),
        }
        return {name: arrays[name] for name in self.names} | {"valid": ((1, pixels), "bool")}

    def attributes(self, finished: list[dict[str, Any]]) -> dict[str, Any]:
        """The set's attributes (all but the format's own).

        Args:
            finished: What was recorded of each shard, in their order.
        """
        conversion, originals, names = self.conversion, self.originals, self.class_names
        grid = conversion.pixels().to_dict()
        numbers = [(part, number) for part in self.parts for number in range(part.count)]
        ends = np.cumsum([part.count for part in self.parts]).tolist()
        shown = [facts["originals"] for facts in finished]
        return {
            "tool_version": healswin.__version__,
            **grid,
            **({"order": "nested"} if grid["grid"] == "healpix" else {}),
            "pole": POLE,
            "up": list(UP),
            "tasks": list(conversion.tasks),
            "image_dtype": "uint8",
            "class_names": names,
            "class_colours": _colours(len(originals.label_names)) if names else [],
            "class_map": list(range(1, len(names))),
            "published_class_weights": None,
            "label_names": list(originals.label_names) if "label" in conversion.tasks else [],
            "ignore_index": IGNORE_INDEX,
            "invalid": "ignore",
            "crop": [0, 0, 0, 0],
            "cameras": [{"key": VALID_KEY, "calibration": None}],
            "own_vehicle": {},
            "sample_names": [f"{part.name}_{number:06d}" for part, number in numbers],
            "sample_camera": [VALID_KEY] * self.samples,
            "sample_originals": [items for of_shard in shown for items in of_shard],
            "source_root": originals.root,
            "source_files": originals.files,
            "sources": [{}] * self.samples,
            "skipped": [],
            "split": {
                part.name: list(range(end - part.count, end))
                for part, end in zip(self.parts, ends, strict=True)
            },
            **totals([facts["training"] for facts in finished if "training" in facts]),
            **self._label_attributes(),
            "conversion": conversion.arguments(),
        }

    def _label_attributes(self) -> dict[str, Any]:
        if "label" not in self.conversion.tasks:
            return {}
        part = self.parts[0]
        repeated = np.arange(part.count) % part.originals
        labels = self.originals.parts[part.source].labels[part.first + repeated]
        counts = np.bincount(labels, minlength=len(self.originals.label_names))
        return {"label_frequencies": (counts / part.count).tolist()}


def make_plan(conversion: MnistConversion) -> Plan:
    """Read the source and check the arguments against it.

    Raises:
        ValueError: If an argument or a source file is wrong; the message names it.
        RuntimeError: If the source has to be downloaded and cannot be.
    """
    originals = find_originals(conversion.source)
    parts = make_parts(
        (conversion.train, conversion.val, conversion.test),
        len(originals.parts["train"]),
        len(originals.parts["test"]),
        conversion.rotated,
        conversion.rotation_block,
    )
    counts = dict.fromkeys(PARTS, 0) | {part.name: part.count for part in parts}
    canvas = conversion.canvas or originals.side
    plan = Plan(dataclasses.replace(conversion, canvas=canvas, **counts), originals, parts)
    held = most_items(originals.side, plan.canvas_side)
    if conversion.items > held:
        raise ValueError(
            f"items={conversion.items}: a canvas of {plan.canvas_side} x {plan.canvas_side} holds "
            f"{held} pictures of {originals.side} x {originals.side}"
        )
    if any(not part.rotated for part in plan.parts):
        positions = canvas_positions(conversion.pixels().vectors(), plan.canvas_side)
        on_canvas = (positions >= -0.5) & (positions <= plan.canvas_side - 0.5)
        if not on_canvas.all(axis=-1).any():
            raise ValueError(
                f"base_pixels={conversion.base_pixels} see nothing of an upright canvas, which is "
                "around the south pole"
            )
    return plan


def _colours(labels: int) -> list[list[int]]:
    """The background's colour, then one hue for each label, bright and less bright in turn."""
    colours = [list(_BACKGROUND_COLOUR)]
    for label in range(labels):
        light = 0.95 if label % 2 == 0 else 0.72
        channels = colorsys.hsv_to_rgb(label / labels, 0.75, light)
        colours.append([round(255 * channel) for channel in channels])
    return colours
