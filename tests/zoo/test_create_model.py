import pytest
import torch

import healswin
from healswin.grid import HealpixGrid
from healswin.models import HealSwin
from healswin.zoo import ZooModel, entries, write_index


@pytest.fixture
def packaged(monkeypatch, tmp_path):
    """A function that makes models the entries of the package."""

    def install(*models):
        for model in models:
            model.save_pretrained(tmp_path / "entries" / model.config.name)
        write_index(tmp_path / "entries")
        monkeypatch.setattr(entries, "PACKAGED", tmp_path / "entries")

    return install


def same_weights(a, b):
    theirs = b.state_dict()
    return all(torch.equal(value, theirs[name]) for name, value in a.state_dict().items())


def test_without_weights_it_is_that_of_the_models(make_config):
    arguments = make_config().arguments
    network = healswin.create_model("healswin_tiny", HealpixGrid(8), **arguments)
    assert isinstance(network, HealSwin)
    assert (network.in_chans, network.num_classes) == (3, 10)
    features = healswin.create_model(
        "healswin_tiny", HealpixGrid(8), 1, features_only=True, **arguments
    )
    assert len(features(torch.zeros(1, 1, 768))) == 2
    with pytest.raises(ValueError, match="grid is missing"):
        healswin.create_model("healswin_tiny")
    with pytest.raises(ValueError, match="model 'nothing' is not known"):
        healswin.create_model("nothing", HealpixGrid(8))


def test_pretrained_is_the_entry_ready_to_train(make_model, packaged):
    model = make_model()
    packaged(model)
    for name in ("healswin_tiny.town", "healswin_tiny"):
        loaded = healswin.create_model(name, pretrained=True)
        assert isinstance(loaded, ZooModel)
        assert loaded.training
        assert loaded.network.training
        assert loaded.config == model.config
        assert same_weights(loaded, model)
    same = healswin.create_model(name, model.grid, 3, 2, pretrained=True)
    assert same.config == model.config


def test_another_grid_and_other_classes(make_model, packaged):
    model = make_model()
    packaged(model)
    grid = HealpixGrid(16)
    other = healswin.create_model("healswin_tiny", grid, num_classes=7, pretrained=True)
    assert other.grid == other.network.grid == grid
    assert other.config.num_classes == other.network.num_classes == 7
    assert other.config.metrics == {}
    assert other.training
    assert other.network.training
    assert other(torch.zeros(1, 3, grid.num_pixels)).shape == (1, 7, grid.num_pixels)
    assert same_weights(other.network.encoder, model.network.encoder)


def test_arguments_without_weights_may_differ(make_model, packaged):
    packaged(make_model())
    model = healswin.create_model("healswin_tiny", pretrained=True, drop_path=0.3)
    assert model.config.arguments["drop_path"] == 0.3
    assert same_weights(model, make_model())
    with pytest.raises(ValueError, match=r"the entry 'healswin_tiny.town' do not fit"):
        healswin.create_model("healswin_tiny", pretrained=True, embed_dim=8)
    with pytest.raises(ValueError, match=r"describes no network: .*colour"):
        healswin.create_model("healswin_tiny", pretrained=True, colour=8)


def test_what_a_trained_model_cannot_be_is_refused(make_model, packaged):
    planar = make_model(
        name="cnn_segmenter.digits",
        model="cnn_segmenter",
        grid={"grid": "soft", "bandwidth": 16},
        arguments={"use_skips": False},
    )
    packaged(make_model(), make_model(name="healswin_tiny.night"), planar)
    with pytest.raises(ValueError, match=r"in_chans=1: healswin_tiny.town has 3"):
        healswin.create_model("healswin_tiny.town", in_chans=1, pretrained=True)
    with pytest.raises(ValueError, match="features_only=True with pretrained=True"):
        healswin.create_model("healswin_tiny.town", pretrained=True, features_only=True)
    with pytest.raises(ValueError, match=r"has 2 entries \['healswin_tiny.night', 'healswin_tiny"):
        healswin.create_model("healswin_tiny", pretrained=True)
    with pytest.raises(ValueError, match=r"'healswin_small' has 0 entries"):
        healswin.create_model("healswin_small", pretrained=True)
    with pytest.raises(ValueError, match=r"named 'healswin_tiny.twn': did you mean 'healswin_ti"):
        healswin.create_model("healswin_tiny.twn", pretrained=True)
    with pytest.raises(ValueError, match=r"grid=HealpixGrid.*: cnn_segmenter belongs to"):
        healswin.create_model("cnn_segmenter.digits", HealpixGrid(8), pretrained=True)
    with pytest.raises(ValueError, match=r"num_classes=9: cnn_segmenter.digits predicts 2"):
        healswin.create_model("cnn_segmenter.digits", num_classes=9, pretrained=True)
