import copy
import math
import pickle

import numpy as np
import pytest
import torch

from healswin.data.transforms import Normalisation
from healswin.grid import EquiangularGrid, HealpixGrid
from healswin.zoo import to_metres

PIXELS = 512


def pictures(count=2, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (count, 3, PIXELS), dtype=np.uint8)


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
def test_normalise_is_that_of_the_data(make_model, dtype):
    """Every bit, so that a figure measured by `healswin test` is measured by the model too."""
    model = make_model(image_dtype=dtype)
    maps = pictures().astype(dtype)
    expected = Normalisation(model.config.image_mean, model.config.image_std)
    ours = model.normalise(maps)
    assert ours.dtype == torch.float32
    for sample, stored in zip(ours, maps, strict=True):
        assert np.array_equal(sample.numpy(), expected(stored.T))
    assert torch.equal(model.normalise(torch.from_numpy(maps)), ours)


def test_forward_is_the_network_on_the_maps(make_model):
    model = make_model()
    x = model.normalise(pictures())
    assert torch.equal(model(x), model.network(x))
    assert model(x).shape == (2, 2, PIXELS)


def test_rows_and_columns_come_as_pixels_or_as_they_are(make_model):
    grid = EquiangularGrid(16)
    arguments = {"size": "218k", "use_skips": False}
    model = make_model(
        grid=grid.to_dict(),
        model="cnn_segmenter",
        arguments=arguments,
        in_chans=1,
        image_mean=(0.0,),
        image_std=(1.0,),
    )
    x = torch.rand(2, 1, *grid.shape)
    assert torch.equal(model(x), model.network(x).flatten(2))
    assert torch.equal(model(x), model(x.flatten(2)))
    stored = (255 * x).to(torch.uint8)
    assert torch.equal(model.predict(stored), model.predict(stored.flatten(2)))


def test_predict_gives_classes_labels_or_metres(make_model):
    maps = pictures()
    model = make_model()
    classes = model.predict(maps)
    assert classes.dtype == torch.int64
    assert not classes.requires_grad
    assert torch.equal(classes, model(model.normalise(maps)).argmax(dim=1))

    head = {**model.config.arguments, "head": "classification"}
    classifier = make_model(task="classification", arguments=head)
    labels = classifier.predict(maps)
    assert labels.shape == (2,)
    assert torch.equal(labels, classifier(classifier.normalise(maps)).argmax(dim=1))

    depth = {"transform": "log", "mean": 2.0, "std": 0.5, "log_variance": True}
    ranger = make_model(task="depth", depth=depth, class_names=(), class_colours=())
    metres = ranger.predict(maps)
    raw = ranger(ranger.normalise(maps))[:, 0].detach()
    assert metres.shape == (2, PIXELS)
    assert torch.allclose(metres, torch.exp(2 + 0.5 * raw))


@pytest.mark.parametrize(
    ("transform", "apply"),
    [("none", lambda d: d), ("log", math.log), ("inverse", lambda d: 1 / d)],
)
def test_to_metres_undoes_the_transform(transform, apply):
    metres = [0.5, 3.0, 80.0]
    standard = torch.tensor([[(apply(d) - 0.7) / 1.3 for d in metres]])
    depth = {"transform": transform, "mean": 0.7, "std": 1.3, "log_variance": False}
    assert torch.allclose(to_metres(standard, depth), torch.tensor([metres]), rtol=1e-4)


def test_an_inverse_depth_of_nothing_is_infinitely_far():
    depth = {"transform": "inverse", "mean": 0.0, "std": 1.0, "log_variance": False}
    assert to_metres(torch.tensor([[-1.0, 0.0, 0.5]]), depth).tolist() == [[math.inf, math.inf, 2]]


def test_metres_stay_within_the_limits_that_are_known():
    depth = {"transform": "inverse", "mean": 0.0, "std": 1.0, "log_variance": False}
    limited = to_metres(torch.tensor([[-1.0, 0.5, 9.0]]), {**depth, "min": 0.5, "max": 80.0})
    assert limited.tolist() == [[80.0, 2.0, 0.5]]


def test_maps_that_do_not_fit_are_refused(make_model):
    model = make_model()
    with pytest.raises(ValueError, match=r"shape \(2, 3, 100\), \(batch, 3, 512\) is needed"):
        model(torch.zeros(2, 3, 100))
    with pytest.raises(ValueError, match=r"shape \(2, 1, 512\)"):
        model.predict(pictures()[:, :1])
    with pytest.raises(ValueError, match=r"float32, healswin_tiny\.town takes uint8"):
        model.predict(torch.zeros(2, 3, PIXELS))
    measured = make_model(image_dtype="float32")
    for maps in (pictures(), pictures().astype(np.int64)):
        with pytest.raises(ValueError, match="takes float32"):
            measured.predict(maps)
    with pytest.raises(ValueError, match="states no image_mean"):
        make_model(image_mean=(), image_std=()).predict(pictures())


def test_parameters_are_the_networks(make_model):
    model = make_model()
    assert list(model.state_dict()) == [f"network.{n}" for n in model.network.state_dict()]


def test_copies_and_pickles_are_equal(make_model):
    model = make_model()
    x = model.normalise(pictures())
    for twin in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert twin.config == model.config
        assert twin.grid == model.grid
        assert torch.equal(twin(x), model(x))


def test_to_moves_and_casts(make_model):
    model = make_model()
    maps = pictures()
    expected = model.predict(maps)
    assert torch.equal(model.to(torch.float64).predict(maps), expected)
    assert model.to("meta").device.type == "meta"
    assert model.normalise(maps).device.type == "meta"


def test_it_says_what_it_is(make_model):
    assert "'healswin_tiny.town', task='segmentation'" in repr(make_model())


def test_with_grid_keeps_weights_and_drops_figures(make_model):
    model = make_model()
    other = HealpixGrid(16)
    wider = model.with_grid(other)
    assert wider.grid == wider.network.grid == wider.config.make_grid() == other
    assert wider.config.metrics == {}
    assert not wider.training
    for name, value in model.state_dict().items():
        assert torch.equal(wider.state_dict()[name], value)
    assert wider.predict(np.zeros((1, 3, other.num_pixels), np.uint8)).shape == (1, 3072)


def test_reset_classifier_forgets_the_classes(make_model):
    model = make_model()
    model.reset_classifier(5)
    assert model.predict(pictures()).shape == (2, PIXELS)
    assert model(model.normalise(pictures())).shape == (2, 5, PIXELS)
    assert (model.config.num_classes, model.config.class_names, model.config.metrics) == (5, (), {})
    assert (model.config.name, model.config.data) == ("healswin_tiny.town-5-untrained", {})


def test_networks_of_one_grid_say_so(make_model):
    grid = EquiangularGrid(16)
    model = make_model(grid=grid.to_dict(), model="cnn_segmenter", arguments={"use_skips": False})
    with pytest.raises(ValueError, match="cnn_segmenter belongs to EquiangularGrid"):
        model.with_grid(EquiangularGrid(20))
    with pytest.raises(ValueError, match=r"num_classes=4: .* cannot be replaced"):
        model.reset_classifier(4)
    depth = {"transform": "none", "mean": 0.0, "std": 1.0, "log_variance": True}
    ranger = make_model(task="depth", depth=depth, class_names=(), class_colours=())
    with pytest.raises(ValueError, match="num_classes=4"):
        ranger.reset_classifier(4)
