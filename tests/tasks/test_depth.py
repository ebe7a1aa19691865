"""The depth task: what it learns, says, counts and refuses."""

import math
from functools import partial

import pytest
import torch

from healswin.data import DepthScale
from healswin.grid import EquiangularGrid, HealpixGrid
from healswin.metrics import DepthScores
from healswin.models import HealSwin
from healswin.tasks import DepthTask
from healswin.tasks.depth_losses import L1, ScaleInvariantLog, gaussian_nll

PIXELS = 2048
STATISTICS = {
    "count": 9,
    "mean": 12.0,
    "std": 8.0,
    "min": 0.5,
    "max": 90.0,
    "log": {"mean": 2.1, "std": 0.9},
    "inverse": {"mean": 0.25, "std": 0.3},
}
TRANSFORMS = ("none", "log", "inverse")
tiny = partial(HealSwin, embed_dim=8, depths=(1, 1), num_heads=(1, 2), window_size=16, shift_size=2)


def make(**arguments):
    grid = HealpixGrid(16, range(8)).to_dict()
    settings = {"grid": grid, "in_chans": 3, "depth_statistics": STATISTICS, "network": tiny}
    torch.manual_seed(0)
    return DepthTask(**{**settings, **arguments})


def batch(size=2):
    generator = torch.Generator().manual_seed(1)
    depth = 0.5 + 80 * torch.rand(size, PIXELS, generator=generator)
    depth[:, :100] = math.inf
    depth[:, 100:150] = math.nan
    return {
        "image": torch.randn(size, 3, PIXELS, generator=generator),
        "depth": depth,
        "sample": torch.arange(size),
    }


def exact_answer(task, depth):
    """What a network would have to say to be right, and something where there is no truth."""
    return task.scale.encode(torch.where(depth.isfinite(), depth, 30.0))[:, None]


@pytest.mark.parametrize("transform", TRANSFORMS)
def test_a_network_that_is_right_has_no_loss_and_no_error(transform):
    task = make(transform=transform)
    given = batch()
    answer = exact_answer(task, given["depth"])
    assert task.loss(answer, given).item() == pytest.approx(0, abs=1e-10)
    metres = task.predicted(answer)["prediction"]
    assert metres.dtype == torch.float32
    known = given["depth"].isfinite()
    torch.testing.assert_close(metres[known], given["depth"][known], rtol=1e-4, atol=0)
    scores = task.new_scores()
    task.count(scores, metres, given["depth"])
    values = task.scores(scores)
    assert values["rmse"] < 1e-2
    assert values["delta1"] == 1
    assert values["pixels"] == known.sum()


def test_the_published_loss_is_the_mean_square_of_standardised_depth_without_sky():
    task = make()
    given = batch()
    answer = torch.randn(2, 1, PIXELS)
    known = given["depth"].isfinite()
    target = (given["depth"][known] - 12.0) / 8.0
    expected = (answer[:, 0][known] - target).square().mean()
    torch.testing.assert_close(task.loss(answer, given), expected)


@pytest.mark.parametrize("transform", TRANSFORMS)
@pytest.mark.parametrize("log_variance_from", [None, 0])
def test_unknown_pixels_and_sky_have_no_gradient(transform, log_variance_from):
    task = make(transform=transform, log_variance_from=log_variance_from)
    given = batch()
    answer = torch.randn(2, task.out_chans, PIXELS, requires_grad=True)
    task.loss(answer, given).backward()
    counted = given["depth"].isfinite()[:, None].expand_as(answer)
    assert answer.grad.isfinite().all()
    assert not answer.grad[~counted].any()
    assert answer.grad[counted].all()


def test_sky_is_learned_where_that_is_asked_for():
    task = make(transform="log", learn_sky=True, sky_depth=200.0)
    given = batch()
    at_200 = {**given, "depth": given["depth"].masked_fill(given["depth"].isposinf(), 200.0)}
    answer = torch.randn(2, 1, PIXELS)
    assert task.loss(answer, given) == make(transform="log").loss(answer, at_200)
    assert task.loss(answer, given) != make(transform="log").loss(answer, given)
    # What is learned can be said, though no finite depth is as far.
    far = task.predicted(task.scale.encode(torch.full((1, 1, PIXELS), 200.0)))["prediction"]
    torch.testing.assert_close(far, torch.full((1, PIXELS), 200.0), rtol=1e-4, atol=0)
    scores = task.new_scores()
    task.count(scores, far, torch.full((1, PIXELS), math.inf))
    assert scores.compute()["with_sky/rmse"] < 0.1


def test_the_variance_is_learned_from_its_epoch_on():
    task = make(log_variance_from=2, loss=L1())
    given = batch()
    answer = torch.randn(2, 2, PIXELS)
    known = given["depth"].isfinite()
    residual = torch.where(known, answer[:, 0] - task.scale.encode(given["depth"]), 0)
    by_epoch = []
    for epoch in range(4):
        task._epoch_of_weights = epoch
        by_epoch.append(task.loss(answer, given))
    assert by_epoch[:2] == [L1()(residual, known)] * 2
    assert by_epoch[2:] == [gaussian_nll(residual, answer[:, 1], known)] * 2


def test_a_test_takes_the_loss_that_the_weights_were_trained_with():
    task = make(log_variance_from=2)
    checkpoint = {"epoch": 2}
    task.on_save_checkpoint(checkpoint)
    checkpoint["state_dict"] = task.state_dict()
    other = make(log_variance_from=2)
    given, answer = batch(), torch.randn(2, 2, PIXELS)
    before = other.loss(answer, given)
    other.on_load_checkpoint(checkpoint)
    assert other.loss(answer, given) != before


@pytest.mark.parametrize("transform", TRANSFORMS)
def test_the_deviation_is_in_metres(transform):
    task = make(transform=transform, log_variance_from=0)
    answer = torch.randn(2, 2, PIXELS) * 0.3
    said = task.predicted(answer)
    expected = task.scale.deviation(answer[:, 0], (answer[:, 1] / 2).exp())
    torch.testing.assert_close(said["deviation"], expected)
    assert said["deviation"].shape == said["prediction"].shape == (2, PIXELS)
    assert (said["deviation"] > 0).all()
    assert "deviation" not in make().predicted(answer[:, :1])


def test_a_step_of_prediction():
    task = make().eval()
    given = batch()
    result = task.predict_step(given, 0)
    assert torch.equal(result["prediction"], task.scale.decode(task(given["image"])[:, 0]))
    assert torch.equal(result["sample"], given["sample"])


def test_training_lowers_the_loss():
    task = make(transform="log")
    given = batch()
    optimizer = torch.optim.Adam(task.parameters(), lr=1e-2)
    losses = []
    for _ in range(5):
        loss = task.loss(task(given["image"]), given)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.9 * losses[0]


def test_the_lowest_rmse_is_the_best():
    task = make()
    scores = task.new_scores()
    task.count(scores, torch.ones(1, PIXELS), torch.full((1, PIXELS), 3.0))
    assert task.scores(scores)[task.headline([])] == 2.0
    assert (task.best, task.kind, task.truths) == ("min", "depth", ("depth",))


def test_ranges_have_scores_in_the_test_only():
    task = make(ranges=[(0.0, 5.0)], sky_depth=300.0)
    assert list(task.test_scores.ranges) == ["0-5m"]
    assert not task.val_scores.ranges
    assert task.test_scores.sky_depth == task.val_scores.sky_depth == 300.0


class OnRows(torch.nn.Module):
    """Depth of every pixel from its own value."""

    def __init__(self, first, second, in_chans, out_chans):
        super().__init__()
        self.layer = torch.nn.Conv2d(in_chans, out_chans, 1)

    def forward(self, x):
        return self.layer(x)


def test_unlike_pixels_count_by_their_area():
    grid = EquiangularGrid(5)
    task = make(grid=grid.to_dict(), network=OnRows)
    prediction = torch.rand(2, grid.num_pixels) * 50 + 1
    target = torch.rand(2, grid.num_pixels) * 50 + 1
    scores = task.new_scores()
    task.count(scores, prediction, target)
    areas = torch.from_numpy(grid.areas()).expand(2, -1)
    error = (areas * (prediction - target).abs()).sum() / areas.sum()
    assert scores.compute()["mae"].item() == pytest.approx(error.item(), rel=1e-6)
    plain = DepthScores()
    plain.update(prediction, target)
    assert plain.compute()["mae"] != scores.compute()["mae"]
    assert "areas" not in task.state_dict()


@pytest.mark.parametrize("unknown", [math.nan, math.inf])
def test_a_split_without_known_depth_is_named(unknown):
    task = make()
    task.count(task.val_scores, torch.ones(1, PIXELS), torch.full((1, PIXELS), unknown))
    with pytest.raises(ValueError, match="the val split: there is no pixel with a known depth"):
        task.on_validation_epoch_end()


class WrongChannels(torch.nn.Module):
    """A network that always answers with three channels, or with one number a map."""

    def __init__(self, nside, base_pixels, in_chans, out_chans, *, channels=3, whole=False):
        super().__init__()
        self.layer = torch.nn.Conv1d(in_chans, channels, 1)
        self.whole = whole

    def forward(self, x):
        return self.layer(x).mean(dim=-1) if self.whole else self.layer(x)


@pytest.mark.parametrize(
    ("network", "shape"),
    [
        (WrongChannels, r"\(2, 3, 2048\)"),
        (partial(WrongChannels, channels=2), r"\(2, 2, 2048\)"),
        (partial(WrongChannels, channels=1, whole=True), r"\(2, 1\)"),
    ],
)
def test_a_network_with_other_channels_is_refused(network, shape):
    task = make(network=network)
    given = batch()
    message = rf"network: its answer has the shape {shape}, \(batch, 1, 2048\) is needed: depth of"
    for answer_to in (lambda: task.loss(task(given["image"]), given), lambda: task(given["image"])):
        with pytest.raises(ValueError, match=message):
            task.predicted(answer_to())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"depth_statistics": None}, "depth_statistics is missing: the data set holds no depth"),
        (
            {"depth_statistics": {"count": 3, "mean": 1.0, "std": 1.0}, "transform": "inverse"},
            "transform='inverse': .* convert it again",
        ),
        ({"transform": "square"}, "transform='square'"),
        ({"loss": ScaleInvariantLog()}, "ScaleInvariantLog with transform='none': .*'log'"),
        ({"log_variance_from": -1}, "log_variance_from=-1"),
        ({"sky_depth": 0.0}, r"sky_depth=0\.0"),
        ({"ranges": [(3.0, 1.0)]}, "ranges="),
    ],
)
def test_wrong_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        make(**arguments)


def test_the_scale_invariant_loss_goes_with_logarithms():
    task = make(loss=ScaleInvariantLog(), transform="log")
    given = batch()
    answer = exact_answer(task, given["depth"])
    assert task.loss(answer + 1.0, given).item() == pytest.approx(0.5, rel=1e-5)


def test_hyperparameters_are_plain_values():
    hyperparameters = dict(make(loss=L1()).hparams)
    assert hyperparameters["depth_statistics"] == STATISTICS
    assert not any(callable(value) for value in hyperparameters.values())


def saved(task):
    checkpoint = {"epoch": 0, "state_dict": task.state_dict()}
    task.on_save_checkpoint(checkpoint)
    return checkpoint


def test_the_scale_belongs_to_the_weights():
    """Other data with other statistics change nothing of what a trained network means."""
    trained = make(transform="log")
    other = make(transform="log", depth_statistics={**STATISTICS, "log": {"mean": 5.0, "std": 2.0}})
    assert other.scale != trained.scale
    other.on_load_checkpoint(saved(trained))
    assert other.scale == trained.scale == DepthScale("log", 2.1, 0.9, 0.5, 90.0)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"transform": "inverse"}, "transform='none': the checkpoint was trained with 'inverse'"),
        ({"log_variance_from": 3}, "log_variance_from=None: the checkpoint predicts a variance"),
        ({"pole": "vehicle"}, "trained with pole vehicle, the data have camera"),
    ],
)
def test_weights_that_learned_something_else_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        make().on_load_checkpoint(saved(make(**arguments)))


def test_weights_of_another_task_are_refused():
    with pytest.raises(ValueError, match="is of no depth task"):
        make().on_load_checkpoint({"healswin": {"nside": 16}, "state_dict": {}})
