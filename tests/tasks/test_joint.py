"""One network, two heads: what each is told and how it is scored are those of its own task."""

import math

import pytest
import torch
from torch import nn

from healswin.tasks import DepthTask, JointTask, SegmentationTask
from healswin.tasks.joint import heads_of

GRID = {"grid": "healpix", "nside": 2, "base_pixels": [0, 1]}
PIXELS = 8
CLASSES = ["void", "road", "sky"]
STATISTICS = {
    "count": 100,
    "mean": 12.0,
    "std": 5.0,
    "min": 1.0,
    "max": 60.0,
    "log": {"mean": 2.2, "std": 0.7},
    "inverse": {"mean": 0.2, "std": 0.1},
}


class Linear(nn.Module):
    """A linear layer at every pixel."""

    def __init__(self, nside, base_pixels, in_chans, out_chans):
        super().__init__()
        self.layer = nn.Conv1d(in_chans, out_chans, 1)

    def forward(self, x):
        return self.layer(x)


def joint(**arguments):
    torch.manual_seed(0)
    return JointTask(GRID, 3, CLASSES, STATISTICS, network=Linear, **arguments)


def batch_of(samples=2, seed=0):
    generator = torch.Generator().manual_seed(seed)
    depth = 1 + 50 * torch.rand(samples, PIXELS, generator=generator)
    depth[:, 0], depth[:, 1] = math.inf, math.nan
    return {
        "image": torch.randn(samples, 3, PIXELS, generator=generator),
        "semantic": torch.randint(0, 3, (samples, PIXELS), generator=generator),
        "depth": depth,
        "sample": torch.arange(samples),
    }


def alone(task, answer, batch):
    """Both tasks by themselves, each with its part of the answer."""
    classes = SegmentationTask(GRID, 3, CLASSES, network=Linear)
    depth = DepthTask(GRID, 3, STATISTICS, network=Linear, transform=task.depth.scale.transform)
    return classes, depth, classes.loss(answer[:, :3], batch), depth.loss(answer[:, 3:], batch)


def test_the_network_has_a_channel_for_each_class_and_one_or_two_for_depth():
    assert joint().network.layer.out_channels == 4
    assert joint(log_variance_from=0).network.layer.out_channels == 5


@pytest.mark.parametrize("weight", [0.3, 2.0])
def test_a_fixed_weight_adds_the_losses(weight):
    task, batch = joint(depth_weight=weight, transform="log"), batch_of()
    answer = task(batch["image"])
    _, _, one, other = alone(task, answer, batch)
    torch.testing.assert_close(task.loss(answer, batch), one + weight * other)
    assert task.log_variances is None


def test_learned_weights_are_best_where_they_equal_the_losses():
    """The minimum over s1 of exp(-s1) L + s1 / 2 lies at exp(s1) = 2 L, over s2 at exp(s2) = L."""
    task, batch = joint(), batch_of()
    answer = task(batch["image"]).detach()
    _, _, one, other = alone(task, answer, batch)
    with torch.no_grad():
        task.log_variances.copy_(torch.stack([2 * one, other]).log())
    loss = task.loss(answer, batch)
    (gradient,) = torch.autograd.grad(loss, task.log_variances)
    assert gradient.abs().max() < 1e-6
    expected = 0.5 + 0.5 + (2 * one).log() / 2 + other.log() / 2
    torch.testing.assert_close(loss, expected)


def test_every_parameter_is_trained_and_the_weights_do_not_decay():
    task, batch = joint(optimizer=lambda p: torch.optim.AdamW(p, weight_decay=0.1)), batch_of()
    task.loss(task(batch["image"]), batch).backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in task.parameters())
    groups = task.configure_optimizers()["optimizer"].param_groups
    trained = [p for group in groups for p in group["params"]]
    assert {id(p) for p in trained} == {id(p) for p in task.parameters()}
    (decay,) = [
        g["weight_decay"] for g in groups if any(p is task.log_variances for p in g["params"])
    ]
    assert decay == 0


def test_predictions_and_scores_are_those_of_the_two_tasks():
    task, batch = joint(transform="log"), batch_of()
    answer = task(batch["image"])
    classes, depth, *_ = alone(task, answer, batch)
    said = {"sample": batch["sample"], **task.predicted(answer)}
    for head, twin, part in zip(
        heads_of(said), (classes, depth), (answer[:, :3], answer[:, 3:]), strict=True
    ):
        for name, values in twin.predicted(part).items():
            assert torch.equal(head[name], values)
    task.tally(task.test_scores, said, batch)
    scores = task.scores(task.test_scores)
    classes.count(classes.test_scores, said["prediction"], batch["semantic"])
    depth.count(depth.test_scores, said["depth"], batch["depth"])
    expected = {f"segmentation/{k}": v for k, v in classes.scores(classes.test_scores).items()}
    expected |= {f"depth/{k}": v for k, v in depth.scores(depth.test_scores).items()}
    assert set(scores) == set(expected)
    for name, value in scores.items():
        torch.testing.assert_close(value, expected[name], equal_nan=True)
    assert JointTask.headline(CLASSES) == "segmentation/miou_without_void"
    assert JointTask.headline(CLASSES) in scores


def test_a_deviation_is_passed_on():
    task, batch = joint(log_variance_from=0), batch_of()
    said = {"sample": batch["sample"], **task.predicted(task(batch["image"]))}
    assert (said["deviation"] > 0).all()
    assert torch.equal(heads_of(said)[1]["deviation"], said["deviation"])


def test_the_scale_of_depth_belongs_to_the_weights():
    one, checkpoint = joint(transform="log"), {}
    one.on_save_checkpoint(checkpoint)
    moved = {**STATISTICS, "log": {"mean": 9.0, "std": 3.0}}
    other = JointTask(GRID, 3, CLASSES, moved, network=Linear, transform="log")
    other.on_load_checkpoint({**checkpoint, "state_dict": one.state_dict()})
    assert other.depth.scale == one.depth.scale
    with pytest.raises(ValueError, match="transform='none': the checkpoint was trained with 'log'"):
        joint().on_load_checkpoint({**checkpoint, "state_dict": one.state_dict()})
    classes = JointTask(GRID, 3, ["a", "b", "c"], STATISTICS, network=Linear, transform="log")
    with pytest.raises(ValueError, match="class_names"):
        classes.on_load_checkpoint({**checkpoint, "state_dict": one.state_dict()})


@pytest.mark.parametrize("weight", [0.0, -1.0, math.nan])
def test_a_weight_must_be_above_0(weight):
    with pytest.raises(ValueError, match="depth_weight"):
        joint(depth_weight=weight)


def test_a_network_with_other_channels_is_refused():
    task, batch = joint(), batch_of()
    with pytest.raises(ValueError, match=r"\(batch, 4, pixels\) is needed: 3 classes, then depth"):
        task.loss(torch.zeros(2, 5, PIXELS), batch)


def test_data_without_depth_or_classes_are_refused():
    with pytest.raises(ValueError, match="depth_statistics is missing"):
        JointTask(GRID, 3, CLASSES, None, network=Linear)
    with pytest.raises(ValueError, match="class_names is empty"):
        JointTask(GRID, 3, [], STATISTICS, network=Linear)
