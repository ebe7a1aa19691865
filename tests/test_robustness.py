"""What is left of a score when the sphere is turned: known models have known answers."""

import json
import math

import numpy as np
import pytest
import torch
from plain_set import CLASSES, write_plain_set
from torch import nn

from healswin import create_model
from healswin.__main__ import main as healswin
from healswin.data import PreparedSet
from healswin.equivariance import haar_rotations
from healswin.grid import EquiangularGrid, HealpixGrid
from healswin.layers.rotation import MapRotation
from healswin.robustness import (
    ANGLES,
    as_markdown,
    draw_robustness,
    main,
    measure_robustness,
    write_robustness,
)
from healswin.zoo import ModelConfig, ZooModel

SPHERE = HealpixGrid(16)
# Of 3 labels, two of which may be taken for each other.
DIGITS = ["6", "9", "0"]


class Brightness(nn.Module):
    """Scores by the mean of the map, which no rotation changes: the label of the stored mean."""

    def __init__(self, means):
        super().__init__()
        self.means = nn.Parameter(torch.tensor(means))

    def forward(self, x):
        return -(x.flatten(1).mean(1, keepdim=True) - self.means).abs()


class Place(nn.Module):
    """Looks at one pixel: which of the stored maps is nearest there; knows poses, not shapes."""

    def __init__(self, maps, labels, count):
        super().__init__()
        self.register_buffer("maps", maps)
        self.labels = nn.functional.one_hot(torch.as_tensor(labels), count).float()
        self.weight = nn.Parameter(torch.ones(()))

    def forward(self, x):
        distance = (x.flatten(1)[:, None] - self.maps.flatten(1)[None]).square().mean(2)
        return (-100 * distance).softmax(1) @ self.labels.to(x)


class Threshold(nn.Module):
    """Segments by grey level: background or the class `ring`; the same at every pixel."""

    def __init__(self, classes):
        super().__init__()
        self.classes, self.weight = classes, nn.Parameter(torch.ones(()))

    def forward(self, x):
        flat = x.flatten(2)[:, 0]
        scores = torch.full((len(flat), self.classes, flat.shape[1]), -10.0)
        scores[:, 0] = 0
        scores[:, 1] = torch.where(flat > 0.5, 1.0, -1.0)
        return scores.unflatten(2, x.shape[2:])


def config_of(data, task="classification", **changes):
    names = data.label_names if task == "classification" else data.class_names
    values = {
        "name": "stand_in",
        "task": task,
        "model": "healswin_tiny",
        "arguments": {},
        "grid": data.grid.to_dict(),
        "in_chans": 1,
        "num_classes": len(names),
        "pole": data.pole,
        "class_names": tuple(names),
        "image_mean": (0.0,),
        "image_std": (1.0,),
    }
    return ModelConfig(**{**values, **changes})


@pytest.fixture(scope="module")
def sphere(tmp_path_factory):
    root = tmp_path_factory.mktemp("strokes") / "set"
    return PreparedSet.open(write_plain_set(root, SPHERE, ("semantic", "label"), samples=9))


def maps_of(data):
    return torch.from_numpy(np.stack([data.image(i)[:, 0] for i in range(len(data))]) / 255).float()


def test_a_model_that_no_rotation_disturbs_keeps_everything(sphere):
    """Mean grey levels of the strokes differ; interpolation does not change them much."""
    means = [float(maps_of(sphere)[label].mean()) for label in range(3)]
    model = ZooModel(config_of(sphere), Brightness(means))
    result = measure_robustness(model, sphere, split="train", rotations=4, batch_size=3)
    assert result["headline"] == "accuracy"
    assert result["data"]["samples"] == 7
    assert result["upright"] == {"accuracy": 1.0}
    assert [turn["degrees"] for turn in result["turns"]] == list(ANGLES)
    assert all(turn["accuracy"] == 1 for turn in result["turns"])
    spread = result["random"]["accuracy"]
    assert spread["values"] == [1.0] * 4
    assert (spread["mean"], spread["std"], spread["kept"]) == (1.0, 0.0, 1.0)
    assert result["control"] == {"rotations": 4, "accuracy": 1.0}
    labels = [sphere.label(i) for i in sphere.split["train"]]
    assert result["most_frequent"] == max(map(labels.count, labels)) / 7 < 1
    assert result["left_out"] == []


def test_a_model_that_knows_places_loses_what_turning_takes(sphere):
    """The twin: every map turned on its own by `MapRotation`, and the model asked."""
    labels = [sphere.label(index) for index in range(len(sphere))]
    network = Place(maps_of(sphere), labels, 3)
    model = ZooModel(config_of(sphere), network)
    result = measure_robustness(model, sphere, split="train", rotations=6, seed=2, batch_size=4)
    assert result["upright"]["accuracy"] == 1
    assert result["random"]["accuracy"]["kept"] < 1
    indices = sphere.split["train"]
    maps = maps_of(sphere)[indices][:, None]
    rotation, expected = MapRotation(SPHERE), []
    for matrix in torch.from_numpy(haar_rotations(6, 2)).float():
        turned = rotation(maps, matrix.expand(len(maps), 3, 3))
        found = network(turned).argmax(1)
        expected.append((found == torch.tensor(labels)[indices]).double().mean().item())
    spread = result["random"]["accuracy"]
    np.testing.assert_allclose(spread["values"], expected)
    assert spread["mean"] == pytest.approx(np.mean(expected))
    assert spread["std"] == pytest.approx(np.std(expected))
    assert (spread["min"], spread["max"]) == (min(expected), max(expected))
    assert spread["kept"] == pytest.approx(np.mean(expected))
    assert result["control"]["accuracy"] == 1  # turned back, the places are right again


def test_the_seed_decides_and_nothing_else(sphere):
    labels = [sphere.label(index) for index in range(len(sphere))]
    model = ZooModel(config_of(sphere), Place(maps_of(sphere), labels, 3))

    def values(**arguments):
        result = measure_robustness(model, sphere, split="train", rotations=5, **arguments)
        return result["random"]["accuracy"]["values"]

    assert values() == values(batch_size=1) == values(angles=(45.0,))
    assert values() != values(seed=1)


def test_six_and_nine_apart_and_merged(tmp_path, monkeypatch):
    monkeypatch.setattr("plain_set.LABELS", DIGITS)
    data = PreparedSet.open(write_plain_set(tmp_path / "set", HealpixGrid(4), samples=8))

    class Confused(nn.Module):
        """Takes every 9 and every 0 for a 6."""

        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.tensor([1.0, 0.0, 0.0]))

        def forward(self, x):
            return self.weight.expand(len(x), 3)

    result = measure_robustness(ZooModel(config_of(data), Confused()), data, split="train")
    # Training labels 6 9 0 6 9 0: a third is right, two thirds if 9 is as good as 6.
    assert result["upright"]["accuracy"] == pytest.approx(1 / 3)
    assert result["upright"]["accuracy_6_9_merged"] == pytest.approx(2 / 3)
    assert result["random"]["accuracy_6_9_merged"]["kept"] == pytest.approx(1)
    assert "accuracy, 6 and 9 merged" in as_markdown(result)


@pytest.mark.parametrize(
    "grid", [SPHERE, EquiangularGrid(16), EquiangularGrid(16, "soft")], ids=str
)
def test_segmentation_turns_its_classes_too(tmp_path, grid):
    """Thresholding is right at every pixel but at the rims, where grey levels are mixed."""
    root = write_plain_set(tmp_path / "set", grid, ("semantic",), samples=4)
    data = PreparedSet.open(root)
    model = ZooModel(config_of(data, "segmentation"), Threshold(len(CLASSES)))
    # The set's first sample is a ring, the class that the stand-in knows.
    result = measure_robustness(model, data, split="train", limit=1, rotations=3)
    assert result["headline"] == "miou_without_background"
    assert result["upright"]["miou"] == 1
    assert result["upright"]["miou_without_background"] == 1
    assert result["random"]["accuracy"]["mean"] > 0.97
    assert 0.7 < result["random"]["miou_without_background"]["mean"] < 1
    assert ("unweighted/miou" in result["upright"]) == isinstance(grid, EquiangularGrid)
    turned = {turn["degrees"]: turn for turn in result["turns"]}
    assert turned[90.0]["miou"] == pytest.approx(1)


def test_a_part_of_the_sphere_is_turned_by_quarters_only(tmp_path):
    grid = HealpixGrid(8, tuple(range(4, 12)))
    data = PreparedSet.open(write_plain_set(tmp_path / "set", grid, ("semantic",), samples=4))
    model = ZooModel(config_of(data, "segmentation"), Threshold(len(CLASSES)))
    result = measure_robustness(model, data, split="train", limit=1, angles=(5.625, 90, 180, -90))
    assert [turn["degrees"] for turn in result["turns"]] == [0, 90, 180, -90]
    assert all(turn["miou"] == 1 for turn in result["turns"])
    assert result["random"] is None
    assert result["control"] is None
    assert "a turn about z by 5.625 degrees" in result["left_out"][0]
    assert "random rotations" in result["left_out"][1]
    assert "Not measured:" in as_markdown(result)
    assert draw_robustness(result).shape[2] == 3


def test_parts_without_symmetry_are_measured_upright(tmp_path):
    grid = HealpixGrid(4, (8, 9))
    data = PreparedSet.open(write_plain_set(tmp_path / "set", grid))
    model = ZooModel(config_of(data), Brightness([0.0, 1.0, 2.0]))
    result = measure_robustness(model, data)
    assert [turn["degrees"] for turn in result["turns"]] == [0]
    assert len(result["left_out"]) == 6


def test_what_is_not_valid_stays_the_background(tmp_path, monkeypatch):
    """Invalid pixels are 0 before normalisation, wherever they are turned to."""
    data = PreparedSet.open(write_plain_set(tmp_path / "set", HealpixGrid(8)))
    valid = HealpixGrid(8).vectors()[:, 0] > -0.5
    monkeypatch.setattr(PreparedSet, "valid", lambda self, camera: valid)
    monkeypatch.setattr(
        PreparedSet, "image", lambda self, i: np.where(valid, 200, 0).astype(np.uint8)[:, None]
    )
    seen = []

    class Watch(Brightness):
        def forward(self, x):
            seen.append(x.detach().clone())
            return super().forward(x)

    config = config_of(data, image_mean=(0.25,), image_std=(0.5,))
    measure_robustness(ZooModel(config, Watch([0.0, 1.0, 2.0])), data, rotations=2)
    values = torch.cat(seen).unique()
    expected = torch.tensor([-0.5, (200 / 255 - 0.25) / 0.5])
    for value in values:
        assert (value - expected).abs().min() < 1e-5


def trained_like(data, folder):
    """A small network of the real kind, as a folder of the zoo."""
    arguments = {
        "embed_dim": 4,
        "depths": [1],
        "num_heads": [1],
        "window_size": 16,
        "head": "classification",
    }
    torch.manual_seed(0)
    network = create_model("healswin_tiny", data.grid, 1, 3, **arguments)
    ZooModel(config_of(data, arguments=arguments), network).save_pretrained(folder)
    return folder


def test_the_command(sphere, tmp_path, capsys):
    folder = trained_like(sphere, tmp_path / "model")
    out = tmp_path / "deep" / "out"
    arguments = [str(folder), str(sphere.root), "--rotations", "2", "--limit", "1"]
    assert healswin(["robustness", *arguments, "--out", str(out), "--device", "cpu"]) == 0
    result = json.loads((out / "robustness.json").read_text())
    assert result["model"] == "stand_in"
    assert result["data"]["split"] == "val"  # there are no tests
    assert result["data"]["samples"] == 1
    assert len(result["random"]["accuracy"]["values"]) == 2
    text = (out / "robustness.md").read_text()
    assert "| turned about z by 5.625° |" in text
    assert "most frequent label scores 100.00" in text  # of one sample
    assert text in capsys.readouterr().out
    assert (out / "robustness.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(("rotated", "said"), [("all", True), ("none", False), (None, False)])
def test_the_page_says_what_upright_means(sphere, rotated, said):
    model = ZooModel(config_of(sphere), Brightness([0.0, 1.0, 2.0]))
    result = measure_robustness(model, sphere, rotations=1, limit=1)
    result["data"]["rotated"] = rotated
    text = as_markdown(result)
    assert "as the maps are stored" in text
    assert ("rotated at random already" in text) == said


def test_scores_of_nothing_are_written_as_what_they_are(sphere, tmp_path):
    """A model that is never right has kept nothing that could be named."""
    model = ZooModel(config_of(sphere), Brightness([9.0, 9.0, 9.0]))
    result = measure_robustness(model, sphere, split="val", rotations=1, angles=())
    result["upright"]["accuracy"] = 0.0
    result["random"]["accuracy"]["kept"] = None
    paths = write_robustness(result, tmp_path)
    assert [path.name for path in paths] == [f"robustness.{kind}" for kind in ("json", "md", "png")]


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"grid": HealpixGrid(8).to_dict()}, r"the grid of stand_in.*differs"),
        ({"pole": "camera"}, "the pole of stand_in, camera, differs"),
        ({"num_classes": 2, "class_names": ()}, "the number of classes of stand_in, 2, differs"),
        ({"class_names": ("a", "b", "c")}, "the classes of stand_in"),
        ({"image_dtype": "float32"}, "the image dtype of stand_in"),
        ({"in_chans": 3, "image_mean": (), "image_std": ()}, "the channels of stand_in, 3, differ"),
    ],
)
def test_data_that_do_not_fit_the_model(sphere, changes, match):
    model = ZooModel(config_of(sphere, **changes), Brightness([0.0, 1.0, 2.0]))
    with pytest.raises(ValueError, match=match):
        measure_robustness(model, sphere)


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ({"rotations": 0}, "rotations=0 must be at least 1"),
        ({"limit": 0}, "limit=0 must be at least 1"),
        ({"batch_size": 0}, "batch_size=0 must be at least 1"),
        ({"seed": -1}, "seed=-1 must not be negative"),
        ({"angles": (math.nan,)}, "must be finite"),
        ({"split": "spring"}, r"split='spring'.*has \['train', 'val'\]"),
    ],
)
def test_wrong_arguments(sphere, arguments, match):
    model = ZooModel(config_of(sphere), Brightness([0.0, 1.0, 2.0]))
    with pytest.raises(ValueError, match=match):
        measure_robustness(model, sphere, **arguments)


def test_tasks_that_are_not_measured(sphere, tmp_path):
    depth = {"transform": "none", "mean": 0.0, "std": 1.0, "log_variance": False}
    config = config_of(sphere, class_names=(), num_classes=1)
    config = ModelConfig(**{**config.to_dict(), "task": "depth", "depth": depth})
    with pytest.raises(ValueError, match="is a model of the task 'depth'"):
        measure_robustness(ZooModel(config, Brightness([0.0])), sphere)
    plain = PreparedSet.open(write_plain_set(tmp_path / "set", SPHERE, ("semantic",)))
    model = ZooModel(config_of(sphere), Brightness([0.0, 1.0, 2.0]))
    with pytest.raises(ValueError, match=r"holds \['semantic'\], 'label' is needed"):
        measure_robustness(model, plain)


def test_the_command_says_what_is_wrong(sphere, tmp_path, capsys):
    assert main(["nothing_like_it", str(sphere.root)]) == 2
    assert capsys.readouterr().err.startswith("healswin: error: ")
    assert main(["healswin_tiny.street", str(tmp_path)]) == 2
    assert "holds no zarr.json" in capsys.readouterr().err
    (tmp_path / "file").touch()
    assert main(["model", str(sphere.root), "--out", str(tmp_path / "file")]) == 2
    assert "is a file, a folder is needed" in capsys.readouterr().err
