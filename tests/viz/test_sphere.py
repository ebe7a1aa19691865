"""Views of the sphere: what is where, and what is around it."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from healswin.grid import EquiangularGrid, HealpixGrid, ImageGrid
from healswin.viz import azimuthal, mollweide, orthographic, unrolled
from healswin.viz.sphere import OUTSIDE, disc_index, shrink

FISHEYE = HealpixGrid(16, range(8))
SPHERE = HealpixGrid(16)
SIZE = 101
MIDDLE = SIZE // 2
MARK = (255, 0, 0)
BACKGROUND = (1, 2, 3)


def numbered(grid):
    """A colour for every pixel, no two alike."""
    number = np.arange(grid.num_pixels)
    return np.stack([number % 251, number // 251, np.full_like(number, 9)], axis=1).astype(np.uint8)


def marked(grid, direction, radius=0.15):
    """Black, with the pixels around a direction marked."""
    direction = np.asarray(direction, float) / np.linalg.norm(direction)
    values = np.zeros((grid.num_pixels, 3), np.uint8)
    values[grid.vectors() @ direction > math.cos(radius)] = MARK
    return values


def mark_position(picture):
    """Mean column and row of the mark, relative to the middle."""
    rows, columns = np.nonzero((picture == MARK).all(axis=-1))
    assert rows.size
    return columns.mean() - MIDDLE, rows.mean() - MIDDLE


@given(st.floats(0, math.pi), st.floats(-math.pi, math.pi))
def test_middle_pixel_shows_the_centre(theta, phi):
    centre = (
        math.sin(theta) * math.cos(phi),
        math.sin(theta) * math.sin(phi),
        math.cos(theta),
    )
    up = (0, -1, 0) if abs(centre[1]) < 0.9 else (0, 0, 1)
    values = numbered(SPHERE)
    expected = values[SPHERE.lookup(np.array(centre))]
    size = 11
    for picture in (
        orthographic(values, SPHERE, size, centre, up),
        orthographic(values, SPHERE, size, (theta, phi), up, inside=False),
        azimuthal(values, SPHERE, 2.0, size, centre, up),
    ):
        assert np.array_equal(picture[size // 2, size // 2], expected)


@pytest.mark.parametrize("view", ["orthographic", "azimuthal"])
@pytest.mark.parametrize(
    ("direction", "side"),
    [((1, 0, 1), (1, 0)), ((-1, 0, 1), (-1, 0)), ((0, 1, 1), (0, 1)), ((0, -1, 1), (0, -1))],
)
def test_camera_axes_point_right_and_down(view, direction, side):
    """Seen as the camera sees: x to the right, y down, and the optical axis in the middle."""
    values = marked(FISHEYE, direction)
    if view == "orthographic":
        picture, distance = orthographic(values, FISHEYE, SIZE), math.sin(math.pi / 4)
    else:
        picture, distance = azimuthal(values, FISHEYE, 2.0, SIZE), math.pi / 4 / 2.0
    column, row = mark_position(picture)
    assert column == pytest.approx(side[0] * distance * SIZE / 2, abs=2)
    assert row == pytest.approx(side[1] * distance * SIZE / 2, abs=2)


def test_from_outside_left_and_right_change_places():
    values = marked(FISHEYE, (1, 0.5, 1.2))
    within = orthographic(values, FISHEYE, SIZE)
    without = orthographic(values, FISHEYE, SIZE, inside=False)
    assert np.array_equal(within[:, ::-1], without)
    assert mark_position(within)[0] > 5


def test_globe_has_its_north_up_and_east_to_the_right():
    arguments = {"centre": (1.0, 0.0, 0.0), "up": (0.0, 0.0, 1.0), "inside": False}
    _, row = mark_position(orthographic(marked(SPHERE, (1, 0, 1)), SPHERE, SIZE, **arguments))
    assert row < -20
    column, _ = mark_position(orthographic(marked(SPHERE, (1, 1, 0)), SPHERE, SIZE, **arguments))
    assert column > 20


def test_a_vector_of_any_length_and_angles_name_the_same_centre():
    theta, phi = 0.7, -2.0
    centre = 5 * np.array(
        [math.sin(theta) * math.cos(phi), math.sin(theta) * math.sin(phi), math.cos(theta)]
    )
    values = numbered(SPHERE)
    assert np.array_equal(
        orthographic(values, SPHERE, 40, centre), orthographic(values, SPHERE, 40, (theta, phi))
    )


def test_azimuthal_shows_beyond_ninety_degrees():
    direction = (math.sin(1.9), 0, math.cos(1.9))
    column, row = mark_position(azimuthal(marked(SPHERE, direction), SPHERE, 2.4, SIZE))
    assert column == pytest.approx(1.9 / 2.4 * SIZE / 2, abs=2)
    assert row == pytest.approx(0, abs=2)


def test_around_the_ball_is_background_and_beyond_the_grid_is_empty():
    northern = HealpixGrid(16, range(4))
    values = np.full((northern.num_pixels, 3), 77, np.uint8)
    picture = azimuthal(
        values, northern, math.pi, SIZE, background=BACKGROUND, empty=(5, 5, 5), seams=1
    )
    rows, columns = np.mgrid[:SIZE, :SIZE] - MIDDLE
    around = np.hypot(rows, columns) > SIZE / 2
    assert (picture[around] == BACKGROUND).all()
    assert not (picture[~around] == BACKGROUND).all(axis=-1).any()
    assert (picture[MIDDLE, 1] == 5).all()  # the south pole belongs to base pixels 8..11
    assert (picture[MIDDLE + 3, MIDDLE + 3] == 77).all()


def test_index_is_what_lies_in_each_direction():
    index = disc_index(FISHEYE, 64)
    across = (2 * np.arange(64) + 1) / 64 - 1
    for row, column in [(5, 30), (32, 32), (50, 12), (20, 60)]:
        x, y = across[column], across[row]
        vector = np.array([x, y, math.sqrt(1 - x * x - y * y)])
        assert index[row, column] == FISHEYE.lookup(vector)
    assert index[0, 0] == OUTSIDE
    assert set(np.unique(index // FISHEYE.nside**2)) >= set(range(4))


def test_only_colours_of_the_values_without_supersampling():
    values = np.where(np.arange(FISHEYE.num_pixels)[:, None] % 2, 10, 240).astype(np.uint8)
    picture = orthographic(np.repeat(values, 3, axis=1), FISHEYE, 60, background=(10, 10, 10))
    assert set(np.unique(picture)) == {10, 240}


def test_supersampling_keeps_size_and_flat_areas():
    values = np.full((FISHEYE.num_pixels, 3), 77, np.uint8)
    picture = orthographic(values, FISHEYE, 60, supersample=3)
    assert picture.shape == (60, 60, 3)
    assert (picture[10:50, 10:50] == 77).all()


def test_shading_darkens_the_limb_only():
    values = np.full((FISHEYE.num_pixels, 3), 200, np.uint8)
    row = orthographic(values, FISHEYE, SIZE, shade=0.5)[MIDDLE, :, 0]
    assert row[MIDDLE] == 200
    assert row[1] < 150
    assert (np.diff(row[1 : MIDDLE + 1].astype(int)) >= 0).all()


def test_seams_lie_between_base_pixels():
    """From the pole the four northern faces meet along the axes."""
    values = np.full((FISHEYE.num_pixels, 3), 200, np.uint8)
    picture = orthographic(values, FISHEYE, 100, seams=1.0)
    dark = (picture < 100).all(axis=-1)
    assert dark[30:70, 48:52].any(axis=1).all()
    assert dark[48:52, 30:70].any(axis=0).all()
    assert not dark[35:45, 35:45].any()


def test_mollweide_is_an_ellipse_with_north_above_and_east_to_the_right():
    size = 60
    picture = mollweide(marked(SPHERE, (0, 0, 1), 0.4), SPHERE, size, background=BACKGROUND)
    assert picture.shape == (size, 2 * size, 3)
    assert (picture[0, 0] == BACKGROUND).all()
    inside_ellipse = ~(picture == BACKGROUND).all(axis=-1)
    assert inside_ellipse.mean() == pytest.approx(math.pi / 4, abs=0.01)
    rows, columns = np.nonzero((picture == MARK).all(axis=-1))
    assert rows.max() < size / 4
    assert columns.mean() == pytest.approx(size - 0.5, abs=1)
    east = marked(SPHERE, (0, 1, 0), 0.2)
    for inside, side in ((False, 1.5), (True, 0.5)):
        where = (mollweide(east, SPHERE, size, inside=inside) == MARK).all(axis=-1)
        assert np.nonzero(where)[1].mean() == pytest.approx(side * size, abs=1.5)


@given(st.floats(0.1, math.pi - 0.1), st.floats(-math.pi, math.pi), st.booleans())
def test_mollweide_has_its_centre_in_the_middle_and_up_above(theta, phi, inside):
    centre = np.array(
        [math.sin(theta) * math.cos(phi), math.sin(theta) * math.sin(phi), math.cos(theta)]
    )
    above = np.array([0, 0, 1]) - centre[2] * centre
    side = np.cross(above, centre)  # to the right when seen from outside
    size = 40
    places = []
    for direction in (centre, above, -above, side):
        values = marked(SPHERE, direction, 0.3)
        picture = mollweide(values, SPHERE, size, (theta, phi), (0, 0, 1), inside)
        rows, columns = np.nonzero((picture == MARK).all(axis=-1))
        places.append((columns.mean() + 0.5, rows.mean() + 0.5))
    middle, top, bottom, beside = places
    assert middle == pytest.approx((size, size / 2), abs=1.5)
    assert top == pytest.approx((size, 0), abs=3)
    assert bottom == pytest.approx((size, size), abs=3)
    assert beside == pytest.approx((size * (0.5 if inside else 1.5), size / 2), abs=1.5)


def test_mollweide_gives_every_base_pixel_the_same_area():
    face = np.arange(SPHERE.num_pixels) // SPHERE.nside**2
    values = np.repeat(20 * face[:, None], 3, axis=1).astype(np.uint8)
    picture = mollweide(values, SPHERE, 200)[..., 0]
    areas = np.array([(picture == 20 * number).sum() for number in range(12)])
    assert areas / areas.mean() == pytest.approx(np.ones(12), abs=0.02)


def test_shrink_rounds_the_mean():
    picture = np.zeros((2, 2, 3), np.uint8)
    picture[0, 0] = 3
    assert (shrink(picture, 2) == 1).all()  # 0.75


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"centre": (0, 1, 0)}, "parallel"),
        ({"up": (0, 0, 0)}, "parallel"),
        ({"centre": (0, 0, 0)}, r"centre=\(0, 0, 0\)"),
        ({"centre": (0, 0, 0, 1)}, "centre="),
        ({"up": (0, 1)}, "up="),
        ({"size": 0}, "size"),
        ({"shade": 2.0}, "shade=2.0"),
        ({"seams": -1.0}, "seams=-1.0"),
    ],
)
def test_bad_views(arguments, message):
    with pytest.raises(ValueError, match=message):
        orthographic(numbered(FISHEYE), FISHEYE, **{"size": 8, **arguments})


@pytest.mark.parametrize("max_angle", [0.0, -1.0, 3.2, math.nan])
def test_bad_angle(max_angle):
    with pytest.raises(ValueError, match="max_angle"):
        azimuthal(numbered(FISHEYE), FISHEYE, max_angle, 8)


@pytest.mark.parametrize(
    "values", [np.zeros((10, 3), np.uint8), np.zeros((FISHEYE.num_pixels, 3), np.float32)]
)
def test_values_must_belong_to_the_grid(values):
    with pytest.raises(ValueError, match="values is"):
        orthographic(values, FISHEYE, 8)


@pytest.mark.parametrize("sampling", ["soft", "driscoll-healy"])
def test_equiangular_grids_are_drawn_by_the_same_directions(sampling):
    grid = EquiangularGrid(6, sampling)
    values = np.random.default_rng(0).integers(0, 256, (grid.num_pixels, 3)).astype(np.uint8)
    index = disc_index(grid, 51, (1.0, 0.0, 0.0), (0.0, 0.0, 1.0), inside=False)
    ball = orthographic(values, grid, 51, (1.0, 0.0, 0.0), (0.0, 0.0, 1.0), inside=False)
    seen = index >= 0
    assert np.array_equal(ball[seen], values[index[seen]])
    # From outside with north up: rings grow downwards, longitudes to the right.
    ring, longitude = np.divmod(index[:, 25][seen[:, 25]], 12)
    assert np.all(np.diff(ring) >= 0)
    assert set(longitude) == {0}
    assert set(np.unique(index % 12)) <= {0, 1, 2, 3, 9, 10, 11}
    whole = mollweide(values, grid, 40)
    assert (whole == 255).all(axis=-1).mean() == pytest.approx(1 - np.pi / 4, abs=0.03)
    assert azimuthal(values, grid, np.pi, 40).shape == (40, 40, 3)


def test_unrolled_are_the_points_as_they_are_stored():
    grid = EquiangularGrid(4)
    values = np.random.default_rng(0).integers(0, 256, (grid.num_pixels, 3)).astype(np.uint8)
    picture = unrolled(values, grid, 20)
    assert picture.shape == (24, 24, 3)
    assert np.array_equal(picture[1::3, 2::3], values.reshape(8, 8, 3))
    assert np.array_equal(unrolled(values, grid, 1), values.reshape(8, 8, 3))
    with pytest.raises(ValueError, match=r"expected uint8 RGB of every grid pixel, \(64, 3\)"):
        unrolled(values[1:], grid, 20)
    with pytest.raises(ValueError, match="must be positive"):
        unrolled(values, grid, 0)


def test_what_other_grids_cannot_have():
    grid = EquiangularGrid(4)
    values = np.zeros((grid.num_pixels, 3), dtype=np.uint8)
    with pytest.raises(ValueError, match=r"seams=0.5 must be 0: an equiangular grid"):
        orthographic(values, grid, 20, seams=0.5)
    with pytest.raises(ValueError, match="has no directions"):
        orthographic(values, ImageGrid(8, 8), 20)
