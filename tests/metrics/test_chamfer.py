"""The Chamfer distance against all pairs, and what must hold for any clouds."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from healswin.metrics import chamfer
from healswin.metrics.chamfer import ChamferScore, chamfer_distance, nearest_distances

SEARCHES = ("tree", "blocks")


def cloud(size, seed, dtype=torch.float64):
    """Points as of a depth map: all around, dense near by, up to hundreds of metres away."""
    generator = torch.Generator().manual_seed(seed)
    rays = torch.randn(size, 3, generator=generator, dtype=torch.float64)
    depth = torch.exp(2 * torch.randn(size, 1, generator=generator, dtype=torch.float64) + 1)
    return (rays / rays.norm(dim=1, keepdim=True) * depth).to(dtype)


def all_pairs(queries, points):
    """The distance to the nearest point, by looking at every pair."""
    return (queries[:, None] - points[None]).square().sum(-1).amin(1).sqrt()


@pytest.mark.parametrize("search", SEARCHES)
@given(
    sizes=st.tuples(st.integers(1, 90), st.integers(1, 90)),
    block=st.integers(1, 40),
    seed=st.integers(0, 1000),
)
def test_nearest_distances_are_those_of_all_pairs(search, sizes, block, seed):
    queries, points = cloud(sizes[0], seed), cloud(sizes[1], seed + 1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(chamfer, "_BLOCK", block)
        patch.setattr(chamfer, "_ROWS", 3)
        patch.setattr(chamfer, "_HELD", 2 * block**2)
        found = nearest_distances(queries, points, search)
    torch.testing.assert_close(found, all_pairs(queries, points), rtol=1e-12, atol=1e-12)


def test_single_precision_far_away_is_exact_to_its_rounding():
    """200 m away float32 coordinates are 15 micrometres apart; the search must not add to that."""
    points = cloud(700, 0, torch.float32) + 200
    queries = points[:300] + 1e-3
    expected = all_pairs(queries.double(), points.double())
    found = nearest_distances(queries, points, "blocks")
    torch.testing.assert_close(found.double(), expected, rtol=1e-5, atol=1e-9)


@pytest.mark.parametrize("shape", ["room", "sphere"])
def test_most_pairs_are_not_compared(shape):
    """Of surfaces, as depth maps are: the walls of a room, and the same or a sphere as guess.

    From the corners of the room the points of the sphere are unlike far, and from the middle of a
    wall nearly alike.
    """
    points = 5 * torch.nn.functional.normalize(cloud(5000, 0), p=torch.inf)
    order = torch.inf if shape == "room" else 2
    queries = 5.1 * torch.nn.functional.normalize(cloud(6000, 1), p=order)
    compared = 0
    with pytest.MonkeyPatch.context() as patch:

        def counting(a, b, **settings):
            nonlocal compared
            compared += a.shape[0] * a.shape[1] * b.shape[1]
            return plain(a, b, **settings)

        plain = torch.cdist
        patch.setattr(chamfer, "_BLOCK", 32)
        patch.setattr(torch, "cdist", counting)
        there = nearest_distances(queries, points, "blocks")
        back = nearest_distances(points, queries, "blocks")
    torch.testing.assert_close(there, nearest_distances(queries, points, "tree"))
    torch.testing.assert_close(back, nearest_distances(points, queries, "tree"))
    assert compared < 0.2 * 2 * len(queries) * len(points)


def test_bounds_are_below_every_distance():
    """Also where a block lies around the origin, at it, or in one place."""
    blocks = torch.stack(
        [cloud(8, seed) * scale for seed, scale in enumerate((1, 1e-3, 1, 1, 100))]
        + [cloud(8, 9) + 30, cloud(1, 7).expand(8, 3), torch.zeros(8, 3, dtype=torch.float64)]
    )
    for dtype in (torch.float64, torch.float32):
        some = blocks.to(dtype)
        apart = torch.cdist(blocks.flatten(0, 1), blocks.flatten(0, 1))
        nearest = apart.view(8, 8, 8, 8).amin(dim=(1, 3))
        for bound in (chamfer._between_boxes(some, some), chamfer._between_cones(some, some)):
            assert (bound <= nearest).all()
        assert (bound[:5, 5] > 0).any()


@pytest.mark.parametrize("search", SEARCHES)
@pytest.mark.parametrize("squared", [False, True])
def test_definition(search, squared):
    prediction, truth = cloud(50, 0), cloud(80, 1)
    power = 2 if squared else 1
    there, back = all_pairs(prediction, truth), all_pairs(truth, prediction)
    expected = (there**power).mean() + (back**power).mean()
    found = chamfer_distance(prediction, truth, squared, search)
    assert found.dtype == torch.float64
    assert found.shape == ()
    assert float(found) == pytest.approx(float(expected), rel=1e-12)
    # Symmetric, zero for the same points in any order, and unchanged by motions of both clouds.
    assert float(chamfer_distance(truth, prediction, squared, search)) == pytest.approx(
        float(found), rel=1e-12
    )
    assert float(chamfer_distance(truth, truth.flip(0), squared, search)) == 0
    turn = torch.linalg.qr(cloud(3, 2))[0]
    moved = chamfer_distance(prediction @ turn + 3, truth @ turn + 3, squared, search)
    assert float(moved) == pytest.approx(float(found), rel=1e-9)


def test_by_hand():
    """A cloud of one point, a metre from one of two others, which are 3 m apart."""
    one = torch.tensor([[0.0, 0.0, 1.0]])
    two = torch.tensor([[0.0, 0.0, 2.0], [0.0, 0.0, 5.0]])
    assert float(chamfer_distance(one, two)) == 1 + (1 + 4) / 2
    assert float(chamfer_distance(one, two, squared=True)) == 1 + (1 + 16) / 2


def test_score_is_the_mean_over_samples():
    pairs = [(cloud(20 + i, i), cloud(40 - i, i + 9)) for i in range(4)]
    score = ChamferScore()
    with pytest.warns(UserWarning, match="before the ``update``"):
        nothing = score.compute()
    assert all(math.isnan(value) for value in nothing.values())
    score = ChamferScore()
    for prediction, truth in pairs:
        score.update(prediction, truth)
    found = score.compute()
    for name, squared in (("chamfer", False), ("chamfer_squared", True)):
        each = [float(chamfer_distance(*pair, squared)) for pair in pairs]
        assert float(found[name]) == pytest.approx(sum(each) / 4, rel=1e-12)
    parts = found["chamfer_from_prediction"] + found["chamfer_from_truth"]
    assert float(parts) == pytest.approx(float(found["chamfer"]), rel=1e-12)
    there = [float(all_pairs(*pair).mean()) for pair in pairs]
    assert float(found["chamfer_from_prediction"]) == pytest.approx(sum(there) / 4, rel=1e-12)


def test_processes_add_up():
    """What torchmetrics does between processes: states are summed."""
    pairs = [(cloud(20, i), cloud(30, i + 9)) for i in range(5)]
    whole, parts = ChamferScore(), (ChamferScore(), ChamferScore())
    for number, pair in enumerate(pairs):
        whole.update(*pair)
        parts[number % 2].update(*pair)
    both = ChamferScore()
    for name, reduction in both._reductions.items():
        state = reduction(torch.stack([getattr(part, name) for part in parts]))
        setattr(both, name, state)
    both._update_count = 1
    for name, value in whole.compute().items():
        assert float(both.compute()[name]) == pytest.approx(float(value), rel=1e-12)


@pytest.mark.parametrize(
    ("prediction", "truth", "match"),
    [
        (torch.zeros(0, 3), torch.zeros(2, 3), r"prediction has shape \(0, 3\), points \(n, 3\)"),
        (torch.zeros(2, 3), torch.zeros(0, 3), r"truth has shape \(0, 3\)"),
        (torch.full((2, 3), torch.nan), torch.zeros(2, 3), "prediction holds coordinates that are"),
        (torch.zeros(2, 3), torch.full((2, 3), torch.inf), "truth holds .* leave out pixels"),
    ],
)
def test_what_is_no_cloud(prediction, truth, match):
    with pytest.raises(ValueError, match=match):
        chamfer_distance(prediction, truth)
    with pytest.raises(ValueError, match=match):
        ChamferScore().update(prediction, truth)


def test_unknown_searches():
    with pytest.raises(ValueError, match="search='fast' must be auto, tree or blocks"):
        nearest_distances(cloud(2, 0), cloud(2, 1), "fast")
    with pytest.raises(ValueError, match="search='fast'"):
        ChamferScore("fast")
