from functools import partial

import pytest
import torch

from healswin.grid import EquiangularGrid, HealpixGrid, ImageGrid
from healswin.models import HealSwin
from healswin.tasks import SegmentationTask
from healswin.tasks.base import check_same_data
from healswin.tasks.segmentation import with_headline

NAMES = ["void", "road", "sky"]
tiny = partial(HealSwin, embed_dim=8, depths=(1, 1), num_heads=(1, 2), window_size=16, shift_size=2)


def make(**arguments):
    grid = HealpixGrid(16, range(8)).to_dict()
    settings = {"grid": grid, "in_chans": 3, "class_names": NAMES}
    torch.manual_seed(0)
    return SegmentationTask(**{**settings, "network": tiny, **arguments})


def batch(size=2):
    return {
        "image": torch.randn(size, 3, 2048),
        "semantic": torch.randint(0, 3, (size, 2048)),
        "sample": torch.arange(size),
    }


def test_predictions_are_the_likeliest_classes():
    task = make().eval()
    given = batch()
    result = task.predict_step(given, 0)
    assert torch.equal(result["prediction"], task(given["image"]).argmax(1))
    assert torch.equal(result["sample"], given["sample"])


def test_weight_decay_spares_what_the_network_names():
    task = make(optimizer=partial(torch.optim.AdamW, weight_decay=0.1))
    decayed, spared = task.configure_optimizers()["optimizer"].param_groups
    names = {id(p): name for name, p in task.network.named_parameters()}
    assert (decayed["weight_decay"], spared["weight_decay"]) == (0.1, 0.0)
    assert {names[id(p)] for p in spared["params"]} == task.network.no_weight_decay()
    assert len(decayed["params"]) + len(spared["params"]) == len(names)


def test_void_is_found_by_its_name():
    assert make().void_index == 0
    assert make(class_names=["road", "sky"]).void_index is None


@pytest.mark.parametrize(
    ("choice", "balanced", "expected"),
    [
        ("balanced", [1.0, 2.0, 3.0], [1.0, 2.0, 3.0]),
        ("balanced", None, None),
        ("none", [1.0, 2.0, 3.0], None),
        ([3.0, 0.0, 1.0], [1.0, 2.0, 3.0], [3.0, 0.0, 1.0]),
    ],
)
def test_class_weights(choice, balanced, expected):
    task = make(class_weights=choice, balanced_weights=balanced)
    assert (None if task.weights is None else task.weights.tolist()) == expected
    assert "weights" not in task.state_dict()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"class_weights": [1.0, 2.0]}, "one weight for each of the 3 classes"),
        ({"class_weights": "heavy"}, "must be 'balanced', 'none'"),
        ({"class_weights": [1.0, -1.0, 1.0]}, "must not be negative"),
        ({"class_names": []}, "class_names is empty"),
    ],
)
def test_wrong_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        make(**arguments)


def test_schedules_are_optional():
    assert set(make().configure_optimizers()) == {"optimizer"}
    schedule = partial(torch.optim.lr_scheduler.StepLR, step_size=1)
    chosen = make(optimizer=partial(torch.optim.SGD, lr=0.5), lr_scheduler=schedule)
    optimizers = chosen.configure_optimizers()
    assert optimizers["lr_scheduler"]["scheduler"].optimizer is optimizers["optimizer"]
    assert optimizers["optimizer"].param_groups[0]["lr"] == 0.5


def test_hyperparameters_are_plain_values():
    hyperparameters = dict(make().hparams)
    assert hyperparameters["grid"]["nside"] == 16
    assert not any(callable(value) for value in hyperparameters.values())


@pytest.mark.parametrize(
    ("theirs", "message"),
    [
        ({"nside": 32}, "trained with nside 32, the data have 16"),
        ({"grid": "soft"}, "trained with grid soft, the data have healpix"),
        ({"base_pixels": [0, 1]}, r"trained with base_pixels \[0, 1\]"),
        ({"class_names": ["void", "car"]}, "trained with class_names"),
        ({"pole": "vehicle"}, "trained with pole vehicle, the data have camera"),
    ],
)
def test_checkpoints_of_other_data_are_refused(theirs, message):
    task = make()
    checkpoint = {}
    task.on_save_checkpoint(checkpoint)
    task.on_load_checkpoint(checkpoint)
    with pytest.raises(ValueError, match=message):
        task.on_load_checkpoint({"healswin": {**checkpoint["healswin"], **theirs}})


def test_without_a_void_class_the_headline_is_the_miou():
    scores = make(class_names=["a", "b", "c"]).new_scores()
    scores.update(torch.tensor([0, 1, 1]), torch.tensor([0, 1, 2]))
    computed = with_headline(scores.compute())
    assert computed["miou_without_void"] == computed["miou"]
    with_void = make().new_scores()
    with_void.update(torch.tensor([0, 1, 1]), torch.tensor([0, 1, 2]))
    computed = with_headline(with_void.compute())
    assert computed["miou_without_void"] != computed["miou"]


@pytest.mark.parametrize(
    ("names", "headline"),
    [
        (["void", "road"], "miou_without_void"),
        (["road", "sky"], "miou_without_void"),
        (["background", "3"], "miou_without_background"),
        (["void", "background"], "miou_without_void"),
    ],
)
def test_the_headline_is_among_the_scores(names, headline):
    task = make(class_names=names)
    assert task.headline(names) == headline
    scores = task.new_scores()
    task.count(scores, torch.tensor([0, 1, 1]), torch.tensor([0, 0, 1]))
    assert headline in task.scores(scores)


def test_names_that_one_side_lacks_do_not_count():
    check_same_data({"nside": 4}, {"pole": "camera"})
    with pytest.raises(ValueError, match="nside 4"):
        check_same_data({"nside": 4}, {"nside": 8})


class RowsAndColumns(torch.nn.Module):
    """Scores of every pixel from its own value; refuses anything that is no image of its grid."""

    def __init__(self, first, second, in_chans, num_classes):
        super().__init__()
        self.fields = (first, second)
        self.classes = torch.nn.Conv2d(in_chans, num_classes, 1)

    def forward(self, x):
        assert x.ndim == 4
        return self.classes(x)


@pytest.mark.parametrize(
    ("grid", "fields"),
    [
        (EquiangularGrid(4, "driscoll-healy"), (4, "driscoll-healy")),
        (EquiangularGrid(4), (4, "soft")),
        (ImageGrid(6, 10), (6, 10)),
    ],
    ids=str,
)
def test_networks_of_rows_and_columns_are_trained_by_the_same_task(grid, fields):
    task = make(grid=grid.to_dict(), network=RowsAndColumns)
    assert task.network.fields == fields
    image = torch.randn(2, 3, grid.num_pixels)
    assert task(image).shape == (2, 3, grid.num_pixels)
    rows = image.reshape(2, 3, *grid.shape)
    assert torch.equal(task(image), task.network(rows).reshape(2, 3, -1))


def test_unlike_pixels_count_by_their_area():
    grid = EquiangularGrid(5)
    task = make(grid=grid.to_dict(), network=RowsAndColumns)
    prediction = torch.randint(0, 3, (2, grid.num_pixels))
    target = torch.randint(0, 3, (2, grid.num_pixels))
    scores = task.new_scores()
    task.count(scores, prediction, target)
    areas = torch.from_numpy(grid.areas()).expand(2, -1)
    right = (areas * (prediction == target)).sum() / areas.sum()
    assert scores.compute()["accuracy"] == pytest.approx(right.item(), rel=1e-12)
    in_image = task.new_scores(on_grid=False)
    in_image.update(prediction, target)
    plain = (prediction == target).double().mean()
    assert in_image.compute()["accuracy"] == pytest.approx(plain.item(), rel=1e-12)
    assert scores.compute()["unweighted/accuracy"] == in_image.compute()["accuracy"]
    assert "unweighted/accuracy" not in in_image.compute()
    assert "areas" not in task.state_dict()
