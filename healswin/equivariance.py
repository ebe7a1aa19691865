"""How equivariant a module is: any module, under any transformations.

A module f is equivariant under a transformation T if f(T x) = T f(x): turning the input turns the
output, and nothing else. A transformation is any callable on tensors. Two are ready, for maps
(batch, channels, pixels) and, with ``axis=1``, for tokens (batch, pixels, channels):

* `PixelPermutation`, one of the 16 symmetries of the pixels. Exact, so that what is left is
  rounding. It says little about other rotations.
* `Rotation`, any rotation, by interpolation, whose own error remains.

`equivariance_error` measures one transformation, `check_equivariance` several, and
`structural_error` compares parts of a network by one fixed recipe.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Shaped
from torch import Tensor, nn

from healswin.grid import HealpixGrid, PixelSymmetry, band_limited_map

Transformation = Callable[[Tensor], Tensor]


class PixelPermutation:
    """Turn maps by a symmetry of the pixels: (T f)(p) = f(R^-1 p), exactly.

    Takes tensors of any dtype; its table follows the device of what it is given.

    Args:
        symmetry: See `healswin.grid.pixel_symmetries`.
        grid: The grid of the maps.
        axis: The axis of the pixels: -1 for maps, 1 for tokens.

    Raises:
        ValueError: If the symmetry does not map the grid's base pixels onto themselves.
    """

    def __init__(self, symmetry: PixelSymmetry, grid: HealpixGrid, axis: int = -1) -> None:
        self.name = symmetry.name
        self.axis = axis
        self._gather = torch.from_numpy(symmetry.gather(grid))
        self._gather_on = {self._gather.device: self._gather}

    def __call__(self, x: Shaped[Tensor, "*any"]) -> Shaped[Tensor, "*any"]:
        """The turned maps, of the same shape and dtype.

        Raises:
            ValueError: If the axis has another number of pixels than the grid.
        """
        _check_pixels(x, self.axis, len(self._gather))
        if x.device not in self._gather_on:
            self._gather_on[x.device] = self._gather.to(x.device)
        return x.index_select(self.axis, self._gather_on[x.device])


class Rotation:
    """Turn maps by any rotation: (T f)(p) = f(R^-1 p), with f interpolated between four pixels.

    The interpolation is `HealpixGrid.interpolation`, bilinear in colatitude and longitude. On a
    subset of the base pixels, what is turned in from outside is unknown and becomes 0. The tables
    are float64; copies of them follow the device and dtype of what the rotation is given.

    Args:
        matrix: R, a rotation matrix.
        grid: The grid of the maps.
        axis: The axis of the pixels: -1 for maps, 1 for tokens.

    Raises:
        ValueError: If the matrix is no rotation.
    """

    def __init__(self, matrix: Float[np.ndarray, "3 3"], grid: HealpixGrid, axis: int = -1) -> None:
        matrix = _as_rotation(matrix)
        self.name = f"rotation by {math.degrees(_angle(matrix)):.1f} degrees"
        self.axis = axis
        index, weights = grid.interpolation(grid.vectors() @ matrix)
        self._index = torch.from_numpy(np.ascontiguousarray(index.T))
        self._weights = torch.from_numpy(np.ascontiguousarray(weights.T))
        self._tables_on: dict[tuple[torch.device, torch.dtype], tuple[Tensor, Tensor]] = {}

    def __call__(self, x: Shaped[Tensor, "*any"]) -> Float[Tensor, "*any"]:
        """The turned maps, of the same shape and dtype.

        Raises:
            ValueError: If the dtype is not floating or the axis has another number of pixels.
        """
        if not x.is_floating_point():
            raise ValueError(f"x is {x.dtype}: a rotation interpolates, it needs a floating dtype")
        _check_pixels(x, self.axis, self._index.shape[1])
        kind = (x.device, x.dtype)
        if kind not in self._tables_on:
            self._tables_on[kind] = (self._index.to(x.device), self._weights.to(*kind))
        along = [1] * x.ndim
        along[self.axis] = -1
        turned = torch.zeros_like(x)
        for index, weight in zip(*self._tables_on[kind], strict=True):
            turned += x.index_select(self.axis, index) * weight.view(along)
        return turned


def haar_rotations(count: int, seed: int | np.random.Generator) -> Float[np.ndarray, "count 3 3"]:
    """Rotations drawn uniformly from SO(3).

    A normalised Gaussian quaternion is uniform on the unit sphere of four dimensions, which covers
    SO(3) twice and evenly (Shoemake 1992, Graphics Gems III, "Uniform random rotations").

    Args:
        count: How many.
        seed: Of numpy's generator, or a generator to draw from.

    Returns:
        (count, 3, 3) float64.

    Raises:
        ValueError: If count is below 1.
    """
    if count < 1:
        raise ValueError(f"count={count} must be at least 1")
    quaternions = np.random.default_rng(seed).normal(size=(count, 4))
    x, y, z, w = (quaternions / np.linalg.norm(quaternions, axis=1, keepdims=True)).T
    rows = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
        [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
        [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
    ]
    return np.moveaxis(np.array(rows), -1, 0)


def rotation_about(
    axis: tuple[float, float, float] | Float[np.ndarray, " 3"], angle: float
) -> Float[np.ndarray, "3 3"]:
    """The rotation by an angle about an axis, anticlockwise seen from its tip (Rodrigues).

    Args:
        axis: A direction of any length above zero.
        angle: In radians.

    Returns:
        (3, 3) float64.

    Raises:
        ValueError: If the axis is not three finite numbers, or zero, or the angle is not finite.
    """
    axis = np.asarray(axis, dtype=np.float64)
    if axis.shape != (3,) or not np.isfinite(axis).all() or not axis.any():
        raise ValueError(f"axis={axis.tolist()} must be three finite numbers, not all 0")
    if not math.isfinite(angle):
        raise ValueError(f"angle={angle} must be a finite number of radians")
    x, y, z = axis / np.linalg.norm(axis)
    cross = np.array([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]])
    return np.eye(3) + math.sin(angle) * cross + (1 - math.cos(angle)) * cross @ cross


@dataclass(frozen=True)
class EquivarianceError:
    """How far f(T x) is from T f(x).

    Attributes:
        absolute: max |f(T x) - T f(x)|.
        relative: ||f(T x) - T f(x)|| / ||T f(x)||, Euclidean norms of the whole tensors; 0 where
            both are 0, infinite where only T f(x) is.
    """

    absolute: float
    relative: float


@dataclass(frozen=True)
class EquivarianceReport:
    """The errors of a module under several transformations; ``str`` of it is a table.

    Attributes:
        errors: The error under each transformation, by its name.
        tolerance: The largest relative error allowed; None: none was set.
    """

    errors: Mapping[str, EquivarianceError]
    tolerance: float | None = None

    @property
    def failed(self) -> tuple[str, ...]:
        """Names of the transformations whose relative error is above the tolerance, or NaN."""
        if self.tolerance is None:
            return ()
        return tuple(n for n, e in self.errors.items() if not e.relative <= self.tolerance)

    def __str__(self) -> str:
        width = max(len(name) for name in ("transformation", *self.errors))
        lines = [f"{'transformation':{width}}  relative  absolute"]
        for name, error in self.errors.items():
            mark = "  failed" if name in self.failed else ""
            lines.append(f"{name:{width}}  {error.relative:8.1e}  {error.absolute:8.1e}{mark}")
        return "\n".join(lines)


class NotEquivariantError(AssertionError):
    """A module failed `check_equivariance`; ``report`` holds all its errors."""

    def __init__(self, report: EquivarianceReport) -> None:
        self.report = report
        super().__init__(
            f"not equivariant within a relative error of {report.tolerance:g} under "
            f"{len(report.failed)} of {len(report.errors)} transformations:\n{report}"
        )


def equivariance_error(
    module: Callable[[Tensor], Tensor],
    x: Tensor,
    transform: Transformation,
    transform_output: Transformation | None = None,
) -> EquivarianceError:
    """Compare f(T x) with T f(x), in evaluation mode and without gradients.

    Args:
        module: f; takes and returns one tensor. The modes of a `torch.nn.Module` and of all its
            parts are restored afterwards.
        x: The input, of any shape that f and T take.
        transform: T, applied to the input.
        transform_output: T as it acts on the output. Default: the same. ``lambda y: y`` where the
            output should not change at all, as for class scores of a whole map; a transformation
            of another grid where f changes the resolution.

    Raises:
        ValueError: If f returns no tensor, or f(T x) and T f(x) differ in shape.
    """
    with _evaluating(module):
        output = _output(module, x)
        return _error(module, x, output, transform, transform_output or transform)


def check_equivariance(
    module: Callable[[Tensor], Tensor],
    x: Tensor,
    transformations: Mapping[str, Transformation] | Sequence[Transformation],
    *,
    tolerance: float | None,
    transform_output: (
        Transformation | Mapping[str, Transformation] | Sequence[Transformation] | None
    ) = None,
) -> EquivarianceReport:
    """Measure a module under several transformations, and fail if one is not kept.

    Args:
        module: f, see `equivariance_error`.
        x: The input.
        transformations: Every T by its name, or in a row; then they are numbered.
        tolerance: Largest relative error allowed. None measures and never fails.
        transform_output: What acts on the output: one transformation for all (``lambda y: y`` for
            outputs that should not change), or one for each under the same names or in the same
            order. Default: the transformations themselves.

    Raises:
        NotEquivariantError: If a relative error is above the tolerance, or not a number. It is an
            AssertionError, and its text is the table of all errors.
        ValueError: If there are no transformations, those of the output do not belong to them, or
            for the reasons of `equivariance_error`.
    """
    named = _named(transformations)
    if not named:
        raise ValueError("transformations is empty: there is nothing to check")
    if transform_output is None:
        outputs = named
    elif isinstance(transform_output, (Mapping, Sequence)):
        given = _named(transform_output)
        if isinstance(transform_output, Sequence) and len(given) == len(named):
            given = dict(zip(named, transform_output, strict=True))
        if given.keys() != named.keys():
            raise ValueError(
                f"transform_output is for {sorted(given)}, it must be for the transformations "
                f"{sorted(named)}"
            )
        outputs = given
    else:
        outputs = dict.fromkeys(named, transform_output)
    with _evaluating(module):
        output = _output(module, x)
        errors = {n: _error(module, x, output, named[n], outputs[n]) for n in named}
    report = EquivarianceReport(errors, tolerance)
    if report.failed:
        raise NotEquivariantError(report)
    return report


def structural_error(
    part: nn.Module,
    *,
    nside: int = 32,
    lmax: int = 24,
    channels: int = 32,
    rotations: int = 4,
    seed: int = 0,
) -> float:
    """How much the structure of a part, whatever it learns, depends on the orientation.

    With the defaults the figures of different parts can be compared. The part f is a stack of four
    blocks that maps tokens (1, 12 nside^2, channels) of the full sphere to tokens of the same
    shape. The measure is

        mean over R of ||f(T x) - T f(x)|| / ||T (f(x) - x)||

    in Euclidean norms over all tokens, where

    * x is `band_limited_map` of this seed: C_l proportional to 1 / (1 + l), l <= lmax, variance 1;
    * R are `haar_rotations`, drawn after x by the same generator, and T is `Rotation`;
    * f is a copy of the part in evaluation mode, in which the weight of every `torch.nn.Linear` is
      drawn anew, normal with deviation in_features^-1/2, so that blocks that start near the
      identity do not look equivariant. All else stays as it is: biases, norms, temperatures,
      tables, convolutions.

    The denominator is what the part adds to its input: x itself, which a residual connection hands
    through, makes no error seem small. What T loses by interpolation is part of the measure: four
    pointwise MLP blocks, which no rotation can tell apart, have about 0.05, and no part can be
    expected below that.

    Args:
        part: The stack of blocks. It is left as it is, and computes in the dtype and on the device
            of its first parameter (float32 if it has none).
        nside: Of the full sphere.
        lmax: Highest degree of x.
        channels: Channels of the tokens.
        rotations: How many rotations are averaged.
        seed: Of the map, the rotations and the weights.

    Raises:
        ValueError: If the part does not return tokens of the same shape, or is the identity, for
            which the measure does not exist.
    """
    part = copy.deepcopy(part)
    # Through training mode, so that what a part keeps for evaluation is made from the new weights.
    part.train()
    draws = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for layer in part.modules():
            if isinstance(layer, nn.Linear):
                drawn = torch.randn(layer.weight.shape, generator=draws, dtype=torch.float64)
                layer.weight.copy_(drawn * layer.in_features**-0.5)
    part.eval()

    grid = HealpixGrid(nside)
    generator = np.random.default_rng(seed)
    tokens = torch.from_numpy(band_limited_map(grid, channels, lmax, generator).T[None].copy())
    x = tokens.to(next(part.parameters(), torch.empty(0, dtype=torch.float32)))
    errors = []
    with torch.no_grad():
        output = _output(part, x)
        if output.shape != x.shape:
            raise ValueError(
                f"the part maps tokens {tuple(x.shape)} to {tuple(output.shape)}: the structural "
                "error is defined for parts that keep the shape"
            )
        for matrix in haar_rotations(rotations, generator):
            turn = Rotation(matrix, grid, axis=1)
            error = _norm(_output(part, turn(x)) - turn(output))
            change = _norm(turn(output - x))
            if change == 0:
                raise ValueError("the part returns its input: its structural error is 0 / 0")
            errors.append(error / change)
    return sum(errors) / len(errors)


def _error(
    module: Callable[[Tensor], Tensor],
    x: Tensor,
    output: Tensor,
    transform: Transformation,
    transform_output: Transformation,
) -> EquivarianceError:
    turned_before = _output(module, transform(x))
    turned_after = transform_output(output)
    if turned_before.shape != turned_after.shape:
        raise ValueError(
            f"f(T x) has shape {tuple(turned_before.shape)}, T f(x) {tuple(turned_after.shape)}: "
            "transform_output must fit the output of the module"
        )
    if not turned_before.numel():
        raise ValueError(f"f(T x) is empty, its shape is {tuple(turned_before.shape)}")
    difference = _exact(turned_before) - _exact(turned_after)
    error, size = _norm(difference), _norm(turned_after)
    relative = error / size if size else (math.inf if error else 0.0)
    return EquivarianceError(difference.abs().max().item(), relative)


def _output(module: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    output = module(x)
    if not isinstance(output, Tensor):
        raise ValueError(
            f"the module returns a {type(output).__name__}, not one tensor: wrap it in a function "
            "that picks the output to check, e.g. lambda x: module(x)[0]"
        )
    return output


def _exact(x: Tensor) -> Tensor:
    """On the CPU in double precision, so that the measure itself does not round."""
    return x.cpu().to(torch.complex128 if x.is_complex() else torch.float64)


def _norm(x: Tensor) -> float:
    return torch.linalg.vector_norm(_exact(x)).item()


@contextmanager
def _evaluating(module: Callable[[Tensor], Tensor]) -> Iterator[None]:
    parts = list(module.modules()) if isinstance(module, nn.Module) else []
    training = [part.training for part in parts]
    if parts:
        parts[0].eval()
    try:
        with torch.no_grad():
            yield
    finally:
        if parts:
            parts[0].train(training[0])
        # Part by part: some may have been frozen in evaluation mode before.
        for part, was_training in zip(parts, training, strict=True):
            part.training = was_training


def _named(
    transformations: Mapping[str, Transformation] | Sequence[Transformation],
) -> dict[str, Transformation]:
    if isinstance(transformations, Mapping):
        return dict(transformations)
    return {
        f"{i}: {getattr(transformation, 'name', type(transformation).__name__)}": transformation
        for i, transformation in enumerate(transformations)
    }


def _check_pixels(x: Tensor, axis: int, pixels: int) -> None:
    if not -x.ndim <= axis < x.ndim or x.shape[axis] != pixels:
        raise ValueError(f"x has shape {tuple(x.shape)}, axis {axis} must have {pixels} pixels")


def _as_rotation(matrix: np.ndarray) -> np.ndarray:
    matrix = np.asarray(matrix, dtype=np.float64)
    if (
        matrix.shape != (3, 3)
        or not np.allclose(matrix @ matrix.T, np.eye(3), rtol=0, atol=1e-6)
        or np.linalg.det(matrix) < 0
    ):
        raise ValueError(
            f"matrix={matrix.tolist()} must be a rotation: 3 x 3, orthogonal, determinant 1"
        )
    return matrix


def _angle(matrix: np.ndarray) -> float:
    """Angle of a rotation in 0..pi, accurate at both ends."""
    twice_sine = np.linalg.norm((matrix - matrix.T)[(0, 0, 1), (1, 2, 2)])
    return math.atan2(twice_sine, np.trace(matrix) - 1)


__all__ = [
    "EquivarianceError",
    "EquivarianceReport",
    "NotEquivariantError",
    "PixelPermutation",
    "Rotation",
    "Transformation",
    "check_equivariance",
    "equivariance_error",
    "haar_rotations",
    "rotation_about",
    "structural_error",
]
