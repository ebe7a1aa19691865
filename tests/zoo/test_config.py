import dataclasses
import json

import pytest

from healswin.grid import EquiangularGrid, HealpixGrid, ImageGrid
from healswin.zoo import ModelConfig

DEPTH = {"transform": "log", "mean": 2.0, "std": 0.5, "log_variance": False}
OF_DEPTH = {"task": "depth", "class_names": (), "class_colours": (), "num_classes": 1}


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"grid": EquiangularGrid(4).to_dict(), "model": "cnn_segmenter"},
        {"grid": ImageGrid(64, 32).to_dict(), "pole": "vehicle", "up": None},
        {"task": "classification", "class_colours": (), "card": {"limits": "Only at night."}},
        {**OF_DEPTH, "depth": DEPTH},
        {**OF_DEPTH, "num_classes": 2, "depth": {**DEPTH, "log_variance": True}},
        {**OF_DEPTH, "depth": {**DEPTH, "min": 0.5, "max": 90.0}},
        {"image_mean": (), "image_std": (), "image_dtype": "float32"},
    ],
)
def test_a_configuration_survives_json(make_config, changes):
    config = make_config(**changes)
    assert ModelConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config


def test_python_values_become_those_of_a_file(make_config):
    config = make_config(arguments={"depths": (1, 2)}, up=[0, 0, 1], class_names=["a", "b"])
    assert config.arguments == {"depths": [1, 2]}
    assert config.up == (0.0, 0.0, 1.0)
    assert config.class_names == ("a", "b")
    assert config.make_grid() == HealpixGrid(8, range(8))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"name": "../other"}, "name='../other'"),
        ({"name": ""}, "name=''"),
        ({"task": "detection"}, "task='detection' must be one of"),
        ({"model": ""}, "model=''"),
        ({"pole": "north"}, "pole='north'"),
        ({"grid": {"grid": "cube"}}, "grid='cube' is not known"),
        ({"grid": {"grid": "healpix", "nside": 3, "base_pixels": [0]}}, "nside=3"),
        ({"grid": 8}, "grid=8 must be a table"),
        ({"in_chans": 0}, "in_chans=0"),
        ({"num_classes": 2.0}, "num_classes=2.0"),
        ({"num_classes": 3}, "must name the num_classes=3 classes"),
        ({"class_names": (), "num_classes": 3}, "2 colours for num_classes=3"),
        ({"class_names": "ab"}, "class_names='ab' must be a list"),
        ({"class_colours": ((0, 0, 256), (0, 0, 0))}, "from 0 to 255"),
        ({"up": (0.0, 1.0)}, "up="),
        ({"up": (0.0, 1.0, float("nan"))}, "3 finite numbers"),
        ({"image_dtype": "uint16"}, "image_dtype='uint16'"),
        ({"image_mean": (0.5,)}, "image_mean=.* must be 3"),
        ({"image_std": ()}, r"image_std=\(\)"),
        ({"image_std": (1.0, -1.0, 1.0)}, "at least 0"),
        ({"arguments": {"act": print}}, "arguments=.* plain JSON"),
        ({"metrics": {"miou": float("nan")}}, "metrics="),
        ({"metrics": {"miou": "good"}}, "metrics=.* finite numbers"),
        ({"data": {"name": 3}}, "data="),
        ({"card": {"licence": 3}}, "card=.* texts"),
        ({"card": {"license": "MIT"}}, r"card has \['license'\]"),
        ({"depth": DEPTH}, "task='segmentation'"),
        ({**OF_DEPTH}, "depth=None with task='depth'"),
        ({**OF_DEPTH, "depth": {**DEPTH, "transform": "sqrt"}}, "depth.transform='sqrt'"),
        ({**OF_DEPTH, "depth": {**DEPTH, "std": 0}}, "std above 0"),
        ({**OF_DEPTH, "depth": {**DEPTH, "log_variance": 1}}, "log_variance=1"),
        ({**OF_DEPTH, "depth": {**DEPTH, "log_variance": True}}, "num_classes=1 must be 2"),
        ({**OF_DEPTH, "depth": {"transform": "log"}}, r"depth has \['transform'\]"),
        ({**OF_DEPTH, "depth": {**DEPTH, "max": 90.0}}, "must have both min and max or none"),
        ({**OF_DEPTH, "depth": {**DEPTH, "min": 9.0, "max": 2.0}}, r"min, max = \[9.0, 2.0\]"),
        ({**OF_DEPTH, "depth": {**DEPTH, "min": 0, "max": 2.0}}, r"min, max = \[0, 2.0\]"),
        ({**OF_DEPTH, "depth": {**DEPTH, "min": "a", "max": 2.0}}, r"min, max = \['a', 2.0\]"),
        ({"format_version": 2}, "format_version=2"),
    ],
)
def test_what_cannot_be_is_refused(make_config, changes, message):
    with pytest.raises(ValueError, match=message):
        make_config(**changes)


def test_a_file_of_another_form_is_refused(make_config):
    values = make_config().to_dict()
    with pytest.raises(ValueError, match=r"fields \['colour'\] are not known"):
        ModelConfig.from_dict({**values, "colour": 1})
    with pytest.raises(ValueError, match=r"fields \['task', 'in_chans'\] are missing"):
        ModelConfig.from_dict({k: v for k, v in values.items() if k not in ("task", "in_chans")})
    with pytest.raises(ValueError, match="format_version=7 is not known"):
        ModelConfig.from_dict({**values, "format_version": 7, "colour": 1})
    with pytest.raises(ValueError, match="format_version=None"):
        ModelConfig.from_dict({k: v for k, v in values.items() if k != "format_version"})
    with pytest.raises(ValueError, match="class_names=5 must be a list"):
        ModelConfig.from_dict({**values, "class_names": 5})
    with pytest.raises(ValueError, match="is list, not a table"):
        ModelConfig.from_dict([1])


def test_fields_with_defaults_may_be_absent(make_config):
    optional = {
        f.name
        for f in dataclasses.fields(ModelConfig)
        if f.default is not dataclasses.MISSING or f.default_factory is not dataclasses.MISSING
    } - {"format_version"}
    values = make_config().to_dict()
    short = ModelConfig.from_dict({k: v for k, v in values.items() if k not in optional})
    assert short.class_names == ()
    assert short.pole == "camera"
    assert short.metrics == {}
