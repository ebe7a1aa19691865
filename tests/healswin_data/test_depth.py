"""Metres to standardised values and back."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from healswin.data import DepthScale, PreparedDataModule, PreparedSet

TRANSFORMS = ("none", "log", "inverse")
STATISTICS = {
    "count": 9,
    "mean": 12.0,
    "std": 8.0,
    "min": 0.5,
    "max": 90.0,
    "log": {"mean": 2.1, "std": 0.9},
    "inverse": {"mean": 0.25, "std": 0.3},
}


@given(
    transform=st.sampled_from(TRANSFORMS),
    metres=st.lists(st.floats(0.5, 90.0), min_size=1, max_size=20),
    mean=st.floats(-3, 3),
    std=st.floats(0.1, 10),
)
def test_decoding_undoes_encoding(transform, metres, mean, std):
    scale = DepthScale(transform, mean, std, 0.5, 90.0)
    given_metres = torch.tensor(metres, dtype=torch.float64)
    torch.testing.assert_close(scale.decode(scale.encode(given_metres)), given_metres)


@pytest.mark.parametrize(
    ("transform", "apply"), [("none", float), ("log", math.log), ("inverse", lambda d: 1 / d)]
)
def test_values_are_standardised_transforms(transform, apply):
    scale = DepthScale.from_statistics(STATISTICS, transform)
    moments = STATISTICS if transform == "none" else STATISTICS[transform]
    for metres in (0.7, 12.0, 88.0):
        expected = (apply(metres) - moments["mean"]) / moments["std"]
        value = scale.encode(torch.tensor([metres], dtype=torch.float64))
        assert value.item() == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("transform", TRANSFORMS)
def test_unknown_stays_unknown_and_sky_is_far(transform):
    scale = DepthScale.from_statistics(STATISTICS, transform)
    unknown, sky = scale.encode(torch.tensor([math.nan, math.inf])).tolist()
    assert math.isnan(unknown)
    if transform == "inverse":
        assert sky == pytest.approx(-0.25 / 0.3)
    else:
        assert sky == math.inf
    assert torch.isnan(scale.decode(torch.tensor([math.nan]))).all()


@pytest.mark.parametrize("transform", ["log", "inverse"])
def test_what_no_depth_has_is_limited_to_the_data(transform):
    scale = DepthScale.from_statistics(STATISTICS, transform)
    far = torch.tensor([-1e9, -40.0, 40.0, 1e9])
    metres = scale.decode(far)
    assert sorted(set(metres.tolist())) == [0.5, 90.0]
    with_sky = DepthScale.from_statistics(STATISTICS, transform, sky_depth=1000.0)
    assert with_sky.decode(far).max() == 1000.0


def test_metres_themselves_are_not_limited():
    scale = DepthScale.from_statistics(STATISTICS, "none")
    assert scale.decode(torch.tensor([-2.0, 100.0])).tolist() == [-4.0, 812.0]


def test_without_limits_an_inverse_of_nothing_is_infinitely_far():
    scale = DepthScale("inverse", 0.0, 1.0)
    assert scale.decode(torch.tensor([-1.0, 0.0, 0.5])).tolist() == [math.inf, math.inf, 2.0]


@pytest.mark.parametrize("transform", TRANSFORMS)
def test_a_deviation_is_the_slope_of_decoding(transform):
    scale = DepthScale.from_statistics(STATISTICS, transform)
    value = scale.encode(torch.tensor([1.0, 9.0, 60.0], dtype=torch.float64))
    step = 1e-6
    slope = (scale.decode(value + step) - scale.decode(value - step)).abs() / (2 * step)
    expected = 0.3 * slope
    deviation = scale.deviation(value, torch.full_like(value, 0.3))
    torch.testing.assert_close(deviation, expected, rtol=1e-6, atol=0)


def test_a_scale_is_plain_values():
    scale = DepthScale.from_statistics(STATISTICS, "log")
    assert DepthScale(**scale.to_dict()) == scale


def test_depth_that_never_varies_is_centred():
    still = {**STATISTICS, "mean": 3.0, "std": 0.0, "min": 3.0, "max": 3.0}
    scale = DepthScale.from_statistics(still, "none")
    assert scale.encode(torch.tensor([3.0])).item() == 0.0


@pytest.mark.parametrize(
    ("statistics", "transform", "message"),
    [
        (None, "none", "depth_statistics is missing: the data set holds no depth"),
        ({**STATISTICS, "count": 0}, "none", "no pixel of the training split has a finite depth"),
        (STATISTICS, "root", "transform='root' must be one of"),
        (
            {k: v for k, v in STATISTICS.items() if k != "log"},
            "log",
            "transform='log': .* convert it again, or run `healswin-prep stats`",
        ),
    ],
)
def test_statistics_that_give_no_scale(statistics, transform, message):
    with pytest.raises(ValueError, match=message):
        DepthScale.from_statistics(statistics, transform)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("square", 0.0, 1.0), "transform='square'"),
        (("none", math.nan, 1.0), "mean=nan"),
        (("none", 0.0, 0.0), r"std=0\.0"),
        (("log", 0.0, 1.0, 2.0), r"min=2\.0 and max=None"),
        (("log", 0.0, 1.0, 0.0, 2.0), r"min=0\.0 and max=2\.0"),
        (("log", 0.0, 1.0, 3.0, 2.0), r"min=3\.0 and max=2\.0"),
        (("log", 0.0, 1.0, 3.0, math.inf), "max=inf"),
    ],
)
def test_wrong_scales(arguments, message):
    with pytest.raises(ValueError, match=message):
        DepthScale(*arguments)


@pytest.mark.parametrize("transform", TRANSFORMS)
def test_the_training_split_has_mean_0_and_deviation_1(prepared, transform):
    made = PreparedSet.open(prepared(16))
    scale = DepthScale.from_statistics(made.depth_statistics, transform)
    metres = []
    for index in made.split["train"]:
        depth = torch.from_numpy(made.depth(index)).double()
        metres.append(depth[depth.isfinite()])
    value = scale.encode(torch.cat(metres))
    assert value.mean().item() == pytest.approx(0, abs=1e-9)
    assert value.std(correction=0).item() == pytest.approx(1, rel=1e-9)


def test_the_data_module_says_how_depth_is_distributed(prepared):
    root = str(prepared(16))
    data = PreparedDataModule(root)
    assert data.depth_statistics == data.prepared.attributes["depth_statistics"]
    assert data.state_dict()["depth_statistics"] == data.depth_statistics
    labels = PreparedDataModule(root, tasks=["semantic"])
    assert labels.depth_statistics is None
    told = PreparedDataModule(root, tasks=["semantic"], depth_statistics=STATISTICS)
    assert told.depth_statistics == STATISTICS
    with pytest.raises(ValueError, match="has depth and its own"):
        PreparedDataModule(root, depth_statistics=STATISTICS)
