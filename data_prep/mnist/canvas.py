"""Canvases: one picture as it is, or several items at random places without overlap."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Int64, UInt8

# Attempts at free places for all items before they go into cells of a raster, and attempts for
# each item before all begin anew.
_ROUNDS = 30
_TRIES = 30


def most_items(side: int, canvas_side: int) -> int:
    """How many pictures fit onto a canvas whatever they show: those of a raster.

    Args:
        side: Pixels along a side of a picture.
        canvas_side: Pixels along a side of the canvas.
    """
    return (canvas_side // side) ** 2


def boxes(images: UInt8[np.ndarray, "count side side"]) -> Int64[np.ndarray, "count 4"]:
    """The smallest box around all of a picture that is not background.

    Args:
        images: Grey levels.

    Returns:
        First row, last row + 1, first column, last column + 1; the whole picture where it is empty.
    """
    side = images.shape[1]
    found = []
    for axis in (2, 1):  # what is left are rows, then columns
        seen = images.any(axis=axis)
        seen |= ~seen.any(axis=1, keepdims=True)
        found += [seen.argmax(axis=1), side - seen[:, ::-1].argmax(axis=1)]
    return np.stack(found, axis=1).astype(np.int64)


def place_items(
    boxes: Int64[np.ndarray, "items 4"], side: int, canvas_side: int, rng: np.random.Generator
) -> list[tuple[int, int]]:
    """Where items go, so that their boxes do not overlap.

    Every place of the canvas is as likely for an item as any other that is free. Where the last
    ones find no place all begin anew; where they never do (clothes that fill their pictures), each
    goes into a cell of its own of a raster as wide as the pictures.

    Args:
        boxes: Of each item, see `boxes`; only their sizes count.
        side: Pixels along a side of the pictures that they are from.
        canvas_side: Pixels along a side of the canvas; it holds all of them (`most_items`).
        rng: Decides the places.

    Returns:
        Row and column of the upper left corner of each item's box.
    """
    sizes = np.stack([boxes[:, 1] - boxes[:, 0], boxes[:, 3] - boxes[:, 2]], axis=1)
    for _ in range(_ROUNDS):
        places = _places_at_random(sizes, canvas_side, rng)
        if places is not None:
            return places
    return _places_in_raster(sizes, side, canvas_side, rng)


def compose(
    images: Sequence[UInt8[np.ndarray, "side side"]],
    classes: Sequence[int],
    boxes: Int64[np.ndarray, "items 4"],
    places: Sequence[tuple[int, int]],
    canvas_side: int,
) -> tuple[UInt8[np.ndarray, "canvas canvas"], UInt8[np.ndarray, "canvas canvas"]]:
    """The canvas with all items, and whose item each pixel belongs to.

    Args:
        images: The pictures.
        classes: The class of each item's pixels.
        boxes: Of each item.
        places: Of each item, from `place_items`.
        canvas_side: Pixels along a side of the canvas.

    Returns:
        Grey levels, and the class of the item in or next to whose box a pixel lies: a picture on
        the sphere is smooth, so that an item reaches up to a pixel beyond its box. 0 elsewhere.
    """
    canvas = np.zeros((canvas_side, canvas_side), dtype=np.uint8)
    owner = np.zeros((canvas_side, canvas_side), dtype=np.uint8)
    for margin in (1, 0):
        for number, (top, left), box in zip(classes, places, boxes, strict=True):
            bottom, right = top + box[1] - box[0], left + box[3] - box[2]
            rows = slice(max(top - margin, 0), bottom + margin)
            owner[rows, max(left - margin, 0) : right + margin] = number
    for image, (top, left), box in zip(images, places, boxes, strict=True):
        item = image[box[0] : box[1], box[2] : box[3]]
        canvas[top : top + item.shape[0], left : left + item.shape[1]] = item
    return canvas, owner


def _places_at_random(
    sizes: Int64[np.ndarray, "items 2"], canvas_side: int, rng: np.random.Generator
) -> list[tuple[int, int]] | None:
    # All draws at once: a single one costs as much.
    draws = rng.random((len(sizes), _TRIES, 2))
    corners = np.floor(draws * (canvas_side - sizes + 1)[:, None]).astype(np.int64)
    places: list[tuple[int, int]] = []
    for item, size in enumerate(sizes):
        free = np.ones(_TRIES, dtype=bool)
        for other, place in enumerate(places):
            before = corners[item] + size <= place
            behind = corners[item] >= np.add(place, sizes[other])
            free &= (before | behind).any(axis=1)
        if not free.any():
            return None
        row, column = corners[item, free.argmax()].tolist()
        places.append((row, column))
    return places


def _places_in_raster(
    sizes: Int64[np.ndarray, "items 2"], side: int, canvas_side: int, rng: np.random.Generator
) -> list[tuple[int, int]]:
    cells = canvas_side // side
    width = canvas_side // cells
    chosen = rng.permutation(cells**2)[: len(sizes)]
    corners = np.stack(np.divmod(chosen, cells), axis=1) * width
    inside = np.floor(rng.random((len(sizes), 2)) * (width - sizes + 1)).astype(np.int64)
    return [tuple(place) for place in (corners + inside).tolist()]
