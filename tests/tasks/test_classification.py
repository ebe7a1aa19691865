from functools import partial

import pytest
import torch
from torch.nn import functional

from healswin.grid import EquiangularGrid, HealpixGrid
from healswin.models import HealSwin
from healswin.tasks import ClassificationTask

NAMES = ["cat", "dog", "fox"]
tiny = partial(
    HealSwin,
    embed_dim=8,
    depths=(1, 1),
    num_heads=(1, 2),
    window_size=16,
    shift_size=2,
    head="classification",
)


def make(**arguments):
    grid = HealpixGrid(16, range(8)).to_dict()
    settings = {"grid": grid, "in_chans": 3, "label_names": NAMES, "network": tiny}
    torch.manual_seed(0)
    return ClassificationTask(**{**settings, **arguments})


def batch(size=4):
    return {
        "image": torch.randn(size, 3, 2048),
        "label": torch.arange(size) % 3,
        "sample": torch.arange(size),
    }


def test_predictions_are_the_likeliest_labels_and_their_scores():
    task = make().eval()
    given = batch()
    result = task.predict_step(given, 0)
    logits = task(given["image"])
    assert torch.equal(result["prediction"], logits.argmax(1))
    torch.testing.assert_close(result["scores"], logits.softmax(1))
    assert torch.equal(result["sample"], given["sample"])


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_the_loss_spreads_a_part_of_the_target_evenly(smoothing):
    task = make(label_smoothing=smoothing)
    logits = torch.randn(5, 3)
    given = {"label": torch.tensor([0, 2, 1, 1, 0])}
    target = functional.one_hot(given["label"], 3) * (1 - smoothing) + smoothing / 3
    expected = -(target * logits.log_softmax(1)).sum(1).mean()
    torch.testing.assert_close(task.loss(logits, given), expected)


def test_scores_are_of_all_samples_together():
    task = make()
    for prediction, truth in (([0, 1, 1], [0, 1, 2]), ([0], [1])):
        task.count(task.val_scores, torch.tensor(prediction), torch.tensor(truth))
    scores = {name: float(value) for name, value in task.scores(task.val_scores).items()}
    expected = {"accuracy": 0.5, "accuracy/cat": 1.0, "accuracy/dog": 0.5, "accuracy/fox": 0.0}
    assert scores == expected


@pytest.mark.filterwarnings("ignore:The ``compute`` method of metric")
def test_a_split_without_samples_is_told():
    task = make()
    with pytest.raises(ValueError, match="the val split: there is no sample"):
        task.on_validation_epoch_end()


def test_what_decides_the_best_weights():
    assert ClassificationTask.headline(["void"]) == "accuracy"
    assert ClassificationTask.best == "max"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"label_names": []}, r"label_names=\[\] must be two or more"),
        ({"label_names": ["cat", "cat"]}, "unlike names"),
        ({"label_smoothing": 1.0}, "label_smoothing=1.0 must be at least 0 and below 1"),
        ({"label_smoothing": -0.1}, "label_smoothing=-0.1"),
    ],
)
def test_wrong_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        make(**arguments)


def test_a_network_must_classify():
    task = make(network=partial(tiny, head="dense"))
    with pytest.raises(ValueError, match=r"a classifier answers \(batch, 3\)"):
        task.training_step(batch(), 0)


def test_checkpoints_of_other_labels_are_refused():
    task = make()
    checkpoint = {}
    task.on_save_checkpoint(checkpoint)
    task.on_load_checkpoint(checkpoint)
    theirs = {**checkpoint["healswin"], "label_names": ["cat", "dog", "owl"]}
    with pytest.raises(ValueError, match=r"trained with label_names .*'owl'.*, the data have"):
        task.on_load_checkpoint({"healswin": theirs})


class Mean(torch.nn.Module):
    """Scores of a map from the mean of its channels; refuses anything but rows and columns."""

    def __init__(self, bandwidth, sampling, in_chans, num_classes):
        super().__init__()
        self.classes = torch.nn.Linear(in_chans, num_classes)

    def forward(self, x):
        return self.classes(x.mean(dim=(2, 3)))


def test_networks_of_rows_and_columns_are_trained_by_the_same_task():
    grid = EquiangularGrid(4)
    task = make(grid=grid.to_dict(), network=Mean)
    answer = task(torch.randn(2, 3, grid.num_pixels))
    assert answer.shape == (2, 3)
    torch.testing.assert_close(task.predicted(answer)["scores"].sum(1), torch.ones(2))
