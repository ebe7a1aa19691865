r"""The Chamfer distance between point clouds.

Of a predicted cloud P and a true cloud T, in metres, this module reckons

.. math::
    d_1(P, T) = \frac{1}{|P|} \sum_{p \in P} \min_{t \in T} |p - t|
              + \frac{1}{|T|} \sum_{t \in T} \min_{p \in P} |p - t|

in metres, and d_2 in square metres, the same with |p - t|^2. The first part says how far the
prediction is from anything true, the second how far what is true is from anything predicted; each
alone is small for some useless prediction (a single right point; points everywhere).

HEAL-SWIN (Carlsson et al. 2024, CVPR, arXiv 2307.07313) measures depth by the Chamfer distance of
every predicted cloud to that of the full-resolution truth, averaged over the samples. It plots
values only; how they were reckoned stands in its code (github.com/JanEGerken/HEAL-SWIN,
``evaluation/custom_metrics.py``): the means of *squared* nearest-neighbour distances, both ways,
added up, which is d_2. d_1 stands beside it because it is in metres, and because in d_2 a few far
points, where depth is least certain, outweigh all others.

Nearest neighbours are exact: found with a k-d tree on the CPU (SciPy), and elsewhere by comparing
blocks of neighbouring points, leaving out pairs of blocks that are too far apart to matter. Clouds
may lie anywhere, but both ways are fastest for those of a depth map in the axes of its camera. A
prediction that is nearly a sphere around the camera, of a network that has learned nothing, is the
hardest: from points well inside it all of it is about equally far.
"""

from __future__ import annotations

from typing import Literal

import torch
from jaxtyping import Float, Int64
from torch import Tensor
from torchmetrics import Metric

Search = Literal["auto", "tree", "blocks"]

# Points of a leaf of the tree. Where a leaf's points are about equally far, as on a sphere around
# the query, many small leaves have to be looked into.
_LEAF = 256

# Points of a block: a block is compared with another as a whole.
_BLOCK = 128
# Distances held at once (512 MB in float32), and blocks whose neighbours are looked for at once.
_HELD = 2**27
_ROWS = 1024
# Bits of each coordinate on the curve along which points are put in order.
_CURVE_BITS = 16
# What rounding in float32 may add to an angle in radians, and as a share to a distance.
_ANGLE_SLACK = 1e-3
_DISTANCE_SLACK = 1e-5


def chamfer_distance(
    prediction: Float[Tensor, "predicted 3"],
    truth: Float[Tensor, "true 3"],
    squared: bool = False,
    search: Search = "auto",
) -> Float[Tensor, ""]:
    """The sum of both mean nearest-neighbour distances, see `healswin.metrics.chamfer`.

    Args:
        prediction: Points in metres, (n, 3), all finite.
        truth: Points in metres, (m, 3), all finite.
        squared: Whether distances are squared before they are averaged, as published (m^2).
        search: How neighbours are found, see `nearest_distances`.

    Returns:
        A float64 scalar on the device of the points.

    Raises:
        ValueError: If a cloud is empty or holds what is no point.
    """
    return torch.stack(_means(prediction, truth, search)[1 if squared else 0]).sum()


def nearest_distances(
    queries: Float[Tensor, "queries 3"], points: Float[Tensor, "points 3"], search: Search = "auto"
) -> Float[Tensor, " queries"]:
    """The distance of every query to the nearest of the points.

    Args:
        queries: (n, 3), all finite.
        points: (m, 3), all finite.
        search: "tree": a k-d tree on the CPU, in float64. "blocks": on the device of the points, in
            their dtype. "auto": the tree for points on the CPU, otherwise blocks.

    Returns:
        (n,), on the device of the queries.

    Raises:
        ValueError: If a cloud is empty or holds what is no point, or the search is unknown.
    """
    _check_cloud("queries", queries)
    _check_cloud("points", points)
    if search not in ("auto", "tree", "blocks"):
        raise ValueError(f"search={search!r} must be auto, tree or blocks")
    if search == "auto":
        search = "tree" if points.device.type == "cpu" else "blocks"
    return _by_tree(queries, points) if search == "tree" else _by_blocks(queries, points)


class ChamferScore(Metric):
    """The mean Chamfer distance over samples, a pair of clouds each.

    All states are float64 sums, so that processes add up to what one process finds.

    Args:
        search: How neighbours are found, see `nearest_distances`.

    Raises:
        ValueError: If the search is unknown.
    """

    is_differentiable = False
    higher_is_better = False
    full_state_update = False

    sums: Tensor
    samples: Tensor

    def __init__(self, search: Search = "auto") -> None:
        super().__init__()
        if search not in ("auto", "tree", "blocks"):
            raise ValueError(f"search={search!r} must be auto, tree or blocks")
        self.search = search
        # Plain or squared, and from the prediction or from the truth.
        self.add_state("sums", torch.zeros(2, 2, dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("samples", torch.zeros((), dtype=torch.int64), dist_reduce_fx="sum")

    def update(
        self, prediction: Float[Tensor, "predicted 3"], truth: Float[Tensor, "true 3"]
    ) -> None:
        """Add the clouds of one sample.

        Args:
            prediction: Points in metres, (n, 3), all finite.
            truth: Points in metres, (m, 3), all finite.

        Raises:
            ValueError: If a cloud is empty or holds what is no point.
        """
        means = [torch.stack(parts) for parts in _means(prediction, truth, self.search)]
        self.sums += torch.stack(means).to(self.sums)
        self.samples += 1

    def compute(self) -> dict[str, Tensor]:
        """The means over the samples.

        Returns:
            float64 scalars: ``chamfer`` in metres and ``chamfer_squared`` in square metres, each
            the sum of both directions, and the parts of the first: ``chamfer_from_prediction``, the
            mean distance of predicted points to the truth, and ``chamfer_from_truth``, that of true
            points to the prediction. NaN if there were no samples.
        """
        plain, squared = self.sums / self.samples
        return {
            "chamfer": plain.sum(),
            "chamfer_squared": squared.sum(),
            "chamfer_from_prediction": plain[0],
            "chamfer_from_truth": plain[1],
        }


def _means(
    prediction: Tensor, truth: Tensor, search: Search
) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
    """The mean distances of (prediction, truth) to the other, plain and squared, in float64."""
    _check_cloud("prediction", prediction)
    _check_cloud("truth", truth)
    there = nearest_distances(prediction, truth, search).double()
    back = nearest_distances(truth, prediction, search).double()
    return (there.mean(), back.mean()), (there.square().mean(), back.square().mean())


def _by_tree(queries: Tensor, points: Tensor) -> Tensor:
    from scipy.spatial import cKDTree

    tree = cKDTree(points.detach().cpu().numpy().astype("float64"), leafsize=_LEAF)
    distances, _ = tree.query(
        queries.detach().cpu().numpy().astype("float64"), workers=torch.get_num_threads()
    )
    return torch.from_numpy(distances).to(queries.device)


@torch.no_grad()
def _by_blocks(queries: Tensor, points: Tensor) -> Tensor:
    """Compare blocks of neighbours, the nearest first, until no nearer point can be left."""
    points = points.to(queries.device)
    order = _curve_order(queries)
    asking, asked = _blocks(queries, order), _blocks(points, _curve_order(points))
    best = torch.cat([_nearest_in(part, asked) for part in asking.split(_ROWS)]).flatten()
    distances = torch.empty_like(queries[:, 0])
    distances[order] = best[: len(order)]
    return distances


def _nearest_in(asking: Tensor, asked: Tensor) -> Tensor:
    """Distance of each point of blocks (rows, block, 3) to the nearest in (blocks, block, 3)."""
    bound = torch.maximum(_between_boxes(asking, asked), _between_cones(asking, asked))
    bound, candidate = bound.sort(dim=1)
    best = torch.full_like(asking[..., 0], torch.inf)
    active = torch.arange(len(asking), device=asking.device)
    size = max(1, _HELD // asked.shape[1] ** 2)
    for rank in range(len(asked)):
        active = active[bound[active, rank] < best[active].amax(dim=1)]
        if not len(active):
            break
        for rows in active.split(size):
            # Differences, not |a|^2 + |b|^2 - 2ab, which in float32 loses centimetres at 100 m.
            distances = torch.cdist(
                asking[rows],
                asked[candidate[rows, rank]],
                compute_mode="donot_use_mm_for_euclid_dist",
            )
            best[rows] = torch.minimum(best[rows], distances.amin(dim=-1))
    return best


def _between_boxes(asking: Tensor, asked: Tensor) -> Float[Tensor, "rows blocks"]:
    """Distances of the bounding boxes of blocks: no point of one is closer to one of the other."""
    lows, highs = asking.amin(dim=1)[:, None], asking.amax(dim=1)[:, None]
    apart = torch.maximum(asked.amin(dim=1) - highs, lows - asked.amax(dim=1))
    return apart.clamp(min=0).norm(dim=-1) * (1 - _DISTANCE_SLACK)


def _between_cones(asking: Tensor, asked: Tensor) -> Float[Tensor, "rows blocks"]:
    """The same of the cones around the origin, between two distances, that hold the blocks.

    Blocks of a surface around the origin are wide and flat; their cones fit them, boxes do not. The
    nearest points of two cones lie on rays that are as far apart as the cones are, and one of them
    is an end of its ray's piece.
    """
    (axis, width, *near_far), (other_axis, other_width, *other) = map(_cones, (asking, asked))
    between = torch.acos((axis @ other_axis.T).clamp(-1, 1))
    between = between - width[:, None] - other_width - _ANGLE_SLACK
    cosine = between.clamp(min=0).cos()
    ours, theirs = [end[:, None] for end in near_far], [end[None] for end in other]
    square = torch.full_like(between, torch.inf)
    for ends, (low, high) in ((ours, theirs), (theirs, ours)):
        for end in ends:
            foot = torch.minimum(torch.maximum(end * cosine, low), high)
            apart = (end - foot).square() + 2 * end * foot * (1 - cosine)
            square = torch.minimum(square, apart)
    return square.sqrt() * (1 - _DISTANCE_SLACK)


def _cones(blocks: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Axis (blocks, 3), half the opening angle, least and greatest distance (blocks,) of each."""
    distance = blocks.norm(dim=-1)
    direction = blocks / distance.clamp(min=1e-30)[..., None]
    axis = torch.nn.functional.normalize(direction.mean(dim=1), dim=-1)
    cosine = (direction * axis[:, None]).sum(dim=-1).amin(dim=1)
    return axis, torch.acos(cosine.clamp(-1, 1)), distance.amin(dim=1), distance.amax(dim=1)


def _blocks(points: Tensor, order: Int64[Tensor, " points"]) -> Tensor:
    """The points in this order, (blocks, block, 3); the last one fills up the last block."""
    block = min(_BLOCK, len(points))
    filling = order[-1:].expand(-len(order) % block)
    return points[torch.cat([order, filling])].unflatten(0, (-1, block))


def _curve_order(points: Float[Tensor, "points 3"]) -> Int64[Tensor, " points"]:
    """The order of the points along a Morton curve: neighbours in it are close to each other.

    Distances from the origin are taken by their logarithm: depth maps are dense near by.
    """
    distance = points.norm(dim=1, keepdim=True)
    shrunk = points * (distance.log1p() / distance.clamp(min=1e-30))
    low = shrunk.amin(dim=0)
    extent = (shrunk.amax(dim=0) - low).amax().clamp(min=1e-30)
    cells = ((shrunk - low) / extent * (2**_CURVE_BITS - 1)).to(torch.int64)
    code = torch.zeros_like(cells[:, 0])
    for bit in range(_CURVE_BITS):
        for axis in range(3):
            code |= ((cells[:, axis] >> bit) & 1) << (3 * bit + axis)
    return code.argsort()


def _check_cloud(name: str, points: Tensor) -> None:
    if points.ndim != 2 or points.shape[1] != 3 or not len(points):
        raise ValueError(f"{name} has shape {tuple(points.shape)}, points (n, 3) are needed")
    if not bool(torch.isfinite(points).all()):
        raise ValueError(
            f"{name} holds coordinates that are not finite: leave out pixels without depth"
        )
