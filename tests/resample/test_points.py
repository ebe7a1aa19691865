"""Point clouds against a loop over pixels, and against each other."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation
from synwoodscape_folder import tiny_camera

from healswin.cameras import EquirectangularCamera, PinholeCamera
from healswin.grid import EquiangularGrid, HealpixGrid, ImageGrid
from healswin.resample import ImageToGrid
from healswin.resample.points import DepthToPoints

CAMERA = tiny_camera("MVL")
PINHOLE = PinholeCamera(width=64, height=48, fx=60, fy=70, cx=31, cy=20, quaternion=None)
SPHERE = HealpixGrid(8, range(8))
MAKERS = [DepthToPoints(CAMERA, grid, "vehicle") for grid in (None, ImageGrid(12, 20), SPHERE)]


def some_depth(shape, seed=0):
    """Metres with sky and unknown pixels."""
    rng = np.random.default_rng(seed)
    depth = rng.uniform(0.5, 50, shape).astype(np.float32)
    depth[rng.random(shape) < 0.2] = np.inf
    depth[rng.random(shape) < 0.2] = np.nan
    return depth


def test_image_points_are_those_of_a_loop_over_its_pixels():
    camera = CAMERA.resized(16, 12)
    depth = some_depth((camera.height, camera.width))
    in_camera, in_vehicle = [], []
    turn = Rotation.from_quat(camera.quaternion)
    for v in range(camera.height):
        for u in range(camera.width):
            ray = camera.unproject(np.array([u, v], dtype=np.float64))
            if np.isfinite(depth[v, u]) and np.isfinite(ray).all():
                in_camera.append(ray * depth[v, u])
                in_vehicle.append(turn.apply(in_camera[-1]) + camera.translation)
    maker = DepthToPoints(camera)
    assert 0 < len(in_camera) < depth.size
    np.testing.assert_allclose(maker(depth), in_camera, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(maker(depth, "vehicle"), in_vehicle, rtol=1e-5, atol=1e-5)
    assert maker(depth).dtype == np.float32


@pytest.mark.parametrize("pole", ["camera", "vehicle", "zenith"])
@pytest.mark.parametrize("grid", [SPHERE, EquiangularGrid(6)])
def test_points_of_the_sphere_are_where_the_map_says(grid, pole):
    depth = some_depth(grid.num_pixels)
    points = DepthToPoints(CAMERA, grid, pole)(depth)
    known = np.isfinite(depth)
    np.testing.assert_allclose(np.linalg.norm(points, axis=1), depth[known], rtol=1e-6)
    if pole == "zenith":  # the map has the vehicle's axes
        moved = DepthToPoints(CAMERA, grid, pole)(depth, "vehicle") - np.float32(CAMERA.translation)
        expected = grid.vectors()[known] * depth[known, None]
        np.testing.assert_allclose(moved, expected, rtol=1e-5, atol=1e-4)
    if pole == "camera":
        np.testing.assert_allclose(points, grid.vectors()[known] * depth[known, None], rtol=1e-5)


@given(x=st.floats(-20, 20), y=st.floats(-20, 20), z=st.floats(3, 20))
def test_a_wall_stays_a_wall(x, y, z):
    """Depth of a plane, seen by the image, the resized image and the sphere, lies on the plane."""
    normal = np.array([x, y, z]) / np.linalg.norm([x, y, z])

    def distance(rays):
        facing = rays @ normal
        depth = np.full(facing.shape, np.inf)
        np.divide(4.0, facing, out=depth, where=facing > 0.05)
        return depth.astype(np.float32)

    for maker in MAKERS:
        points = maker(distance(maker.rays))
        assert len(points) > 10
        np.testing.assert_allclose(points @ normal, 4, rtol=1e-5)


@pytest.mark.parametrize(
    "camera",
    [
        CAMERA,
        PINHOLE,
        EquirectangularCamera(width=64, height=32),
    ],
    ids=lambda camera: type(camera).__name__,
)
def test_the_pixels_of_an_image_that_is_not_resized_are_its_own(camera):
    depth = some_depth((camera.height, camera.width))
    flat = DepthToPoints(camera, ImageGrid(camera.height, camera.width))
    np.testing.assert_allclose(flat(depth.ravel()), DepthToPoints(camera)(depth), rtol=1e-6)


def test_the_image_and_its_sphere_show_the_same_points():
    """Each point of the sphere is within a pixel of the image's points of the same depth."""
    grid = HealpixGrid(16, range(8))
    depth = np.full((CAMERA.height, CAMERA.width), 10, dtype=np.float32)
    on_sphere = ImageToGrid(CAMERA, grid, "vehicle").depth(depth)
    points = DepthToPoints(CAMERA, grid, "vehicle")(on_sphere, "vehicle")
    image = DepthToPoints(CAMERA)(depth, "vehicle")
    apart = np.linalg.norm(points[:, None] - image[None], axis=2).min(axis=1)
    assert 0 < apart.max() < 1.0  # a pixel of 10 m by 3.4 degrees is 0.6 m wide


def test_only_chosen_pixels_have_points():
    depth = some_depth(SPHERE.num_pixels)
    maker = DepthToPoints(CAMERA, SPHERE)
    chosen = np.arange(SPHERE.num_pixels) % 3 == 0
    expected = SPHERE.vectors()[chosen & np.isfinite(depth)]
    points = maker(depth, chosen=chosen)
    np.testing.assert_allclose(
        points / np.linalg.norm(points, axis=1)[:, None], expected, rtol=1e-5
    )
    np.testing.assert_array_equal(maker.known(depth), np.isfinite(depth))
    nothing = maker(np.full(SPHERE.num_pixels, np.inf, np.float32))
    assert nothing.shape == (0, 3)


def test_refusals():
    maker = DepthToPoints(CAMERA, SPHERE)
    depth = some_depth(SPHERE.num_pixels)
    with pytest.raises(ValueError, match=r"depth has shape \(5,\), \(512,\) is needed"):
        maker(depth[:5])
    with pytest.raises(ValueError, match="axes='world' must be one of"):
        maker(depth, "world")
    with pytest.raises(ValueError, match=r"chosen is int64 \(512,\), bool \(512,\) is needed"):
        maker(depth, chosen=np.arange(512))
    depth = some_depth((48, 64))
    assert len(DepthToPoints(PINHOLE)(depth)) > 0
    with pytest.raises(ValueError, match="it is not known how camera"):
        DepthToPoints(PINHOLE)(depth, "vehicle")
