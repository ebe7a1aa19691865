"""The baselines under their names, and in the tasks that train HEAL-SWIN."""

import functools

import pytest
import torch

from healswin import HealpixGrid, create_model, list_models
from healswin.grid import EquiangularGrid
from healswin.tasks import SegmentationTask
from s2cnn_baselines import CNNSegmenter, CNNSize, S2CNNSegmenter
from s2cnn_baselines.named import _NAMED

TINY = {"features": (2,), "bandwidths": (3,), "max_beta": (0.3, 0.3)}
NETWORKS = {
    "s2cnn": functools.partial(S2CNNSegmenter, **TINY),
    "cnn": functools.partial(CNNSegmenter, size=CNNSize((4, 5), (3, 3), (1, 2))),
}


def test_all_are_listed():
    plain = {"s2cnn_segmenter", "s2cnn_classifier", "s2cnn_deep_classifier"}
    plain |= {"cnn_segmenter", "cnn_classifier"}
    assert set(list_models("*cnn_*")) == set(_NAMED) | plain


@pytest.mark.parametrize("name", ["s2cnn_classifier_59k", "cnn_classifier_58k"])
def test_a_name_makes_its_network(name):
    grid = EquiangularGrid(30, "driscoll-healy")
    network = create_model(name, grid, in_chans=2, num_classes=3)
    assert network(torch.randn(2, 2, *grid.shape)).shape == (2, 3)
    with pytest.raises(ValueError, match=f"{name} works on an EquiangularGrid"):
        create_model(name, HealpixGrid(8))


@pytest.mark.parametrize("sampling", ["soft", "driscoll-healy"])
@pytest.mark.parametrize("name", sorted(NETWORKS))
def test_a_segmentation_task_trains_them(name, sampling):
    """Only the network's name and the data's grid differ from a run of HEAL-SWIN."""
    torch.manual_seed(0)
    grid = EquiangularGrid(4, sampling)
    task = SegmentationTask(
        grid.to_dict(), in_chans=1, class_names=["a", "b", "c"], network=NETWORKS[name]
    )
    batch = {
        "image": torch.randn(2, 1, grid.num_pixels),
        "semantic": torch.randint(0, 3, (2, grid.num_pixels)),
        "sample": torch.arange(2),
    }
    optimizer = torch.optim.Adam(task.parameters(), lr=0.01)
    losses = []
    for _ in range(20):
        loss = task.loss(task(batch["image"]), batch)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0]
    assert task.predict_step(batch, 0)["prediction"].shape == (2, grid.num_pixels)
