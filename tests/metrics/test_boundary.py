"""Boundary IoU in the image and on the sphere, against all pairs of pixels."""

import math

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from healswin.grid import HealpixGrid
from healswin.metrics.boundary import BoundaryScores, SphereBand, image_band

IGNORED = 255


def blobs(shape, seed, classes=4):
    """Smooth random classes in an image, some of it ignored."""
    generator = np.random.default_rng(seed)
    fields = generator.normal(size=(classes, 4, 5)).astype(np.float32)
    fields = [cv2.resize(field, shape[::-1], interpolation=cv2.INTER_CUBIC) for field in fields]
    labels = np.argmax(fields, axis=0).astype(np.uint8)
    labels[np.max(fields, axis=0) < 0.3] = IGNORED
    return labels


def sphere_blobs(grid, seed, classes=4):
    """Smooth random classes on a sphere, some of it ignored."""
    generator = np.random.default_rng(seed)
    waves = generator.normal(size=(classes, 3, 3))
    fields = np.stack([np.cos(4 * grid.vectors() @ w).sum(axis=1) for w in waves])
    labels = np.argmax(fields, axis=0).astype(np.uint8)
    labels[np.max(fields, axis=0) < 0.4] = IGNORED
    return labels


def image_twin(labels, distance):
    """Every pixel and all around it; what lies beyond the border is no class."""
    height, width = labels.shape
    band = np.zeros(labels.shape, dtype=bool)
    for y in range(height):
        for x in range(width):
            if labels[y, x] == IGNORED:
                continue
            for v in range(y - distance, y + distance + 1):
                for u in range(x - distance, x + distance + 1):
                    inside = 0 <= v < height and 0 <= u < width
                    band[y, x] |= not inside or labels[v, u] != labels[y, x]
    return band


def sphere_twin(grid, labels, distance):
    """All pairs of pixels of the whole sphere; what lies beyond the grid is no class."""
    sphere = HealpixGrid(grid.nside)
    whole = np.full(sphere.num_pixels, IGNORED)
    whole[grid.pixels()] = labels
    vectors = sphere.vectors()
    chords = np.linalg.norm(grid.vectors()[:, None] - vectors[None], axis=-1)
    near = chords <= 2 * math.sin(distance / 2)
    return (near & (whole[None] != labels[:, None])).any(axis=1) & (labels != IGNORED)


@given(st.integers(0, 2**31), st.integers(5, 24), st.integers(5, 30), st.integers(1, 5))
def test_the_band_in_the_image(seed, height, width, distance):
    labels = blobs((height, width), seed)
    np.testing.assert_array_equal(image_band(labels, distance), image_twin(labels, distance))


def test_the_band_of_every_class_is_what_erosion_leaves():
    """The definition by the mask of each class: what a square, used d times, takes away."""
    labels = blobs((40, 50), 3)
    band = image_band(labels, 3)
    for class_ in range(4):
        mask = np.pad((labels == class_).astype(np.uint8), 1)
        inner = cv2.erode(mask, np.ones((3, 3), np.uint8), iterations=3)[1:-1, 1:-1]
        np.testing.assert_array_equal((labels == class_) & band, (mask[1:-1, 1:-1] > inner))


def test_the_default_is_two_percent_of_the_diagonal():
    labels = np.zeros((300, 400), dtype=np.uint8)  # diagonal 500, so 10 pixels of the border
    band = image_band(labels)
    assert band[:10].all()
    assert not band[10:-10, 10:-10].any()
    assert image_band(np.zeros((4, 5), np.uint8)).sum() == 14  # at least one


@pytest.mark.parametrize("base_pixels", [range(12), range(8), (0, 5)])
@pytest.mark.parametrize("distance", [0.15, 0.25, 0.6])
def test_the_band_on_the_sphere(base_pixels, distance):
    grid = HealpixGrid(8, tuple(base_pixels))
    for seed in range(4):
        labels = sphere_blobs(grid, seed)
        expected = sphere_twin(grid, labels, distance)
        assert 0 < expected.sum() < len(expected)
        found = SphereBand(grid, distance)
        np.testing.assert_array_equal(found(labels), expected)
        part = SphereBand(grid, distance, every=4)
        assert len(part.pixels) == grid.num_pixels / 4
        np.testing.assert_array_equal(part(labels), expected[part.pixels])


def test_noise_on_the_sphere():
    """Every pixel is of another class than some neighbour, and single pixels are found."""
    grid = HealpixGrid(8, range(8))
    labels = np.random.default_rng(0).integers(0, 3, grid.num_pixels).astype(np.uint8)
    np.testing.assert_array_equal(SphereBand(grid, 0.2)(labels), sphere_twin(grid, labels, 0.2))
    labels = np.zeros(grid.num_pixels, dtype=np.uint8)
    labels[100] = 1
    np.testing.assert_array_equal(SphereBand(grid, 0.2)(labels), sphere_twin(grid, labels, 0.2))


def test_the_way_to_another_pixel_passes_a_neighbour():
    """What `SphereBand` relies on: of the neighbours across an edge one is closer to the goal."""
    from healswin.grid.neighbours import EDGES, neighbours

    grid = HealpixGrid(8)
    vectors, around = grid.vectors(), neighbours(grid)[:, EDGES]
    cosine = vectors @ vectors.T
    closest = cosine[around].max(axis=1)  # of the neighbours of each pixel to every goal
    np.fill_diagonal(closest, 2)
    assert (closest > cosine + 1e-12)[~np.eye(len(cosine), dtype=bool)].all()


def test_the_default_on_the_sphere_is_two_percent_of_pi():
    assert SphereBand(HealpixGrid(64)).distance == pytest.approx(0.02 * math.pi)
    coarse = HealpixGrid(4)
    assert SphereBand(coarse).distance == pytest.approx(1.5 * coarse.pixel_spacing)
    half = (HealpixGrid(4).vectors()[:, 0] > 0).astype(np.uint8)
    assert SphereBand(coarse)(half).any()


def score_twin(prediction, target, prediction_band, target_band, class_):
    """Cheng et al. 2021: the two bands of a class as sets of pixels."""
    true = set(np.flatnonzero((target == class_) & target_band))
    guess = set(np.flatnonzero((prediction == class_) & prediction_band))
    return len(true & guess) / len(true | guess) if true | guess else math.nan


@given(st.integers(0, 2**31))
def test_the_scores(seed):
    target = blobs((20, 30), seed)
    prediction = np.where(target == IGNORED, IGNORED, blobs((20, 30), seed + 1) % 4)
    prediction = prediction.astype(np.uint8)
    bands = image_band(prediction, 2), image_band(target, 2)
    metric = BoundaryScores(5)
    metric.update(prediction, target, *bands)
    expected = [score_twin(prediction, target, *bands, class_) for class_ in range(5)]
    torch.testing.assert_close(
        metric.compute(), torch.tensor(expected, dtype=torch.float64), equal_nan=True
    )


def test_samples_add_up_before_anything_is_divided():
    whole, halves = BoundaryScores(4), []
    for seed in (1, 2):
        target, prediction = blobs((20, 30), seed), blobs((20, 30), seed + 10)
        prediction = np.where((target == IGNORED) | (prediction == IGNORED), target, prediction)
        arguments = (prediction, target, image_band(prediction, 2), image_band(target, 2))
        whole.update(*arguments)
        part = BoundaryScores(4)
        part.update(*arguments)
        halves.append(part)
    for name in ("both", "true", "predicted"):
        assert torch.equal(getattr(whole, name), sum(getattr(part, name) for part in halves))
    assert all(fx.__name__ == "dim_zero_sum" for fx in whole._reductions.values())


def test_right_everywhere_is_one_and_a_shift_by_the_width_is_none():
    target = np.zeros((60, 60), dtype=np.uint8)
    target[20:40, 20:40] = 1
    metric = BoundaryScores(3)
    band = image_band(target, 2)
    metric.update(target, target, band, band)
    assert metric.compute()[:2].tolist() == [1.0, 1.0]
    assert math.isnan(metric.compute()[2])
    # A square whose outline is nowhere near the true one, but half of whose area is right.
    shifted = np.zeros((60, 60), dtype=np.uint8)
    shifted[25:35, 25:35] = 1
    metric.reset()
    metric.update(shifted, target, image_band(shifted, 2), band)
    assert float(metric.compute()[1]) == 0


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: image_band(np.zeros((4, 4), np.int64)), "labels is int64"),
        (lambda: image_band(np.zeros((4, 4), np.uint8), 0), "distance=0"),
        (lambda: SphereBand(HealpixGrid(4), 0.0), "distance=0.0"),
        (lambda: SphereBand(HealpixGrid(4), 4.0), "distance=4.0"),
        (lambda: SphereBand(HealpixGrid(4), every=2), "every=2 must be a power of four"),
        (lambda: SphereBand(HealpixGrid(4), every=64), r"nside\^2 = 16"),
        (lambda: SphereBand(HealpixGrid(4))(np.zeros(5, np.uint8)), r"\(192,\) is needed"),
        (lambda: SphereBand(HealpixGrid(4))(np.zeros(192)), "labels is float64"),
        (lambda: BoundaryScores(0), "num_classes=0"),
    ],
)
def test_wrong_arguments(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_bands_of_another_size():
    labels, band = np.zeros(4, dtype=np.uint8), np.zeros(4, dtype=bool)
    with pytest.raises(ValueError, match="must have one shape"):
        BoundaryScores(2).update(labels, labels[:3], band, band[:3])


def test_a_class_that_is_none():
    labels = np.full(4, 3, dtype=np.uint8)
    everywhere = np.ones(4, dtype=bool)
    with pytest.raises(ValueError, match=r"holds class 3; expected 0..1"):
        BoundaryScores(2).update(labels, labels, everywhere, everywhere)
