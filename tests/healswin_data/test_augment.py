"""Augmentations: exact where they say so, alike for all arrays, decided by their generator."""

import math
import pickle

import healpy as hp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from healswin.data.augment import (
    ColourJitter,
    Flip,
    PixelSymmetries,
    RandomRotation,
    random_rotation,
)
from healswin.grid import EquiangularGrid, HealpixGrid, ImageGrid, pixel_symmetries

FISHEYE = HealpixGrid(8, tuple(range(8)))
SPHERE = HealpixGrid(8)
CAMERA_UP = (0.0, -1.0, 0.0)
ZENITH = (0.0, 0.0, 1.0)
GENERATORS = st.integers(0, 2**32).map(np.random.default_rng)

EVERYTHING = [
    (PixelSymmetries(), FISHEYE),
    (PixelSymmetries(keep_up=True), SPHERE),
    (PixelSymmetries(reflections=False), SPHERE),
    (Flip(1.0), FISHEYE),
    (ColourJitter(0.5, 0.5, 0.5, 0.1), FISHEYE),
    (RandomRotation(), SPHERE),
    (RandomRotation(20.0), SPHERE),
]
each = pytest.mark.parametrize(("augmentation", "grid"), EVERYTHING, ids=str)


def make_sample(grid, seed=0, dtype=np.uint8, channels=3):
    """Random values; a third of the pixels, in one piece, is not valid."""
    random = np.random.default_rng(seed)
    valid = grid.vectors() @ np.array([0.48, 0.6, 0.64]) > -0.4
    image = random.integers(0, 256, (grid.num_pixels, channels)).astype(dtype)
    image[~valid] = 0
    labels = random.integers(0, 12, grid.num_pixels, dtype=np.uint8)
    depth = random.uniform(1, 50, grid.num_pixels).astype(np.float32)
    depth[::7] = np.inf
    return {
        "image": image,
        "semantic": np.where(valid, labels, 255).astype(np.uint8),
        "depth": np.where(valid, depth, np.nan).astype(np.float32),
        "valid": valid,
    }


def numbered(grid):
    """A sample all of whose arrays tell the pixel that a value comes from."""
    number = np.arange(grid.num_pixels)
    return {
        "image": np.stack([number % 251, number // 251], axis=1).astype(np.float32),
        "semantic": (number % 241).astype(np.uint8),
        "depth": number.astype(np.float32),
        "valid": number % 3 > 0,
    }


@each
@given(generator=GENERATORS)
def test_valid_travels_with_every_array(augmentation, grid, generator):
    sample = make_sample(grid)
    changed = augmentation(sample, grid, CAMERA_UP, generator)
    assert changed.keys() == sample.keys()
    for key, values in changed.items():
        assert (values.shape, values.dtype) == (sample[key].shape, sample[key].dtype)
    valid = changed["valid"]
    assert valid.any()
    assert (changed["image"][~valid] == 0).all()
    np.testing.assert_array_equal(changed["semantic"] == 255, ~valid)
    np.testing.assert_array_equal(np.isnan(changed["depth"]), ~valid)


@each
def test_what_is_given_stays_and_the_generator_decides(augmentation, grid):
    sample, untouched = make_sample(grid), make_sample(grid)
    changed = [
        augmentation(sample, grid, CAMERA_UP, np.random.default_rng(seed)) for seed in (5, 5)
    ]
    for key in sample:
        np.testing.assert_array_equal(changed[0][key], changed[1][key])
        np.testing.assert_array_equal(sample[key], untouched[key])


@each
def test_they_travel_into_loading_processes(augmentation, grid):
    again = pickle.loads(pickle.dumps(augmentation))
    one, other = (
        a(make_sample(grid), grid, CAMERA_UP, np.random.default_rng(3))
        for a in (augmentation, again)
    )
    np.testing.assert_array_equal(one["image"], other["image"])


@pytest.mark.parametrize("base_pixels", [range(12), range(8), range(4), (0, 2), (1, 4, 5, 8, 9)])
@pytest.mark.parametrize("nside", [1, 2, 16])
def test_symmetries_permute_all_arrays_as_their_tables_say(nside, base_pixels):
    grid = HealpixGrid(nside, tuple(base_pixels))
    sample, seen = numbered(grid), set()
    tables = {s.gather(grid).tobytes(): s.name for s in pixel_symmetries(grid)}
    generator = np.random.default_rng(0)
    for _ in range(150):
        changed = PixelSymmetries()(sample, grid, CAMERA_UP, generator)
        source = changed["depth"].astype(np.int64)
        for key, values in sample.items():
            np.testing.assert_array_equal(changed[key], values[source])
        seen.add(tables[source.tobytes()])
    assert seen == set(tables.values())


@pytest.mark.parametrize("up", [CAMERA_UP, ZENITH, (0.999, 0.04, 0.02)])
def test_symmetries_can_keep_up_and_hands(up):
    """Turned pixel centres say what was done: p_i of the result came from R^-1 p_i."""
    sample = numbered(SPHERE)
    vectors, generator = SPHERE.vectors(), np.random.default_rng(1)
    augmentation = PixelSymmetries(keep_up=True, reflections=False)
    kinds = set()
    for _ in range(60):
        source = augmentation(sample, SPHERE, up, generator)["depth"].astype(np.int64)
        matrix = np.linalg.lstsq(vectors[source], vectors, rcond=None)[0].T
        assert np.linalg.det(matrix) == pytest.approx(1)
        assert np.linalg.norm(matrix @ up - up) < 0.18
        kinds.add(matrix.round().tobytes())
    assert len(kinds) == (4 if up == ZENITH else 2)


@pytest.mark.parametrize(
    ("up", "mirror"),
    [(CAMERA_UP, (-1, 1, 1)), (ZENITH, (1, -1, 1)), ((0.998, -0.05, 0.04), (1, -1, 1))],
)
@pytest.mark.parametrize("grid", [FISHEYE, SPHERE], ids=str)
def test_a_flip_swaps_left_and_right(grid, up, mirror):
    sample = numbered(grid)
    flipped = Flip(1.0)(sample, grid, up, np.random.default_rng(0))
    source = flipped["depth"].astype(np.int64)
    np.testing.assert_allclose(grid.vectors()[source], grid.vectors() * mirror, atol=1e-12)
    again = Flip(1.0)(flipped, grid, up, np.random.default_rng(0))
    for key, values in sample.items():
        np.testing.assert_array_equal(flipped[key], values[source])
        np.testing.assert_array_equal(again[key], values)


@pytest.mark.parametrize("shape", [(4, 6), (3, 5), (2, 1)])
def test_a_flip_of_a_flat_image_swaps_its_columns(shape):
    grid = ImageGrid(*shape)
    sample, flip = numbered(grid), Flip(1.0)
    assert flip.check(grid, CAMERA_UP, 3, "uint8") is None
    before = {key: values.copy() for key, values in sample.items()}
    flipped = flip(sample, grid, CAMERA_UP, np.random.default_rng(0))
    source = [row * shape[1] + shape[1] - 1 - c for row in range(shape[0]) for c in range(shape[1])]
    again = flip(flipped, grid, CAMERA_UP, np.random.default_rng(0))
    for key, values in sample.items():
        np.testing.assert_array_equal(flipped[key], values[source])
        np.testing.assert_array_equal(again[key], values)
        np.testing.assert_array_equal(values, before[key])
    assert Flip(0.0)(sample, grid, CAMERA_UP, np.random.default_rng(0)) is sample


def test_colours_of_a_flat_image_are_those_of_any_other():
    """The jitter sees valid pixels and not where they lie."""
    sample, jitter = make_sample(FISHEYE), ColourJitter(0.5, 0.5, 0.5, 0.1)
    flat = ImageGrid(16, FISHEYE.num_pixels // 16)
    assert jitter.check(flat, CAMERA_UP, 3, "uint8") is None
    one, other = (
        jitter(sample, grid, CAMERA_UP, np.random.default_rng(5)) for grid in (FISHEYE, flat)
    )
    np.testing.assert_array_equal(one["image"], other["image"])
    assert (one["image"] != sample["image"]).any()


def test_a_flip_happens_as_often_as_it_is_probable():
    sample, generator = numbered(HealpixGrid(1)), np.random.default_rng(0)
    grid = HealpixGrid(1)
    moved = [
        bool((Flip(0.3)(sample, grid, CAMERA_UP, generator)["depth"] != sample["depth"]).any())
        for _ in range(2000)
    ]
    assert np.mean(moved) == pytest.approx(0.3, abs=0.04)
    assert Flip(0.0)(sample, grid, CAMERA_UP, generator) is sample


class Numbers:
    """A generator that gives the jitter the numbers it is told."""

    def __init__(self, *numbers):
        self._numbers = iter(numbers)

    def uniform(self, low, high):
        number = next(self._numbers)
        assert low <= number <= high
        return number


JITTER = ColourJitter(1.0, 1.0, 1.0, 0.5)


def test_a_jitter_of_nothing_changes_nothing():
    sample = make_sample(FISHEYE)
    changed = ColourJitter()(sample, FISHEYE, CAMERA_UP, np.random.default_rng(0))
    np.testing.assert_array_equal(changed["image"], sample["image"])


@given(brightness=st.floats(0, 2), contrast=st.floats(0, 2), saturation=st.floats(0, 2))
def test_a_jitter_is_its_definition(brightness, contrast, saturation):
    sample = make_sample(FISHEYE)
    numbers = Numbers(brightness, contrast, saturation, 0.0)
    changed = JITTER(sample, FISHEYE, CAMERA_UP, numbers)["image"]
    valid = sample["valid"]
    colours = sample["image"][valid] * brightness
    shares = np.array([0.299, 0.587, 0.114])
    colours = contrast * colours + (1 - contrast) * (colours @ shares).mean()
    colours = saturation * colours + (1 - saturation) * (colours @ shares)[:, None]
    np.testing.assert_allclose(changed[valid], np.clip(colours, 0, 255), atol=0.501)
    assert not changed[~valid].any()


def test_hue_goes_round():
    """A third of a turn exchanges the primary colours, and greys have no hue."""
    sample = make_sample(FISHEYE)
    image = sample["image"]
    turned = JITTER(sample, FISHEYE, CAMERA_UP, Numbers(1.0, 1.0, 1.0, 1 / 3))["image"]
    np.testing.assert_array_equal(turned, image[:, [2, 0, 1]])
    grey = {**sample, "image": np.repeat(image[:, :1], 3, axis=1)}
    turned = JITTER(grey, FISHEYE, CAMERA_UP, Numbers(1.0, 1.0, 1.0, 0.2))["image"]
    np.testing.assert_array_equal(turned, grey["image"])


def test_a_jitter_leaves_labels_and_blind_images_alone():
    sample = make_sample(FISHEYE)
    changed = JITTER(sample, FISHEYE, CAMERA_UP, np.random.default_rng(0))
    for key in ("semantic", "depth", "valid"):
        assert changed[key] is sample[key]
    blind = {**sample, "valid": np.zeros(FISHEYE.num_pixels, dtype=bool)}
    changed = JITTER(blind, FISHEYE, CAMERA_UP, np.random.default_rng(0))
    np.testing.assert_array_equal(changed["image"], sample["image"])


@given(generator=GENERATORS, degrees=st.sampled_from([1.0, 30.0, 180.0]))
def test_random_rotations_are_rotations_up_to_the_angle(generator, degrees):
    matrix = random_rotation(generator, math.radians(degrees))
    np.testing.assert_allclose(matrix @ matrix.T, np.eye(3), atol=1e-12)
    assert np.linalg.det(matrix) == pytest.approx(1)
    assert np.trace(matrix) >= 1 + 2 * math.cos(math.radians(degrees)) - 1e-9


def test_random_rotations_are_uniform():
    """Moments of the Haar measure: E R = 0, E R_ij^2 = 1/3, and the share of small angles."""
    generator = np.random.default_rng(0)
    matrices = np.stack([random_rotation(generator) for _ in range(8000)])
    np.testing.assert_allclose(matrices.mean(axis=0), 0, atol=0.03)
    np.testing.assert_allclose((matrices**2).mean(axis=0), 1 / 3, atol=0.02)
    angles = np.arccos(np.clip((np.trace(matrices, axis1=1, axis2=2) - 1) / 2, -1, 1))
    for angle in (1.0, 2.0, 2.8):
        assert np.mean(angles < angle) == pytest.approx((angle - np.sin(angle)) / np.pi, abs=0.02)


def rotation_of(seed, max_degrees=180.0):
    """The rotation that an augmentation with this seed makes, and the sample's turned centres."""
    matrix = random_rotation(np.random.default_rng(seed), math.radians(max_degrees))
    return matrix, SPHERE.vectors() @ matrix


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_labels_move_to_the_nearest_pixel(seed):
    sample = make_sample(SPHERE)
    changed = RandomRotation()(sample, SPHERE, ZENITH, np.random.default_rng(seed))
    nearest = hp.vec2pix(8, *rotation_of(seed)[1].T, nest=True)
    for key in ("semantic", "depth", "valid"):
        np.testing.assert_array_equal(changed[key], sample[key][nearest])


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_images_are_interpolated_as_healpy_does(seed):
    sample = make_sample(SPHERE, dtype=np.float32, channels=2)
    sample["valid"][:] = True
    changed = RandomRotation(40.0)(sample, SPHERE, ZENITH, np.random.default_rng(seed))
    theta, phi = hp.vec2ang(rotation_of(seed, 40.0)[1])
    for channel in range(2):
        expected = hp.get_interp_val(sample["image"][:, channel], theta, phi, nest=True)
        np.testing.assert_allclose(changed["image"][:, channel], expected, rtol=1e-5, atol=1e-3)


@given(generator=GENERATORS)
def test_unknown_pixels_do_not_darken_their_neighbours(generator):
    sample = make_sample(SPHERE)
    sample["image"][sample["valid"]] = (10, 100, 201)
    changed = RandomRotation()(sample, SPHERE, ZENITH, generator)
    assert (changed["image"][changed["valid"]] == (10, 100, 201)).all()


def test_smooth_maps_turn_with_the_rotation():
    """A map of p . a turns into one of p . R a."""
    grid, axis = HealpixGrid(32), np.array([0.6, -0.48, 0.64])
    vectors = grid.vectors()
    sample = {
        "image": (vectors @ axis).astype(np.float32)[:, None],
        "valid": np.ones(grid.num_pixels, dtype=bool),
    }
    changed = RandomRotation()(sample, grid, ZENITH, np.random.default_rng(4))
    expected = vectors @ random_rotation(np.random.default_rng(4)) @ axis
    np.testing.assert_allclose(changed["image"][:, 0], expected, atol=5e-3)


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda: Flip(1.5), r"probability=1.5 must be in 0..1"),
        (lambda: Flip(math.nan), "probability=nan"),
        (lambda: ColourJitter(brightness=-0.1), "brightness=-0.1 must be a number not below 0"),
        (lambda: ColourJitter(contrast=math.inf), "contrast=inf"),
        (lambda: ColourJitter(hue=0.6), "hue=0.6 must be .* at most 0.5"),
        (lambda: RandomRotation(0.0), "max_degrees=0.0 must be above 0 and at most 180"),
        (lambda: RandomRotation(181.0), "max_degrees=181.0"),
    ],
)
def test_wrong_arguments(make, match):
    with pytest.raises(ValueError, match=match):
        make()


@pytest.mark.parametrize(
    ("augmentation", "base_pixels", "up", "channels", "dtype", "match"),
    [
        (RandomRotation(), range(8), ZENITH, 3, "uint8", "the full sphere is needed"),
        (ColourJitter(), range(8), CAMERA_UP, 3, "float32", "float32 of 3 channels, 8-bit RGB"),
        (ColourJitter(), range(8), CAMERA_UP, 1, "uint8", "uint8 of 1 channels, 8-bit RGB"),
        (Flip(), (0, 1, 4), CAMERA_UP, 3, "uint8", r"base_pixels=\(0, 1, 4\) are not mapped"),
        (Flip(), range(8), (0.9, 0.3, 0.3), 3, "uint8", "no mirror of the pixels keeps up"),
        (PixelSymmetries(reflections=False), (0,), ZENITH, 3, "uint8", "no symmetry but the id"),
        (PixelSymmetries(keep_up=True), range(8), (0.7, 0.3, 0.6), 3, "uint8", "no symmetry but"),
    ],
)
def test_data_that_do_not_fit(augmentation, base_pixels, up, channels, dtype, match):
    grid = HealpixGrid(4, tuple(base_pixels))
    with pytest.raises(ValueError, match=match):
        augmentation.check(grid, up, channels, dtype)


@each
def test_data_that_fit(augmentation, grid):
    assert augmentation.check(grid, CAMERA_UP, 3, "uint8") is None


def test_samples_that_do_not_fit_are_refused_too():
    generator = np.random.default_rng(0)
    with pytest.raises(ValueError, match="full sphere"):
        RandomRotation()(make_sample(FISHEYE), FISHEYE, ZENITH, generator)
    with pytest.raises(ValueError, match="8-bit RGB"):
        ColourJitter()(make_sample(FISHEYE, dtype=np.float32), FISHEYE, ZENITH, generator)


@pytest.mark.parametrize("sampling", ["soft", "driscoll-healy"])
def test_equiangular_maps_are_rotated_too(sampling):
    """p . a becomes p . R a; what is not valid travels and does not darken."""
    grid, axis = EquiangularGrid(16, sampling), np.array([0.6, -0.48, 0.64])
    sample = make_sample(grid, dtype=np.float32, channels=1)
    sample["image"] = (grid.vectors() @ axis + 3).astype(np.float32)[:, None]
    changed = RandomRotation()(sample, grid, ZENITH, np.random.default_rng(4))
    matrix = random_rotation(np.random.default_rng(4))
    nearest = grid.lookup(grid.vectors() @ matrix)
    np.testing.assert_array_equal(changed["valid"], sample["valid"][nearest])
    np.testing.assert_array_equal(changed["semantic"], sample["semantic"][nearest])
    expected = grid.vectors() @ matrix @ axis + 3
    valid = changed["valid"]
    np.testing.assert_allclose(changed["image"][valid, 0], expected[valid], atol=0.1)
    assert not changed["image"][~valid].any()


@pytest.mark.parametrize("augmentation", [PixelSymmetries(), Flip(), RandomRotation()], ids=str)
@pytest.mark.parametrize("grid", [EquiangularGrid(4), ImageGrid(4, 4)], ids=str)
def test_grids_of_another_kind(augmentation, grid):
    turns = isinstance(augmentation, RandomRotation) and isinstance(grid, EquiangularGrid)
    if turns or (isinstance(augmentation, Flip) and isinstance(grid, ImageGrid)):
        assert augmentation.check(grid, ZENITH, 3, "uint8") is None
        return
    with pytest.raises(ValueError, match=r"HEALPix is needed|no grid of the sphere"):
        augmentation.check(grid, ZENITH, 3, "uint8")
