"""Who attends to whom: the tables of one partition of a stage's tokens into blocks of queries.

Windows, shifted windows, discs and "everybody" are the same thing with other tables. The tokens are
taken in blocks of q queries, in an order of their own; block b attends to k keys. In windows the
queries are the keys. Discs gather their keys from all tokens, and each query sees its own part of
them. Nothing here is computed in a forward pass.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from healswin.grid import HealpixGrid, WindowShift, discs, turn_classes

Pairs = Literal["none", "radial", "frame"]

# What is added to the logits of pairs that do not attend. Published weights were trained with a
# finite value; where a strategy is ours nothing at all leaks.
PUBLISHED_MASK = -100.0
EXACT_MASK = -np.inf

# Distances, in pixel spacings, that differ by less are one distance: far above the rounding of
# float64, far below what a grid can tell apart.
_SAME_DISTANCE = 1e-9


class Neighbourhoods(nn.Module):
    """Tables of one partition into blocks, as buffers that are not saved.

    Blocks are sorted so that those in which some pair must not attend come last: only they carry
    a mask.

    Args:
        grid: The grid whose pixels are the tokens.
        queries: (blocks, q) grid indices, -1 in empty slots; every token exactly once.
        keys: (blocks, k) grid indices, -1 in empty slots. Default: the queries are the keys.
        attends: (blocks, q, k), which pairs attend. Default: all.
        masked: What is added to the logits of pairs that do not attend, -100 or -inf.
        pairs: What is known of every pair: "none", its distance ("radial"), or its distance and
            bearing ("frame").
        up: Reference vector of the bearings, of any length above zero.
        steered: Keep the places of queries and keys, for the steered bias.
    """

    gather: Int64[Tensor, " slots"] | None
    inverse: Int64[Tensor, " tokens"] | None
    keys: Int64[Tensor, "blocks k"] | None
    mask: Float[Tensor, "masked 1 q k"] | None
    pair_class: Int64[Tensor, " blocks"] | None
    class_mask: Float[Tensor, "classes 1 q k"] | None
    distance: Float[Tensor, "distances 1"] | None
    distance_index: Int64[Tensor, "classes q k"] | None
    bearing: Float[Tensor, "classes q k 3"] | None
    query_place: Float[Tensor, "blocks q 3"] | None
    query_normal: Float[Tensor, "blocks q 3"] | None
    key_place: Float[Tensor, "blocks k 3"] | None

    def __init__(
        self,
        grid: HealpixGrid,
        queries: Int64[np.ndarray, "blocks q"],
        keys: Int64[np.ndarray, "blocks k"] | None = None,
        attends: np.ndarray | None = None,
        *,
        masked: float = EXACT_MASK,
        pairs: Pairs = "none",
        up: Sequence[float] = (0.0, 0.0, 1.0),
        steered: bool = False,
    ) -> None:
        super().__init__()
        if keys is None and attends is not None:
            whole = attends.all(axis=(1, 2))
            order = np.argsort(~whole, kind="stable")
            queries, attends = queries[order], attends[order]
            self._keep("mask", _mask(attends[whole.sum() :], masked) if not whole.all() else None)
        else:
            self._keep("mask", None)
        self.blocks, self.queries_per_block = queries.shape

        slots = queries.ravel()
        moved = slots.size != grid.num_pixels or (slots != np.arange(slots.size)).any()
        inverse = np.zeros(grid.num_pixels, dtype=np.int64)
        inverse[slots[slots >= 0]] = np.flatnonzero(slots >= 0)
        self._keep("gather", np.maximum(slots, 0) if moved else None)
        self._keep("inverse", inverse if moved else None)
        self._keep("keys", None if keys is None else np.maximum(keys, 0))

        sources = queries if keys is None else keys
        classes, first = np.zeros(self.blocks, dtype=np.int64), np.arange(1)
        if pairs != "none" or keys is not None:
            classes, first = _classes(grid, queries, keys, up if pairs == "frame" else None)
        self._keep("pair_class", classes if len(first) > 1 else None)
        gathered = keys is not None and attends is not None
        self._keep("class_mask", _mask(attends[first], masked) if gathered else None)

        vectors = grid.vectors()
        distance = distance_index = bearing = None
        if pairs == "radial":
            chord = _chords(vectors[queries[first]], vectors[sources[first]])
            distance, distance_index = _distinct(chord / grid.pixel_spacing)
            distance = np.log1p(distance)[:, None]
        if pairs == "frame":
            bearing = _bearings(grid, queries[first], sources[first], np.asarray(up, dtype=float))
        self._keep("distance", distance)
        self._keep("distance_index", distance_index)
        self._keep("bearing", bearing)

        query_place = query_normal = key_place = None
        if steered:
            known = (queries >= 0)[..., None]
            centre = (vectors[queries] * known).sum(axis=1) / known.sum(axis=1)
            query_normal = vectors[queries]
            query_place = (query_normal - centre[:, None]) / grid.pixel_spacing
            key_place = (vectors[sources] - centre[:, None]) / grid.pixel_spacing
        self._keep("query_place", query_place)
        self._keep("query_normal", query_normal)
        self._keep("key_place", key_place)

    def _keep(self, name: str, table: np.ndarray | None) -> None:
        if table is not None and table.dtype.kind == "f":
            table = torch.from_numpy(table).to(torch.get_default_dtype())
        elif table is not None:
            table = torch.from_numpy(np.ascontiguousarray(table, dtype=np.int64))
        self.register_buffer(name, table, persistent=False)

    def regroup(
        self, x: Float[Tensor, "batch tokens *channels"]
    ) -> Float[Tensor, "batch slots *channels"]:
        """Put tokens into the order of the queries; empty slots hold some other token."""
        return x if self.gather is None else x.index_select(1, self.gather)

    def restore(
        self, x: Float[Tensor, "batch slots *channels"]
    ) -> Float[Tensor, "batch tokens *channels"]:
        """Put queries back into the order of the tokens."""
        return x if self.inverse is None else x.index_select(1, self.inverse)

    def runs(self, blocks_per_run: int) -> Iterator[tuple[slice, Tensor | None]]:
        """Cut the blocks into runs: their slice, and the mask of the last blocks of the run."""
        first_masked = self.blocks - (0 if self.mask is None else self.mask.shape[0])
        for start in range(0, self.blocks, blocks_per_run):
            stop = min(start + blocks_per_run, self.blocks)
            mask = None
            if stop > first_masked:
                mask = self.mask[max(start - first_masked, 0) : stop - first_masked]
            yield slice(start, stop), mask

    def extra_repr(self) -> str:
        """Blocks, queries and keys, for ``print(model)``."""
        masked = 0 if self.mask is None else self.mask.shape[0]
        keys = self.queries_per_block if self.keys is None else self.keys.shape[1]
        return f"blocks={self.blocks}, queries={self.queries_per_block}, keys={keys}, {masked=}"


def everybody(
    grid: HealpixGrid, pairs: Pairs, up: Sequence[float], steered: bool
) -> Neighbourhoods:
    """All tokens attend to all tokens: one block."""
    queries = np.arange(grid.num_pixels)[None]
    return Neighbourhoods(grid, queries, pairs=pairs, up=up, steered=steered)


def windows_of(
    grid: HealpixGrid,
    window: int,
    shift: WindowShift | None,
    masked: float,
    pairs: Pairs,
    up: Sequence[float],
    steered: bool,
) -> Neighbourhoods:
    """Windows of consecutive tokens or, with a shift, the shifted ones."""
    if shift is None:
        queries, attends = np.arange(grid.num_pixels).reshape(-1, window), None
    else:
        queries, attends = shift.gather.reshape(-1, window), shift.attends(window)
    return Neighbourhoods(
        grid, queries, attends=attends, masked=masked, pairs=pairs, up=up, steered=steered
    )


def discs_of(grid: HealpixGrid, pairs: Pairs, up: Sequence[float], steered: bool) -> Neighbourhoods:
    """Geodesic discs of 2.5 pixel spacings around every token."""
    table = discs(grid)
    queries = np.arange(grid.num_pixels).reshape(len(table.keys), -1)
    return Neighbourhoods(
        grid, queries, table.keys, table.inside, pairs=pairs, up=up, steered=steered
    )


def _mask(attends: np.ndarray, masked: float) -> np.ndarray:
    return np.where(attends, 0.0, masked)[:, None]


def _classes(
    grid: HealpixGrid,
    queries: np.ndarray,
    keys: np.ndarray | None,
    up: Sequence[float] | None,
) -> tuple[np.ndarray, np.ndarray]:
    """Blocks whose pairs look alike: quarter turns of each other, where they keep ``up``."""
    if up is not None and (up[0] or up[1]):
        return np.arange(len(queries)), np.arange(len(queries))
    rows = queries if keys is None else np.concatenate([queries, keys], axis=1)
    return turn_classes(rows, grid)


def _chords(queries: np.ndarray, keys: np.ndarray) -> np.ndarray:
    return np.linalg.norm(queries[:, :, None] - keys[:, None, :], axis=-1)


def _distinct(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Distinct values, and for every entry which one it is.

    Pairs that a symmetry of the grid maps onto each other get one value, bit for bit, so that a
    model is as symmetric as the grid in any precision.
    """
    flat = values.ravel()
    order = np.argsort(flat)
    ordered = flat[order]
    new = np.diff(ordered, prepend=-np.inf) > _SAME_DISTANCE
    index = np.empty(flat.size, dtype=np.int64)
    index[order] = np.cumsum(new) - 1
    return ordered[new], index.reshape(values.shape)


def _bearings(
    grid: HealpixGrid, queries: np.ndarray, keys: np.ndarray, up: np.ndarray
) -> np.ndarray:
    """log(1 + distance), and cosine and sine of the bearing against ``up``, per pair.

    The bearing is the angle in the tangent plane of the query from the direction to ``up`` to the
    direction to the key, counter-clockwise seen from outside. Where one of the two has no direction
    (the pair is one pixel, or the query looks along ``up``) cosine and sine are 0.
    """
    vectors = grid.vectors()
    up = up / np.linalg.norm(up)
    north = up - vectors * (vectors @ up)[:, None]
    length = np.linalg.norm(north, axis=-1, keepdims=True)
    north = np.divide(north, length, out=np.zeros_like(north), where=length > 1e-9)
    west = np.cross(vectors, north)

    here, there = vectors[queries], vectors[keys]
    along = np.einsum("bqc,bkc->bqk", north[queries], there)
    across = np.einsum("bqc,bkc->bqk", west[queries], there)
    distance = np.log1p(_chords(here, there) / grid.pixel_spacing)
    radius = np.hypot(along, across)
    known = radius > 1e-9 * grid.pixel_spacing
    radius = np.where(known, radius, 1.0)
    return np.stack(
        [distance, np.where(known, along / radius, 0), np.where(known, across / radius, 0)], axis=-1
    )
