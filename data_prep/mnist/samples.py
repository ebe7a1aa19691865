"""Single samples, drawn and projected, and whole shards of them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from data_prep.mnist.canvas import boxes, compose, place_items
from data_prep.mnist.drawing import Part
from data_prep.mnist.plan import Plan
from data_prep.mnist.projection import Projector, published_picture, published_positions
from healswin.data.writer import ShardWriter


class Drawer:
    """Draws single samples; holds the tables of one process."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        grid = plan.conversion.pixels()
        self._projector = Projector(grid, plan.canvas_side)
        self._vectors = grid.vectors()
        self._boxes = {
            name: boxes(pictures.images) for name, pictures in plan.originals.parts.items()
        }

    def __call__(self, index: int) -> dict[str, Any]:
        """Everything about a sample.

        Args:
            index: Its number in the set.

        Returns:
            "image" (pixels,) uint8, "semantic" (pixels,) uint8, "label" and "originals", the
            numbers of the pictures that it shows in their part of the source.
        """
        plan, conversion = self._plan, self._plan.conversion
        part, number = plan.part_of(index)
        canvas, owner, shown = self._canvas(part, number)
        rotation = part.rotation(conversion.seed, number)
        if conversion.published:
            turned = self._vectors if rotation is None else self._vectors @ rotation.T
            positions = published_positions(turned, plan.canvas_side)
            rows, columns = positions.T
            image = published_picture(canvas, positions)
        else:
            rows, columns = self._projector.positions(rotation)
            image = self._projector.picture(canvas, rows, columns)
        labels = plan.originals.parts[part.source].labels[shown]
        return {
            "image": image,
            "semantic": mask(image, rows, columns, owner, conversion.threshold),
            "label": int(labels[0]),
            "originals": shown.tolist(),
        }

    def _canvas(self, part: Part, number: int) -> tuple[np.ndarray, np.ndarray | int, np.ndarray]:
        """The canvas, the class of each of its pixels (one number if it is the same), the items."""
        plan, items = self._plan, self._plan.conversion.items
        pictures = plan.originals.parts[part.source]
        if items == 1 and plan.canvas_side == plan.originals.side:
            # The picture as it is: nothing is drawn at random.
            shown = part.shown(number, 1, None)
            return pictures.images[shown[0]], int(pictures.labels[shown[0]]) + 1, shown
        rng = part.placing(plan.conversion.seed, number)
        shown = part.shown(number, items, rng)
        found = self._boxes[part.source][shown]
        places = place_items(found, plan.originals.side, plan.canvas_side, rng)
        classes = (pictures.labels[shown].astype(int) + 1).tolist()
        canvas, owner = compose(
            list(pictures.images[shown]), classes, found, places, plan.canvas_side
        )
        return canvas, owner, shown


def mask(
    image: UInt8[np.ndarray, " pixels"],
    rows: Float[np.ndarray, " pixels"],
    columns: Float[np.ndarray, " pixels"],
    owner: UInt8[np.ndarray, "side side"] | int,
    threshold: int,
) -> UInt8[np.ndarray, " pixels"]:
    """The class of every pixel of a projected picture, 0 where there is no item.

    The picture is compared with the threshold on the sphere, not on the canvas, as in the published
    sets: borders of masks are as smooth as those of the picture. Which item it is, the nearest
    pixel of the canvas says.

    Args:
        image: The picture.
        rows: Where its pixels are on the canvas; pixel (i, j) of the canvas is at (i, j).
        columns: Likewise.
        owner: The class of the item there, or of the only one.
        threshold: Items are brighter.
    """
    seen = image > threshold
    if isinstance(owner, int):
        return seen * np.uint8(owner)
    classes = np.zeros_like(image)
    place = np.flatnonzero(seen)
    last = len(owner) - 1
    row, column = (np.clip(np.rint(c[place]), 0, last).astype(np.int64) for c in (rows, columns))
    classes[place] = owner[row, column]
    return classes


@dataclass(frozen=True)
class ShardJob:
    """What the workers do: picklable, and called once in each of them.

    Args:
        plan: What to make.
        partial: Where (`PreparedSetWriter.partial`).
        shard: Samples of a shard.
    """

    plan: Plan
    partial: Path
    shard: int

    def __call__(self) -> ShardMaker:
        """The function that makes a shard."""
        return ShardMaker(self)


class ShardMaker:
    """Makes shards; holds the tables of one process."""

    def __init__(self, job: ShardJob) -> None:
        self._plan = job.plan
        self._shard = job.shard
        self._draw = Drawer(job.plan)
        self._writer = ShardWriter(job.partial, job.plan.names)

    def __call__(self, shard: int) -> tuple[int, dict[str, Any]]:
        """Write one shard of every array.

        Returns:
            Its number, and of its samples as JSON values: "originals", and "training", what those
            of the training part add to the statistics, if there are any.
        """
        plan = self._plan
        first = shard * self._shard
        samples = min(self._shard, plan.samples - first)
        values = {
            name: np.empty((samples, *shape[1:]), dtype)
            for name, (shape, dtype) in plan.arrays().items()
            if name in plan.names
        }
        shown = []
        for place in range(samples):
            sample = self._draw(first + place)
            for name, array in values.items():
                array[place] = sample[name][:, None] if name == "image" else sample[name]
            shown.append(sample["originals"])
        self._writer.write(shard, values)
        facts: dict[str, Any] = {"originals": shown}
        training = min(samples, plan.parts[0].count - first)
        if training > 0:
            facts["training"] = _sums(values, training, len(plan.class_names))
        return shard, facts


def _sums(values: dict[str, np.ndarray], samples: int, num_classes: int) -> dict[str, Any]:
    """What the first samples of a shard add to the statistics (`data_prep.stats.sample_sums`).

    Everything follows from how often each of the 256 grey levels occurs.
    """
    counts = _histogram(values["image"][:samples])
    levels = np.arange(256)
    sums: dict[str, Any] = {
        "image": {
            "count": int(counts.sum()),
            "scale": 255,
            "sum": [int((counts * levels).sum())],
            "sum_squares": [int((counts * levels**2).sum())],
        }
    }
    if "semantic" in values:
        sums["classes"] = _histogram(values["semantic"][:samples])[:num_classes].tolist()
    return sums


def _histogram(values: UInt8[np.ndarray, "samples ..."]) -> np.ndarray:
    """OpenCV counts in float32, exact up to 2^24, which a shard does not reach."""
    counted = cv2.calcHist([values.reshape(len(values), -1)], [0], None, [256], [0, 256])
    return counted.ravel().astype(np.int64)
