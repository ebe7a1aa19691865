"""Checkpoints as the published code wrote them become networks with the published outputs."""

import dataclasses
import enum
import json
import os
import pathlib
import pickle
import sys
import types
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest
import torch

from healswin.grid import EquiangularGrid, HealpixGrid, window_shift
from healswin.models import create_model
from healswin.zoo import ModelConfig, load_model
from healswin.zoo.legacy import is_published, load_published
from healswin.zoo.torch_file import TorchFile

HEAL_SWIN = Path(__file__).parents[1] / "data"
S2CNN = Path(__file__).parents[1] / "s2cnn_baselines" / "goldens"

# Which classes of which modules the published pickles name; none of them is installed.
MODULES = {
    "heal_swin.models_torch.swin_hp_transformer": ["SwinHPTransformerConfig", "UnetDecoder"],
    "heal_swin.models_lightning.segmentation.model_lightning_swin_hp": [
        "WoodscapeSegmenterSwinHPConfig"
    ],
    "heal_swin.models_lightning.depth_estimation.model_lightning_depth_swin_hp": [
        "WoodscapeDepthSwinHPConfig"
    ],
    "heal_swin.models_lightning.depth_estimation.depth_common_config": ["CommonDepthConfig"],
    "heal_swin.training.optimizer": ["OptimizerConfig"],
    "heal_swin.data.segmentation.data_spec": ["DataSpec"],
    "heal_swin.data.depth_estimation.data_spec_depth": ["DepthDataSpec"],
    "heal_swin.data.depth_estimation.normalize_depth_data": ["LogDepthDataStatistics"],
    "heal_swin.data.data_config": [
        "WoodscapeHPConfig",
        "WoodscapeCommonConfig",
        "WoodscapeDepthCommonConfig",
    ],
    "pytorch_lightning.callbacks.model_checkpoint": ["ModelCheckpoint"],
    "pytorch_lightning.utilities.parsing": ["AttributeDict"],
    "pytorch_lightning.utilities.enums": ["LightningEnum"],
}


class Objects:
    """Makes objects of the published classes: ``objects.DataSpec(f_in=3)``."""

    def __init__(self):
        self.classes = {}
        for path, names in MODULES.items():
            for name in names:
                base = {"AttributeDict": (dict,)}.get(name, ())
                made = type(name, base, {"__module__": path, "__qualname__": name})
                if name == "LightningEnum":
                    made = enum.Enum(name, {"DDP": "ddp"}, module=path, qualname=name)
                self.classes[path, name] = made

    def install(self, monkeypatch):
        for (path, name), made in self.classes.items():
            parts = path.split(".")
            for i in range(1, len(parts) + 1):
                module = ".".join(parts[:i])
                if module not in sys.modules or not hasattr(sys.modules[module], "made_up"):
                    invented = types.ModuleType(module)
                    invented.made_up = True
                    monkeypatch.setitem(sys.modules, module, invented)
            setattr(sys.modules[path], name, made)

    def __getattr__(self, name):
        made = next(made for (_, known), made in self.classes.items() if known == name)

        def make(**fields):
            value = made()
            vars(value).update(fields)
            return value

        return made if name in ("UnetDecoder", "ModelCheckpoint", "LightningEnum") else make


@pytest.fixture
def written(tmp_path, monkeypatch):
    """A function that writes files while the published modules exist; they are gone afterwards."""

    def write(make, name="epoch=7_val.ckpt", beside=None, protocol=2, zipped=True):
        with monkeypatch.context() as patch:
            objects = Objects()
            objects.install(patch)
            path = tmp_path / name
            torch.save(
                make(objects),
                path,
                pickle_protocol=protocol,
                _use_new_zipfile_serialization=zipped,
            )
            for file, value in (beside(objects) if beside else {}).items():
                (tmp_path / file).write_bytes(pickle.dumps(value, 4))
        assert "heal_swin" not in sys.modules
        with pytest.raises((ImportError, AttributeError)):
            pickle.loads(b"cheal_swin.data.segmentation.data_spec\nDataSpec\n.")
        return path

    return write


def arrays_of(folder, name):
    with np.load(folder / f"{name}.npz", allow_pickle=False) as file:
        arrays = {key: file[key] for key in file.files}
    arrays["meta"] = json.loads(str(arrays["meta"]))
    state = OrderedDict(
        (key[3:], torch.from_numpy(value)) for key, value in arrays.items() if key[:3] == "sd/"
    )
    return arrays, state


def lightning(objects, state, **more):
    """What Lightning 1.x writes, with the callbacks under their classes."""
    exp_avg = [torch.full_like(value, 0.1) for value in state.values()]
    state = OrderedDict((f"model.{name}", value) for name, value in state.items())
    state["loss.weight"] = torch.ones(5)
    state._metadata = OrderedDict({"": {"version": 1}})
    return {
        "epoch": 7,
        "global_step": 1234,
        "pytorch-lightning_version": "1.2.10",
        "state_dict": state,
        "callbacks": {
            objects.ModelCheckpoint: {
                "monitor": "val_iou_global_ignored",
                "best_model_score": torch.tensor(0.5),
                "best_model_path": pathlib.PosixPath("/tmp/run/best.ckpt"),
                "current_score": np.float64(0.25),
                "strategy": objects.LightningEnum.DDP,
            }
        },
        "optimizer_states": [{"state": dict(enumerate(exp_avg)), "param_groups": [{"lr": 1e-3}]}],
        "lr_schedulers": [],
        **more,
    }


def transformer_config(objects, meta, **changes):
    fields = {
        "patch_size": meta["patch_size"],
        "window_size": meta["window_size"],
        "shift_size": meta["shift_size"],
        "shift_strategy": meta["shift_strategy"],
        "rel_pos_bias": meta["rel_pos_bias"],
        "embed_dim": meta["embed_dim"],
        "patch_embed_norm_layer": None,
        "depths": meta["depths"],
        "num_heads": meta["num_heads"],
        "mlp_ratio": 4.0,
        "qkv_bias": True,
        "qk_scale": None,
        "use_cos_attn": meta["use_cos_attn"],
        "drop_rate": 0.1,
        "attn_drop_rate": 0.1,
        "drop_path_rate": 0.2,
        "norm_layer": torch.nn.LayerNorm,
        "use_v2_norm_placement": meta["use_v2_norm_placement"],
        "ape": meta["ape"],
        "use_checkpoint": False,
        "decoder_class": objects.UnetDecoder,
    }
    return objects.SwinHPTransformerConfig(**{**fields, **changes})


NAMES = ["void", "road", "person", "rider", "vehicle"]


def configuration(objects, meta, rotate_pole=False, **changes):
    """The files beside a checkpoint of HEAL-SWIN."""
    common = objects.WoodscapeCommonConfig(
        batch_size=2, rotate_pole=rotate_pole, version="woodscape"
    )
    return {
        "model_config": objects.WoodscapeSegmenterSwinHPConfig(
            swin_hp_transformer_config=transformer_config(objects, meta, **changes),
            optimizer_config=objects.OptimizerConfig(scheduler=None, learning_rate=1e-3),
            class_weights=[1.0] * 5,
        ),
        "data_spec": objects.DataSpec(
            dim_in=meta["base_pix"] * meta["nside"] ** 2,
            f_in=3,
            f_out=5,
            base_pix=np.int64(meta["base_pix"]),
            class_names=NAMES,
        ),
        "data_config": objects.WoodscapeHPConfig(
            common=common, input_nside=meta["nside"], input_base_pix=meta["base_pix"]
        ),
    }


def built(config, state):
    """The network of a configuration that went through JSON, with the weights."""
    config = ModelConfig.from_dict(json.loads(json.dumps(config.to_dict())))
    network = create_model(
        config.model, config.make_grid(), config.in_chans, config.num_classes, **config.arguments
    )
    network.load_state_dict(state, strict=True)
    return network.eval()


def assert_published_output(network, arrays, tolerance=1e-5):
    with torch.inference_mode():
        output = network(torch.from_numpy(arrays["x"])).numpy()
    wanted = arrays["y"] if "y" in arrays else arrays["y64"]
    assert np.abs(output - wanted).max() < tolerance * max(1, np.abs(wanted).max())


def bits(tensor):
    return tensor.contiguous().numpy().tobytes()


def assert_equal_numbers(state, published):
    """Every parameter is in the result, bit by bit, whatever its name."""
    derived = ("attn_mask", "relative_position_index")
    before = sorted(bits(v) for k, v in published.items() if not k.endswith(derived))
    assert sorted(bits(value) for value in state.values()) == before


@pytest.mark.parametrize(
    ("golden", "zipped", "where"),
    [
        ("unet_ring_v2", True, "beside"),
        ("unet_ring_v2", False, "inside"),
        ("unet_grid_v1", True, "inside"),
        ("unet_grid_v1", False, "beside"),
    ],
)
def test_heal_swin(written, golden, zipped, where):
    arrays, state = arrays_of(HEAL_SWIN, golden)
    meta = arrays["meta"]

    def make(objects):
        files = configuration(objects, meta)
        inside = {"config": files["model_config"], "data_spec": files["data_spec"]}
        more = {"hyper_parameters": inside} if where == "inside" else {}
        return lightning(objects, state, **more)

    beside = (lambda objects: configuration(objects, meta)) if where == "beside" else None
    path = written(make, beside=beside, zipped=zipped)
    assert is_published(path)
    config, ours = load_published(path)
    assert_equal_numbers(ours, state)
    assert_published_output(built(config, ours), arrays)
    assert config.name == "published_epoch_7_val"
    assert config.task == "segmentation"
    assert config.class_names == tuple(NAMES)
    assert config.make_grid() == HealpixGrid(16, range(8))
    assert (config.image_mean, config.image_std) == ((0.0,) * 3, (1 / 255,) * 3)
    assert config.pole == "camera"
    rates = [config.arguments[k] for k in ("dropout", "attention_dropout", "drop_path")]
    assert rates == [0.1, 0.1, 0.2]


def test_masks_tell_grid_windows_and_shift(written):
    arrays, state = arrays_of(HEAL_SWIN, "unet_ring_v2")
    path = written(lambda objects: lightning(objects, state))
    config, ours = load_published(path, norm_placement="post")
    assert config.arguments["windows"] == "ring"
    assert config.arguments["shift_size"] == 2
    assert config.make_grid() == HealpixGrid(16, range(8))
    assert config.class_names == ()
    assert_published_output(built(config, ours), arrays)


def test_what_nobody_says_is_asked_for_by_name(written):
    _, state = arrays_of(HEAL_SWIN, "unet_grid_v1")
    path = written(lambda objects: lightning(objects, state))
    with pytest.raises(ValueError, match=r"num_heads=\.\.\., norm_placement=\.\.\.\)"):
        load_published(path)
    arrays, _ = arrays_of(HEAL_SWIN, "unet_grid_v1")
    config, ours = load_published(
        path, num_heads=[2, 4], norm_placement="pre", class_names="abcde", pole="vehicle"
    )
    assert config.arguments["windows"] == "grid"
    assert config.class_names == tuple("abcde")
    assert config.pole == "vehicle"
    assert_published_output(built(config, ours), arrays)


def without(state, *endings):
    return OrderedDict((k, v) for k, v in state.items() if not k.endswith(endings))


def test_without_masks_the_grid_is_asked_for(written):
    _, state = arrays_of(HEAL_SWIN, "unet_ring_v2")
    bare = without(state, "attn_mask")
    path = written(lambda objects: {f"module.{k}": v for k, v in bare.items()}, "weights.pt")
    with pytest.raises(ValueError, match=r"load_published\(path, grid="):
        load_published(path, norm_placement="post")
    with pytest.raises(ValueError, match="shift_size=0"):
        load_published(path, norm_placement="post", grid=HealpixGrid(16, range(8)))


def test_windows_that_masks_do_not_tell_are_asked_for(written):
    """Masks of "roll" say nothing of the faces: 8 of nside 16 are as many pixels as 2 of 32."""
    _, state = arrays_of(HEAL_SWIN, "unet_ring_v2")
    grid = HealpixGrid(16, range(8))
    for stage, nside in enumerate([8, 4]):
        shift = window_shift("roll", HealpixGrid(nside, range(8)), 16, 2)
        attends = torch.from_numpy(shift.attends(16))
        state[f"layers.{stage}.blocks.1.attn_mask"] = torch.where(attends, 0.0, -100.0)
    path = written(lambda objects: lightning(objects, state))
    with pytest.raises(ValueError, match=r"more than one way .* give load_published grid="):
        load_published(path, norm_placement="post")
    config, _ = load_published(path, norm_placement="post", grid=grid)
    assert (config.arguments["windows"], config.arguments["shift_size"]) == ("roll", 2)


def test_a_configuration_of_another_network_is_refused(written):
    arrays, state = arrays_of(HEAL_SWIN, "unet_ring_v2")
    meta = arrays["meta"]

    def refused(match, **changes):
        path = written(
            lambda objects: lightning(objects, state),
            beside=lambda objects: configuration(objects, {**meta, **changes}),
        )
        with pytest.raises(ValueError, match=match):
            load_published(path)

    refused("attention masks are not those", shift_size=3)
    refused("attention masks are not those", shift_strategy="nest_roll")
    refused(r"shift_strategy='spiral' must be one of", shift_strategy="spiral")
    refused("2048 pixels, the grid that was given", base_pix=7)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: without(s, "qkv.bias"), "qkv_bias=False"),
        (lambda s: {**s, "patch_embed.norm.weight": torch.ones(16)}, "patch_embed_norm_layer"),
        (lambda s: without(s, "fc1.weight"), r"fc1\.weight is missing"),
        (lambda s: {**s, "decoder.strange": torch.ones(1)}, "no parameter of the published"),
        (lambda s: {**s, "decoder.output.weight": torch.ones(5, 16)}, "3 dimensions are needed"),
        (
            lambda s: {**s, "layers.1.blocks.1.attn_mask": torch.zeros(9, 16, 16)},
            "maps of different sizes",
        ),
    ],
)
def test_networks_that_healswin_has_not(written, change, message):
    arrays, state = arrays_of(HEAL_SWIN, "unet_ring_v2")
    path = written(
        lambda objects: lightning(objects, change(state)),
        beside=lambda objects: configuration(objects, arrays["meta"]),
    )
    with pytest.raises(ValueError, match=message):
        load_published(path)


def test_a_scale_of_its_own_is_refused(written):
    arrays, state = arrays_of(HEAL_SWIN, "unet_grid_v1")
    path = written(
        lambda objects: lightning(objects, state),
        beside=lambda objects: configuration(objects, arrays["meta"], qk_scale=0.3),
    )
    with pytest.raises(ValueError, match=r"qk_scale=0\.3"):
        load_published(path)


@pytest.mark.parametrize(
    ("normalisation", "scale"),
    [("standardize", (1.45, 2.07)), ("min-max", (-1.8, 8.7)), ("None", (0.0, 1.0))],
)
def test_depth(written, normalisation, scale):
    arrays, state = arrays_of(HEAL_SWIN, "unet_ring_v2")
    meta = arrays["meta"]
    state["decoder.output.weight"] = state["decoder.output.weight"][:2].clone()

    def beside(objects):
        files = configuration(objects, meta, rotate_pole=True)
        files["model_config"] = objects.WoodscapeDepthSwinHPConfig(
            swin_hp_transformer_config=transformer_config(objects, meta),
            common_depth_config=objects.CommonDepthConfig(loss="l2", use_logvar=True),
        )
        files["data_spec"] = objects.DepthDataSpec(
            dim_in=2048,
            f_in=3,
            f_out=1,
            base_pix=8,
            data_stats=objects.LogDepthDataStatistics(
                name="log", mean=np.float64(1.45), std=2.07, min=-1.8, max=6.9
            ),
        )
        files["data_config"].common_depth = objects.WoodscapeDepthCommonConfig(
            mask_background=True, data_transform="log", normalize_data=normalisation
        )
        return files

    config, _ = load_published(written(lambda o: lightning(o, state), beside=beside))
    assert (config.task, config.num_classes, config.pole) == ("depth", 2, "vehicle")
    assert config.depth == pytest.approx(
        {"transform": "log", "mean": scale[0], "std": scale[1], "log_variance": True}
    )


def test_depth_whose_scale_nobody_says_is_asked_for(written):
    arrays, state = arrays_of(HEAL_SWIN, "unet_ring_v2")
    state["decoder.output.weight"] = state["decoder.output.weight"][:1].clone()

    def beside(objects):
        files = configuration(objects, arrays["meta"])
        files["model_config"].common_depth_config = objects.CommonDepthConfig(use_logvar=False)
        return files

    path = written(lambda objects: lightning(objects, state), beside=beside)
    with pytest.raises(ValueError, match=r"load_published\(path, depth=\.\.\.\)"):
        load_published(path)
    depth = {"transform": "inverse", "mean": 1.0, "std": 2.0, "log_variance": False}
    assert load_published(path, depth=depth)[0].depth == depth


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_halves_stay_halves(written, monkeypatch, dtype):
    arrays, state = arrays_of(HEAL_SWIN, "unet_ring_v2")
    half = OrderedDict((k, v.to(dtype) if v.is_floating_point() else v) for k, v in state.items())
    monkeypatch.setattr(torch.serialization, "location_tag", lambda storage: "cuda:3")
    path = written(
        lambda objects: lightning(objects, half),
        beside=lambda objects: configuration(objects, arrays["meta"]),
    )
    config, ours = load_published(path)
    assert {value.dtype for value in ours.values()} == {dtype}
    assert {value.device.type for value in ours.values()} == {"cpu"}
    network = built(config, ours)
    assert torch.equal(
        network.state_dict()["encoder.norm.weight"], half["norm.weight"].to(torch.float32)
    )


def test_load_model_takes_them(written):
    arrays, state = arrays_of(HEAL_SWIN, "unet_ring_v2")
    path = written(
        lambda objects: lightning(objects, state),
        beside=lambda objects: configuration(objects, arrays["meta"]),
    )
    model = load_model(path)
    assert_published_output(model, arrays)
    stored = torch.randint(0, 256, (1, 3, 2048), dtype=torch.uint8)
    torch.testing.assert_close(model.normalise(stored), stored.float(), rtol=1e-6, atol=1e-4)


def test_optimizer_states_are_never_read(written, monkeypatch):
    arrays, state = arrays_of(HEAL_SWIN, "unet_ring_v2")
    path = written(
        lambda objects: lightning(objects, state),
        beside=lambda objects: configuration(objects, arrays["meta"]),
    )
    asked = []
    plain = TorchFile.tensors

    def counted(self, wanted):
        asked.extend(wanted)
        return plain(self, wanted)

    monkeypatch.setattr(TorchFile, "tensors", counted)
    assert is_published(path)
    assert asked == []
    load_published(path)
    assert set(asked) <= set(state)


def test_a_hostile_checkpoint_loads_its_numbers_only(written, tmp_path):
    """What runs when it is unpickled does not run; the network is there all the same."""

    class Attack:
        def __reduce__(self):
            return os.system, (f"touch {tmp_path / 'mark'}",)

    arrays, state = arrays_of(HEAL_SWIN, "unet_ring_v2")

    def make(objects):
        return lightning(objects, state, hyper_parameters={"x": Attack()}, loops=Attack())

    def beside(objects):
        return {**configuration(objects, arrays["meta"]), "run_config": Attack()}

    config, ours = load_published(written(make, beside=beside))
    assert_published_output(built(config, ours), arrays)
    assert not (tmp_path / "mark").exists()


def test_configurations_that_never_end(written):
    arrays, state = arrays_of(HEAL_SWIN, "unet_ring_v2")
    meta = arrays["meta"]
    loop = {}
    loop["self"] = [loop, (loop,)]
    doubled = {}
    for _ in range(60):
        doubled = {"a": doubled, "b": doubled}
    deep = []
    for _ in range(110):
        deep = [deep]
    more = {"hyper_parameters": {"loop": loop, "doubled": doubled}}
    path = written(
        lambda objects: lightning(objects, state, **more),
        beside=lambda objects: configuration(objects, meta),
    )
    assert load_published(path)[0].arguments["windows"] == "ring"
    more["hyper_parameters"]["deep"] = deep
    with pytest.raises(ValueError, match="more than 100 levels"):
        load_published(written(lambda objects: lightning(objects, state, **more)))


def test_flat_networks_are_refused_with_the_reason(written):
    state = {
        "patch_embed.proj.weight": torch.zeros(8, 3, 2, 2),
        "concat_back_dim.1.weight": torch.zeros(8, 16),
        "output.weight": torch.zeros(5, 8, 1, 1),
    }
    path = written(lambda objects: lightning(objects, state))
    assert is_published(path)
    with pytest.raises(ValueError, match="flat SWIN-UNet of the published code"):
        load_published(path)


def s2cnn_of(name):
    arrays, state = arrays_of(S2CNN, name)
    return arrays, state, arrays["meta"]["args"]


@pytest.mark.parametrize("name", ["segnet_noskip", "segnet_skip"])
def test_s2cnn_segmenter(written, name):
    arrays, state, args = s2cnn_of(name)
    path = written(lambda objects: state, "segmenter.pt", zipped=False)
    assert is_published(path)
    with pytest.raises(ValueError, match=r"bandwidths=\.\.\., max_beta=\.\.\., grid=\.\.\."):
        load_published(path)
    given, _ = load_published(
        path,
        grid=EquiangularGrid(args["b_in"]),
        bandwidths=args["b_ls"],
        max_beta=args["kernel_max_beta"],
    )
    # The same with the constructor's arguments in the file.
    path = written(lambda objects: {"state_dict": state, "hyper_parameters": args})
    config, ours = load_published(path)
    assert (config.model, config.num_classes) == ("s2cnn_segmenter", 5)
    assert config.arguments["use_skips"] == args["use_skips"]
    assert (config.arguments, config.grid) == (given.arguments, given.grid)
    assert_equal_numbers(ours, state)
    assert_published_output(built(config, ours), arrays)


@pytest.mark.parametrize("name", ["cnn_noskip", "cnn_skip"])
def test_cnn_segmenter(written, name):
    arrays, state, args = s2cnn_of(name)
    path = written(lambda objects: state, "cnn.pt")
    with pytest.raises(ValueError, match=r"size=\.\.\., grid=\.\.\."):
        load_published(path)
    path = written(lambda objects: {"state_dict": state, "hyper_parameters": args})
    config, ours = load_published(path)
    assert config.arguments["size"]["strides"] == args["strides"]
    assert config.make_grid() == EquiangularGrid(15)
    assert_equal_numbers(ours, state)
    assert_published_output(built(config, ours), arrays)


@pytest.mark.parametrize("skips", [True, False])
def test_published_sizes_of_cnns_are_known(written, skips):
    network = create_model("cnn_segmenter_218k", EquiangularGrid(50), 1, 11, use_skips=skips)
    path = written(lambda objects: network.state_dict(), "cnn.pt")
    config, ours = load_published(path)
    assert (config.model, config.arguments) == ("cnn_segmenter_218k", {"use_skips": skips})
    assert config.make_grid() == EquiangularGrid(50)
    assert_equal_numbers(ours, network.state_dict())


@pytest.mark.parametrize(("points", "so3_grid"), [(192, None), (72, [6, 2, 6])])
def test_the_example_of_s2cnn_is_known_by_its_widths(written, points, so3_grid):
    shapes = {
        "conv1.kernel": (1, 20, 24),
        "conv1.bias": (1, 20, 1, 1, 1),
        "conv2.kernel": (20, 40, points),
        "conv2.bias": (1, 40, 1, 1, 1),
        "out_layer.weight": (10, 40),
        "out_layer.bias": (10,),
    }
    state = {name: torch.randn(shape) for name, shape in shapes.items()}
    config, ours = load_published(written(lambda objects: state, "mnist.pt"))
    assert (config.task, config.model) == ("classification", "s2cnn_classifier")
    assert config.arguments.get("so3_grid") == so3_grid
    network = built(config, ours)
    assert all(torch.equal(network.state_dict()[name], state[name]) for name in shapes)
    state["conv2.kernel"] = torch.zeros(20, 40, 100)
    with pytest.raises(ValueError, match=r"so3_grid=\.\.\.\)"):
        load_published(written(lambda objects: state, "mnist.pt"))


DEEP = {"bandwidths": [4, 3, 2], "features": [2, 3, 4], "max_beta": [0.1, 0.2, 0.3]}


@pytest.mark.parametrize("beta", [DEEP["max_beta"], 0.2])
def test_deep_classifiers(written, beta):
    torch.manual_seed(1)
    betas = beta if isinstance(beta, list) else [beta] * 3
    grid = EquiangularGrid(4)
    settings = {**DEEP, "max_beta": betas, "hidden": [5, 6]}
    network = create_model("s2cnn_deep_classifier", grid, 1, 10, **settings).eval()
    state = network.state_dict()
    path = written(lambda objects: state, "deep.pt")
    with pytest.raises(ValueError, match=r"bandwidths=\.\.\., max_beta=\.\.\., grid=\.\.\."):
        load_published(path)
    x = torch.rand(2, 1, 8, 8)
    given = {"bandwidths": DEEP["bandwidths"], "max_beta": betas}
    config, ours = load_published(path, grid=grid, **given)
    assert torch.equal(built(config, ours)(x), network(x))

    def renamed(objects):
        hparams = objects.AttributeDict()
        hparams.update(
            name="s2",
            channels=DEEP["features"],
            bandlimit=DEEP["bandwidths"],
            kernel_max_beta=beta,
            activation_fn="ReLU",
            batch_norm=True,
            nodes=[5, 6],
            image_size=8,
        )
        names = {
            k.replace("convolutional", "conv").replace("linear", "dense"): v
            for k, v in state.items()
        }
        return {"state_dict": OrderedDict(names), "hyper_parameters": hparams}

    path = written(renamed, "untrained.ckpt", zipped=False)
    config, ours = load_published(path)
    assert config.task == "classification"
    assert_equal_numbers(ours, state)
    assert torch.equal(built(config, ours)(x), network(x))


@pytest.mark.parametrize(
    ("change", "hparams", "message"),
    [
        (lambda s: s, {"activation_fn": "LeakyReLU"}, "activation_fn='LeakyReLU'"),
        (lambda s: without(s, "7.weight", "7.bias"), {}, "has three linear layers"),
        (lambda s: {**s, "conv.2.kernel": torch.zeros(2, 3, 24)}, {}, "on SO.3. 36"),
    ],
)
def test_deep_classifiers_that_healswin_has_not(written, change, hparams, message):
    network = create_model("s2cnn_deep_classifier", EquiangularGrid(4), 1, 10, **DEEP)
    state = {
        k.replace("convolutional", "conv").replace("linear", "dense"): v
        for k, v in network.state_dict().items()
    }
    path = written(lambda objects: {"state_dict": change(state), "hyper_parameters": hparams})
    with pytest.raises(ValueError, match=message):
        load_published(path)


def test_cnn_classifiers(written):
    torch.manual_seed(1)
    size = {"features": [3, 4], "kernel_sizes": [5, 3], "strides": [2, 1]}
    network = create_model("cnn_classifier", EquiangularGrid(30), 1, 10, size=size).eval()
    names = {"layers.0": "conv.0", "layers.1": "conv.2", "out_layer": "dense.0"}
    state = {}
    for key, value in network.state_dict().items():
        layer, _, kind = key.rpartition(".")
        state[f"{names[layer]}.{kind}"] = value
    hparams = {"channels": [3, 4], "kernels": [5, 3], "strides": [2, 1], "nodes": []}
    path = written(lambda objects: {"state_dict": state, "hyper_parameters": hparams})
    config, ours = load_published(path)
    x = torch.rand(2, 1, 60, 60)
    assert torch.equal(built(config, ours)(x), network(x))
    state["dense.1.weight"] = torch.zeros(1)
    path = written(lambda objects: {"state_dict": state, "hyper_parameters": hparams})
    with pytest.raises(ValueError, match="one linear layer"):
        load_published(path)
    # Without the hyperparameters these names may be anybody's.
    assert not is_published(written(lambda objects: state))


@pytest.mark.parametrize("grid", [HealpixGrid(4), EquiangularGrid(4)])
def test_grids_of_another_kind_are_refused(written, grid):
    _, state = arrays_of(HEAL_SWIN, "unet_ring_v2")
    if isinstance(grid, HealpixGrid):
        _, state, _ = s2cnn_of("segnet_skip")
    path = written(lambda objects: state, "weights.pt")
    with pytest.raises(ValueError, match=r"grid=.* must be an? \w+Grid for this network"):
        load_published(path, grid=grid, norm_placement="post", bandwidths=[1], max_beta=[1.0])


def test_other_files_are_not_published(written, tmp_path):
    own = create_model("healswin_tiny", HealpixGrid(16, range(8)), 3, 5, depths=[1], num_heads=[1])
    task = {f"network.{name}": value for name, value in own.state_dict().items()}
    _, golden, _ = s2cnn_of("segnet_skip")
    s2cnn = {f"network.{name}": value for name, value in golden.items()}
    others = [
        own.state_dict(),
        {"state_dict": task},
        {"state_dict": s2cnn, "hyper_parameters": {"network": {}}},
        {"weight": torch.zeros(3)},
        [torch.zeros(3)],
        {"state_dict": 3},
        torch.nn.Linear(2, 2),
    ]
    for value in others:
        path = written(lambda objects, value=value: value, "other.pt")
        assert not is_published(path)
        with pytest.raises(ValueError, match=r"other\.pt"):
            load_published(path)
    (tmp_path / "text.ckpt").write_text("no checkpoint")
    assert not is_published(tmp_path / "text.ckpt")
    with pytest.raises(FileNotFoundError):
        is_published(tmp_path / "missing.ckpt")


def test_a_damaged_configuration_beside_is_named(written, tmp_path):
    _, state = arrays_of(HEAL_SWIN, "unet_ring_v2")
    path = written(lambda objects: lightning(objects, state))
    (tmp_path / "data_spec").write_bytes(b"\x80\x04half")
    with pytest.raises(ValueError, match=r"data_spec is no pickle that can be read"):
        load_published(path)


def test_dataclasses_of_the_configuration_are_what_is_pickled():
    """An object with these fields is pickled as a dataclass is: class by name, fields as state."""

    @dataclasses.dataclass
    class Spec:
        f_in: int = 3

    assert Spec(4).__reduce_ex__(2)[2] == {"f_in": 4}
