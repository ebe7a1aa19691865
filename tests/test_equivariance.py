import math

import healpy as hp
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from healswin.equivariance import (
    EquivarianceError,
    EquivarianceReport,
    NotEquivariantError,
    PixelPermutation,
    Rotation,
    check_equivariance,
    equivariance_error,
    haar_rotations,
    rotation_about,
    structural_error,
)
from healswin.grid import HealpixGrid, band_limited_map, pixel_symmetries

GRID = HealpixGrid(8)
FISHEYE = HealpixGrid(8, range(8))
SYMMETRIES = pixel_symmetries()

angles = st.floats(-10, 10)
axes = st.tuples(*[st.floats(-1, 1)] * 3).filter(lambda v: np.linalg.norm(v) > 0.01)


def maps(grid, channels=3, lmax=6):
    return torch.from_numpy(band_limited_map(grid, channels, lmax, seed=3))[None]


class MeanOfNeighbours(nn.Module):
    """Exactly equivariant under all permutations of pixels that keep neighbours."""

    def __init__(self, grid):
        super().__init__()
        index = hp.get_all_neighbours(grid.nside, grid.pixels(), nest=True).T
        self.register_buffer("index", torch.from_numpy(index.astype(np.int64)))

    def forward(self, x):
        known = (self.index >= 0).to(x.dtype)
        return (x[..., self.index.clamp(min=0)] * known).sum(-1) / known.sum(-1)


class MLPBlock(nn.Module):
    """x + g(x), with g pointwise, or averaged over windows of consecutive nested pixels."""

    def __init__(self, channels, window=1):
        super().__init__()
        self.window = window
        self.layers = nn.Sequential(
            nn.LayerNorm(channels),
            nn.Linear(channels, 2 * channels),
            nn.GELU(),
            nn.Linear(2 * channels, channels),
        )

    def forward(self, x):
        windows = self.layers(x).unflatten(1, (-1, self.window))
        return x + windows.mean(2, keepdim=True).expand_as(windows).flatten(1, 2)


class Scaled(nn.Module):
    """Multiplies every channel by a parameter of any shape."""

    def __init__(self, weight):
        super().__init__()
        self.weight = nn.Parameter(weight)

    def forward(self, x):
        return x + x * self.weight.flatten()


@given(axes, angles)
def test_rotation_about_is_the_matrix_exponential(axis, angle):
    x, y, z = np.array(axis) / np.linalg.norm(axis)
    generator = torch.tensor([[0, -z, y], [z, 0, -x], [-y, x, 0]], dtype=torch.float64)
    expected = torch.linalg.matrix_exp(angle * generator).numpy()
    matrix = rotation_about(axis, angle)
    np.testing.assert_allclose(matrix, expected, rtol=0, atol=1e-12)
    np.testing.assert_allclose(matrix @ matrix.T, np.eye(3), rtol=0, atol=1e-14)
    np.testing.assert_allclose(rotation_about(7 * np.array(axis), angle), matrix, atol=1e-14)


def test_haar_rotations_have_the_moments_of_the_haar_measure():
    """Mean 0; E[R_ij R_kl] = delta_ik delta_jl / 3 (orthogonality of l = 1); mean angle."""
    matrices = haar_rotations(20_000, seed=4)
    squares = matrices @ matrices.transpose(0, 2, 1)
    np.testing.assert_allclose(squares, np.broadcast_to(np.eye(3), squares.shape), atol=1e-14)
    np.testing.assert_allclose(np.linalg.det(matrices), 1)
    np.testing.assert_allclose(matrices.mean(axis=0), 0, atol=0.02)
    entries = matrices.reshape(-1, 9)
    np.testing.assert_allclose(entries.T @ entries / 20_000, np.eye(9) / 3, atol=0.02)
    # The angle has density (1 - cos) / pi.
    angle = np.arccos((np.trace(matrices, axis1=1, axis2=2) - 1) / 2)
    assert abs(angle.mean() - (math.pi / 2 + 2 / math.pi)) < 0.02
    np.testing.assert_array_equal(haar_rotations(20_000, seed=4), matrices)


@pytest.mark.parametrize("symmetry", SYMMETRIES, ids=lambda s: s.name)
def test_permutation_turns_a_linear_function(symmetry):
    """f(p) = v . p becomes f(R^-1 p) = (R v) . p."""
    v = np.array([0.3, -1.2, 2.0])
    turned = PixelPermutation(symmetry, GRID)(torch.from_numpy(GRID.vectors() @ v))
    np.testing.assert_allclose(turned.numpy(), GRID.vectors() @ (symmetry.matrix @ v), atol=1e-13)


@given(axes, angles)
def test_rotation_turns_a_linear_function(axis, angle):
    v = np.array([0.3, -1.2, 2.0])
    matrix = rotation_about(axis, angle)
    turned = Rotation(matrix, GRID)(torch.from_numpy(GRID.vectors() @ v))
    np.testing.assert_allclose(turned.numpy(), GRID.vectors() @ (matrix @ v), atol=0.05)


@pytest.mark.parametrize("grid", [GRID, FISHEYE], ids=["sphere", "fisheye"])
def test_rotation_is_the_permutation_where_there_is_one(grid):
    x = maps(grid)
    compared = 0
    for symmetry in pixel_symmetries(grid):
        if symmetry.is_rotation:
            turned = Rotation(symmetry.matrix, grid)(x)
            exact = PixelPermutation(symmetry, grid)(x)
            torch.testing.assert_close(turned, exact, rtol=0, atol=1e-10)
            compared += 1
    assert compared == (8 if grid.is_full_sphere else 4)


def test_rotation_and_back_is_nearly_the_identity():
    """The error of the interpolation falls with the square of the pixel spacing."""
    error = []
    for nside in (16, 32):
        grid = HealpixGrid(nside)
        x = maps(grid)
        for matrix in haar_rotations(2, seed=1):
            there, back = Rotation(matrix, grid), Rotation(matrix.T, grid)
            error.append(((back(there(x)) - x).norm() / x.norm()).item())
    assert max(error[:2]) < 0.03
    assert max(error[2:]) < 0.35 * min(error[:2])


def test_rotation_keeps_constants_where_the_grid_is_known():
    matrix = rotation_about((1.0, 0.2, 0.0), 0.7)
    ones = torch.ones(FISHEYE.num_pixels, dtype=torch.float64)
    turned = Rotation(matrix, FISHEYE)(ones)
    inside = torch.from_numpy(FISHEYE.lookup(FISHEYE.vectors() @ matrix) >= 0)
    torch.testing.assert_close(turned[inside], ones[inside])
    far = torch.from_numpy((FISHEYE.vectors() @ matrix)[:, 2] < -0.9)
    assert far.any()
    assert not turned[far].any()


@pytest.mark.parametrize(
    "transform",
    [PixelPermutation(SYMMETRIES[5], GRID), Rotation(rotation_about((1, 2, 3), 1.0), GRID)],
    ids=["permutation", "rotation"],
)
def test_tables_follow_the_dtype_and_keep_their_precision(transform):
    x = maps(GRID)
    before = transform(x)
    assert transform(x.half()).dtype == torch.float16
    single = transform(x.float())
    assert single.dtype == torch.float32
    torch.testing.assert_close(single, before.float())
    torch.testing.assert_close(transform(x), before, rtol=0, atol=0)
    assert transform(x.to("meta")).device.type == "meta"
    torch.testing.assert_close(transform(x), before, rtol=0, atol=0)


def test_tokens_are_maps_with_another_axis():
    x = maps(GRID)
    tokens = x.transpose(1, 2)
    matrix = rotation_about((1, 2, 3), 1.0)
    for turn, turn_tokens in (
        (Rotation(matrix, GRID), Rotation(matrix, GRID, axis=1)),
        (PixelPermutation(SYMMETRIES[3], GRID), PixelPermutation(SYMMETRIES[3], GRID, axis=1)),
    ):
        torch.testing.assert_close(turn_tokens(tokens), turn(x).transpose(1, 2))


def test_pixel_permutations_take_labels_and_rotations_refuse_them():
    labels = torch.arange(GRID.num_pixels)
    turned = PixelPermutation(SYMMETRIES[1], GRID)(labels)
    np.testing.assert_array_equal(turned.numpy(), SYMMETRIES[1].gather(GRID))
    with pytest.raises(ValueError, match=r"x is torch\.int64: a rotation interpolates"):
        Rotation(np.eye(3), GRID)(labels)


@pytest.mark.parametrize("module", [nn.Conv1d(3, 5, 1), nn.GELU(), MeanOfNeighbours(GRID)])
def test_equivariant_modules_pass_under_all_symmetries(module):
    module = module.double()
    permutations = {s.name: PixelPermutation(s, GRID) for s in SYMMETRIES}
    report = check_equivariance(module, maps(GRID), permutations, tolerance=1e-14)
    assert list(report.errors) == [s.name for s in SYMMETRIES]
    assert report.failed == ()
    assert all(error.absolute <= 1e-13 for error in report.errors.values())


def test_a_module_that_knows_the_place_fails_where_it_changes():
    """Multiplied by z: turns about z are kept, what swaps the poles is not."""
    z = torch.from_numpy(GRID.vectors()[:, 2])
    with pytest.raises(NotEquivariantError) as error:
        check_equivariance(
            lambda x: x * z,
            maps(GRID),
            {s.name: PixelPermutation(s, GRID) for s in SYMMETRIES},
            tolerance=1e-10,
        )
    swapped = [s.name for s in SYMMETRIES if not s.keeps((0, 0, 1))]
    assert list(error.value.report.failed) == swapped
    text = str(error.value)
    assert "not equivariant within a relative error of 1e-10 under 8 of 16" in text
    for line in text.splitlines()[2:]:
        name = line.split("  ")[0]
        assert line.endswith("failed") == (name in swapped)
    assert isinstance(error.value, AssertionError)


def test_the_errors_are_the_formula():
    x = torch.tensor([3.0, 4.0])
    # f(T x) = (1, 2) T x = (4, 6), T f(x) = T (3, 8) = (8, 3)
    error = equivariance_error(lambda v: v * torch.tensor([1.0, 2.0]), x, lambda v: v.flip(0))
    assert error.absolute == 4
    assert error.relative == pytest.approx(5 / math.sqrt(73))


def test_no_output_has_no_relative_error():
    x = torch.tensor([1.0, 2.0])
    assert equivariance_error(torch.zeros_like, x, torch.neg) == EquivarianceError(0.0, 0.0)
    nothing_after = equivariance_error(lambda v: v.clamp(min=0), -x, torch.neg)
    assert nothing_after == EquivarianceError(2.0, math.inf)


def test_a_number_that_is_none_fails():
    x = torch.ones(2)
    with pytest.raises(NotEquivariantError):
        check_equivariance(lambda v: v / 0 - v / 0, x, [torch.neg], tolerance=1.0)


def test_without_tolerance_nothing_fails():
    report = check_equivariance(lambda v: v + 1, torch.ones(2), {"sign": torch.neg}, tolerance=None)
    assert report.failed == ()
    assert report.errors["sign"] == EquivarianceError(2.0, 1.0)
    assert str(report).splitlines() == [
        "transformation  relative  absolute",
        "sign             1.0e+00   2.0e+00",
    ]


def test_outputs_that_do_not_change_and_outputs_of_another_grid():
    x = maps(GRID)
    turns = [PixelPermutation(s, GRID) for s in SYMMETRIES]
    coarse = [PixelPermutation(s, GRID.coarsened(2)) for s in SYMMETRIES]
    check_equivariance(
        lambda v: v.mean(-1), x, turns, tolerance=1e-10, transform_output=lambda y: y
    )

    def mean_of_children(v):
        return v.unflatten(-1, (-1, 4)).mean(-1)

    check_equivariance(mean_of_children, x, turns, tolerance=1e-10, transform_output=coarse)
    by_name = {s.name: t for s, t in zip(SYMMETRIES, turns, strict=True)}
    coarse_by_name = {s.name: t for s, t in zip(SYMMETRIES, coarse, strict=True)}
    check_equivariance(
        mean_of_children, x, by_name, tolerance=1e-10, transform_output=coarse_by_name
    )
    with pytest.raises(NotEquivariantError):
        check_equivariance(
            mean_of_children, x, turns, tolerance=1e-10, transform_output=coarse[::-1]
        )


def test_transformations_in_a_row_are_numbered():
    turns = [PixelPermutation(SYMMETRIES[1], GRID), Rotation(rotation_about((0, 0, 1), 0.5), GRID)]
    report = check_equivariance(nn.ReLU(), maps(GRID), [*turns, torch.neg], tolerance=None)
    names = list(report.errors)
    assert names[:2] == ["0: turn 90", "1: rotation by 28.6 degrees"]
    assert names[2].startswith("2: ")
    assert report.errors[names[0]].absolute == 0 < report.errors[names[2]].absolute


def test_the_mode_of_every_part_is_restored_and_no_gradient_is_kept():
    module = nn.Sequential(nn.BatchNorm1d(3), nn.Dropout(0.9), nn.Conv1d(3, 2, 1)).double()
    module[0].eval()
    seen = []
    module[2].register_forward_hook(
        lambda part, _, y: seen.append((part.training, module[1].training, y.requires_grad))
    )
    turn = PixelPermutation(SYMMETRIES[1], GRID)
    assert equivariance_error(module, maps(GRID), turn).relative < 1e-12
    assert set(seen) == {(False, False, False)}
    assert [part.training for part in module.modules()] == [True, False, True, True]

    def broken(_):
        raise RuntimeError

    module[2].forward = broken
    with pytest.raises(RuntimeError):
        equivariance_error(module, maps(GRID), turn)
    assert [part.training for part in module.modules()] == [True, False, True, True]


def test_structural_error_is_small_for_pointwise_parts_only():
    torch.manual_seed(0)  # of the biases, which stay as they are
    pointwise = nn.Sequential(*[MLPBlock(8) for _ in range(4)])
    windows = nn.Sequential(*[MLPBlock(8, window=64) for _ in range(4)])
    size = {"nside": 16, "lmax": 8, "channels": 8, "rotations": 2}
    small, large = structural_error(pointwise, **size), structural_error(windows, **size)
    assert 0 < small < 0.08
    assert large > 5 * small


def test_structural_error_of_a_linear_pointwise_part_is_rounding():
    """Interpolation and channel mixing commute, so nothing else is left."""
    part = Scaled(torch.ones(4)).double()
    error = structural_error(part, nside=8, lmax=8, channels=4, rotations=1)
    assert error < 1e-14


def test_structural_error_is_its_formula_and_leaves_the_part_alone():
    part = MLPBlock(4, window=16).double()
    before = {name: value.clone() for name, value in part.state_dict().items()}
    error = structural_error(part, nside=8, lmax=5, channels=4, rotations=3, seed=9)
    assert part.training
    for name, value in part.state_dict().items():
        torch.testing.assert_close(value, before[name], rtol=0, atol=0)

    draws = torch.Generator().manual_seed(9)
    with torch.no_grad():
        for linear in (part.layers[1], part.layers[3]):
            shape = linear.weight.shape
            drawn = torch.randn(shape, generator=draws, dtype=torch.float64)
            linear.weight.copy_(drawn / math.sqrt(linear.in_features))
        generator = np.random.default_rng(9)
        x = torch.from_numpy(band_limited_map(GRID, 4, 5, generator)).T[None]
        ratios = []
        for matrix in haar_rotations(3, generator):
            turn = Rotation(matrix, GRID, axis=1)
            change = turn(part(x) - x)
            ratios.append((part(turn(x)) - turn(part(x))).norm() / change.norm())
    assert error == pytest.approx(np.mean(ratios), rel=1e-10)
    other = structural_error(part, nside=8, lmax=5, channels=4, rotations=3, seed=10)
    assert other != pytest.approx(error, rel=1e-6)


def test_structural_error_is_taken_in_evaluation_mode():
    """Dropout does nothing then, and a linear pointwise part is left."""
    part = nn.Sequential(Scaled(torch.ones(4)), nn.Dropout(0.5)).double()
    assert structural_error(part, nside=8, lmax=8, channels=4, rotations=1) < 1e-14
    assert part[1].training


def test_structural_error_draws_the_weights_of_linear_layers_and_nothing_else():
    """Of a part that shows what it computes with; a temperature per head is no weight."""
    seen = []

    class Watched(nn.Module):
        def __init__(self):
            super().__init__()
            self.inside = nn.Sequential(nn.Linear(256, 64), nn.Linear(64, 256, bias=False))
            self.others = nn.ParameterList(
                nn.Parameter(torch.full(shape, 7.0)) for shape in ((4, 1, 1), (9, 4), (5,))
            )
            self.conv = nn.Conv1d(256, 256, 1)
            self.norm = nn.LayerNorm(256)

        def forward(self, x):
            seen.append({n: p.detach().clone() for n, p in self.named_parameters()})
            return x + self.inside(x)

    part = Watched()
    before = {n: p.detach().clone() for n, p in part.named_parameters()}
    structural_error(part, nside=2, lmax=2, channels=256, rotations=1)
    drawn = {"inside.0.weight": 256**-0.5, "inside.1.weight": 64**-0.5}
    for name, value in seen[0].items():
        if name in drawn:
            assert value.std().item() == pytest.approx(drawn[name], rel=0.05)
            assert abs(value.mean().item()) < 0.05 * drawn[name]
        else:
            torch.testing.assert_close(value, before[name], rtol=0, atol=0)
    assert drawn.keys() < seen[0].keys()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: haar_rotations(0, 1), "count=0 must be at least 1"),
        (lambda: rotation_about((0, 0, 0), 1.0), "must be three finite numbers, not all 0"),
        (lambda: rotation_about((0, 1), 1.0), "must be three finite numbers"),
        (lambda: rotation_about((0, 0, 1), math.nan), "angle=nan must be a finite number"),
        (lambda: Rotation(np.diag([1.0, 1.0, -1.0]), GRID), "must be a rotation: 3 x 3"),
        (lambda: Rotation(2 * np.eye(3), GRID), "must be a rotation: 3 x 3"),
        (lambda: Rotation(np.full((3, 3), np.nan), GRID), "must be a rotation: 3 x 3"),
        (
            lambda: PixelPermutation(SYMMETRIES[4], FISHEYE),
            r"base_pixels=\(0, 1, 2, 3, 4, 5, 6, 7\) are not mapped .* take a grid with \(0, 1, 2",
        ),
        (
            lambda: PixelPermutation(SYMMETRIES[1], GRID)(torch.zeros(2, 5)),
            r"x has shape \(2, 5\), axis -1 must have 768 pixels",
        ),
        (
            lambda: Rotation(np.eye(3), GRID, axis=1)(torch.zeros(768)),
            r"x has shape \(768,\), axis 1 must have 768 pixels",
        ),
        (
            lambda: equivariance_error(lambda x: (x, x), torch.ones(2), torch.neg),
            "the module returns a tuple, not one tensor: wrap it",
        ),
        (
            lambda: equivariance_error(nn.Identity(), torch.ones(2), torch.neg, lambda y: y[:1]),
            r"f\(T x\) has shape \(2,\), T f\(x\) \(1,\): transform_output must fit",
        ),
        (
            lambda: equivariance_error(nn.Identity(), torch.ones(0), torch.neg),
            r"f\(T x\) is empty",
        ),
        (
            lambda: check_equivariance(nn.Identity(), torch.ones(2), [], tolerance=1.0),
            "transformations is empty",
        ),
        (
            lambda: check_equivariance(
                nn.Identity(),
                torch.ones(2),
                {"a": torch.neg},
                tolerance=1.0,
                transform_output={"b": torch.neg},
            ),
            r"transform_output is for \['b'\], it must be for the transformations \['a'\]",
        ),
        (lambda: structural_error(nn.Identity(), nside=2, lmax=2), "the part returns its input"),
        (
            lambda: structural_error(nn.Linear(32, 8), nside=2, lmax=2),
            r"the part maps tokens \(1, 48, 32\) to \(1, 48, 8\)",
        ),
        (lambda: structural_error(nn.Identity(), nside=3), "nside=3 must be a power of two"),
        (lambda: structural_error(nn.Identity(), nside=4), r"lmax=24 must lie in 0..11"),
    ],
)
def test_wrong_arguments(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_an_empty_report_is_still_a_table():
    assert str(EquivarianceReport({}, 1.0)) == "transformation  relative  absolute"
