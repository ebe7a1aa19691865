from types import SimpleNamespace

import pytest
import torch

from healswin import HealpixGrid, create_model, list_models, register_model
from healswin.grid import ImageGrid
from healswin.models import HealSwin, SwinUNet, network_name, register_network, registry

SPHERE = HealpixGrid(64)
FISHEYE = HealpixGrid(64, range(8))
TINY = {"embed_dim": 4, "depths": (1,), "num_heads": (1,)}


@pytest.fixture
def own_names(monkeypatch):
    """A copy of the registry, which a test may add to."""
    monkeypatch.setattr(registry, "_MODELS", dict(registry._MODELS))
    monkeypatch.setattr(registry, "_NETWORKS", dict(registry._NETWORKS))


@pytest.fixture
def installed(monkeypatch, own_names):
    """A function that pretends that packages with entry points are installed."""

    def install(*loads):
        asked = []

        def entry_points(group):
            asked.append(group)
            return [SimpleNamespace(load=load) for load in loads]

        monkeypatch.setattr(registry, "entry_points", entry_points)
        registry._load_entry_points.cache_clear()
        return asked

    yield install
    # What was found by a test must not be remembered by the next.
    registry._load_entry_points.cache_clear()


def parameters(name, grid, **arguments):
    """Number of parameters; on no device, so that nothing is drawn."""
    with torch.device("meta"):
        network = create_model(name, grid, **arguments)
    return sum(p.numel() for p in network.parameters())


def test_names_are_sorted_and_match_patterns():
    names = list_models()
    assert names == sorted(set(names))
    assert {"healswin_unet_paper", "healswin_stanford", "swin_unet_paper"} < set(names)
    sizes = {"base", "small", "tiny"}
    assert set(list_models("healswin_iso_*")) == {f"healswin_iso_{size}" for size in sizes}
    assert list_models("*_unet_paper") == ["healswin_unet_paper", "swin_unet_paper"]
    assert list_models("healswin_[bst]*") == [
        "healswin_base",
        "healswin_small",
        "healswin_stanford",
        "healswin_tiny",
    ]
    assert list_models("resnet*") == []


def test_unknown_names_are_answered_with_the_known():
    with pytest.raises(ValueError, match=r"'resnet' is not known, known are .*'healswin_tiny'"):
        create_model("resnet", HealpixGrid(4))


def test_a_name_is_given_once(own_names):
    for name in ("healswin_unet_paper", "mine"):
        builder = registry._MODELS.get(name)
        if builder is None:
            builder = register_model(name)(lambda *_, **__: None)
        with pytest.raises(ValueError, match=f"'{name}' is already registered"):
            register_model(name)(HealSwin)
        assert registry._MODELS[name] is builder


def test_builders_get_grid_channels_classes_and_the_rest(own_names):
    @register_model("linear")
    def build(grid, in_chans, num_classes, scale=1):
        return torch.nn.Linear(in_chans * grid.num_pixels * scale, num_classes)

    assert "linear" in list_models("lin*")
    network = create_model("linear", HealpixGrid(2, (0, 3)), in_chans=5, num_classes=7, scale=3)
    assert (network.in_features, network.out_features) == (5 * 8 * 3, 7)
    assert create_model("linear", HealpixGrid(1)).weight.shape == (10, 36)


def test_installed_packages_add_names(installed):
    def load():
        register_model("theirs")(lambda grid, in_chans, num_classes: torch.nn.Identity())

    asked = installed(load)
    assert "theirs" in list_models()
    assert isinstance(create_model("theirs", HealpixGrid(1)), torch.nn.Identity)
    # They were looked up once, for this project's group.
    assert asked == ["healswin.models"]


def test_installed_packages_are_found_by_create_model_alone(installed):
    asked = installed(
        lambda: register_model("one")(lambda *_: torch.nn.Identity()),
        lambda: register_model("two")(lambda *_: torch.nn.Flatten()),
    )
    assert isinstance(create_model("two", HealpixGrid(1)), torch.nn.Flatten)
    assert isinstance(create_model("one", HealpixGrid(1)), torch.nn.Identity)
    assert len(asked) == 1


def test_a_package_cannot_take_a_name_of_ours(installed):
    installed(lambda: register_model("healswin_tiny")(HealSwin))
    with pytest.raises(ValueError, match="'healswin_tiny' is already registered"):
        list_models()


@pytest.mark.parametrize("name", list_models("*swin*"))
def test_features_only_is_the_head_features(name):
    flat = name.startswith("swin")
    grid = ImageGrid(32, 32) if flat else HealpixGrid(16)
    short = create_model(name, grid, **TINY, features_only=True)
    long = create_model(name, grid, **TINY, head="features")
    shapes = {n: p.shape for n, p in short.named_parameters()}
    assert shapes == {n: p.shape for n, p in long.named_parameters()}
    assert short.num_classes == 10
    create_model(name, grid, **TINY, head="features", features_only=True)
    for head in ("dense", "classification"):
        with pytest.raises(ValueError, match=f"features_only=True contradicts head='{head}'"):
            create_model(name, grid, **TINY, features_only=True, head=head)


@pytest.mark.parametrize("name", list_models("*swin*"))
def test_models_belong_to_their_kind_of_grid(name):
    flat = name.startswith("swin")
    right, wrong = HealpixGrid(16), ImageGrid(32, 32)
    if flat:
        right, wrong = wrong, right
    network = create_model(name, right, **TINY, in_chans=2, num_classes=3)
    assert isinstance(network, SwinUNet if flat else HealSwin)
    assert (network.grid, network.in_chans, network.num_classes) == (right, 2, 3)
    with pytest.raises(ValueError, match=f"grid={type(wrong).__name__}"):
        create_model(name, wrong, **TINY)


def test_arguments_override_the_name():
    network = create_model("healswin_tiny", HealpixGrid(16), **TINY, bias="radial", patch_size=16)
    assert network.encoder.stages[0].places.grid == HealpixGrid(4)
    features = network.encoder.stages[0].blocks[0].attn.bias.mlp[0].in_features
    assert features == 1
    with pytest.raises(ValueError, match="bias='cosine'"):
        create_model("healswin_tiny", HealpixGrid(16), bias="cosine")
    with pytest.raises(TypeError, match="colour"):
        create_model("healswin_tiny", HealpixGrid(16), colour=3)


def test_the_published_sizes():
    """41.28 M for fisheye images; about 1.5 M for Stanford 2D-3D-S."""
    assert parameters("healswin_unet_paper", FISHEYE) == 41_279_688
    stanford = parameters("healswin_stanford", SPHERE, windows="ring", shift_size=2)
    assert stanford == pytest.approx(1.5e6, rel=0.1)
    # Neither windows nor grid have weights of their own.
    assert parameters("healswin_stanford", FISHEYE, windows="grid") == stanford


@pytest.mark.parametrize("family", ["healswin_", "healswin_iso_"])
@pytest.mark.parametrize(("size", "expected"), [("tiny", 2.5e6), ("small", 10e6), ("base", 41e6)])
def test_our_sizes(family, size, expected):
    assert parameters(f"{family}{size}", SPHERE) == pytest.approx(expected, rel=0.1)


@pytest.mark.parametrize(
    ("class_path", "name"),
    [
        ("healswin.models.HealSwin", "healswin"),
        ("healswin.models.healswin.HealSwin", "healswin"),
        ("healswin.models.SwinUNet", "swin_unet"),
        ("s2cnn_baselines.S2CNNSegmenter", "s2cnn_segmenter"),
        ("s2cnn_baselines.s2cnn.S2CNNClassifier", "s2cnn_classifier"),
        ("s2cnn_baselines.S2CNNDeepClassifier", "s2cnn_deep_classifier"),
        ("s2cnn_baselines.CNNSegmenter", "cnn_segmenter"),
        ("s2cnn_baselines.cnn.CNNClassifier", "cnn_classifier"),
    ],
)
def test_classes_of_configurations_have_names(class_path, name):
    assert network_name(class_path) == name
    assert name in list_models()


@pytest.mark.parametrize(
    "class_path",
    [
        "HealSwin",
        ".HealSwin",
        "heal.HealSwin",
        "healswin.mod.HealSwin",
        "os.system",
        "",
        "HealSwin.",
    ],
)
def test_other_classes_have_none(class_path):
    with pytest.raises(ValueError, match=f"{class_path!r} has no name, .*register_network"):
        network_name(class_path)


class Squares(torch.nn.Module):
    def __init__(self, height, width, in_chans, num_classes, *, bias=True):
        super().__init__()
        self.sizes = (height, width, in_chans, num_classes, bias)


def test_a_named_class_is_created_as_a_task_creates_it(own_names):
    register_network("squares", Squares, ImageGrid)
    assert create_model("squares", ImageGrid(4, 8), 2, 3, bias=False).sizes == (4, 8, 2, 3, False)
    assert network_name(f"{Squares.__module__}.Squares") == "squares"
    with pytest.raises(ValueError, match="squares works on a grid of type ImageGrid"):
        create_model("squares", HealpixGrid(2))
    with pytest.raises(ValueError, match="'squares' is already registered"):
        register_network("squares", Squares, ImageGrid)
