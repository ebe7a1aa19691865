"""Checkpoints of the command line, and files that only look like them."""

import pickle

import pytest
import torch
from torch import nn

import healswin
from healswin.__main__ import main
from healswin.data import PreparedDataModule, PreparedSet
from healswin.grid import HealpixGrid
from healswin.models import create_model, register_network, registry
from healswin.tasks import SegmentationTask

CONFIG = """
seed_everything: 1
trainer:
  accelerator: cpu
  max_epochs: 1
  log_every_n_steps: 1
  enable_progress_bar: false
  enable_model_summary: false
data: {batch_size: 4, tasks: [semantic]}
model:
  class_path: healswin.tasks.SegmentationTask
  init_args:
    network:
      class_path: healswin.models.HealSwin
      init_args: {embed_dim: 4, depths: [1, 1], num_heads: [1, 1], window_size: 16, shift_size: 2}
"""


@pytest.fixture(scope="module")
def run(prepared, tmp_path_factory):
    """The folder of a run of one epoch."""
    folder = tmp_path_factory.mktemp("runs") / "small run"
    config = folder.parent / "config.yaml"
    config.write_text(CONFIG)
    arguments = ["--data.root", str(prepared(16)), "--trainer.default_root_dir", str(folder)]
    assert main(["fit", "--config", str(config), *arguments]) == 0
    return folder


@pytest.fixture
def best(run):
    return run / "checkpoints" / "best.ckpt"


@pytest.fixture
def changed(best, tmp_path):
    """A function that writes a copy of the checkpoint after a change."""

    def write(change, name="changed.ckpt"):
        checkpoint = torch.load(best, weights_only=True)
        change(checkpoint)
        torch.save(checkpoint, tmp_path / name)
        return tmp_path / name

    return write


def test_a_checkpoint_says_all_that_its_use_needs(best, prepared):
    data = PreparedSet.open(str(prepared(16)))
    model = healswin.load_model(best)
    config = model.config
    assert config.name == "healswin.small-run"
    assert (config.task, config.model, config.in_chans) == ("segmentation", "healswin", 3)
    assert model.grid == data.grid
    assert list(config.class_names) == data.class_names
    assert [list(colour) for colour in config.class_colours] == data.class_colours
    assert config.image_mean == pytest.approx(tuple(data.image_mean))
    assert config.image_std == pytest.approx(tuple(data.image_std))
    assert config.image_dtype == "uint8"
    assert config.pole == data.pole
    assert config.up == tuple(data.up)
    assert config.data == {"name": data.root.name, "fingerprint": data.fingerprint}


def test_it_predicts_as_the_task_does(best, prepared):
    task = SegmentationTask.load_from_checkpoint(best, map_location="cpu").eval()
    model = healswin.load_model(best)
    data = PreparedDataModule(str(prepared(16)), batch_size=4)
    batch = next(iter(data.test_dataloader()))
    stored = torch.stack([torch.from_numpy(data.prepared.image(int(i))).T for i in batch["sample"]])
    assert torch.equal(model.normalise(stored), batch["image"])
    with torch.no_grad():
        assert torch.equal(model(batch["image"]), task(batch["image"]))
        assert torch.equal(model.predict(stored), task.predict_step(batch, 0)["prediction"])


def test_the_score_belongs_to_the_epoch_that_was_kept(best):
    states = torch.load(best, weights_only=True)["callbacks"].values()
    score = next(float(s["best_model_score"]) for s in states if s["monitor"])
    assert healswin.load_model(best).config.metrics == {"val/miou_without_void": score}
    assert healswin.load_model(best.with_name("last.ckpt")).config.metrics == {}


def test_it_becomes_a_folder(best, tmp_path):
    model = healswin.load_model(best)
    model.save_pretrained(tmp_path)
    again = healswin.load_model(tmp_path)
    assert again.config == model.config
    for name, value in model.state_dict().items():
        assert torch.equal(again.state_dict()[name], value)


def test_older_checkpoints_say_less(changed):
    def forget(checkpoint):
        for name in ("up", "image_dtype", "data", "label_names"):
            checkpoint["PreparedDataModule"].pop(name, None)

    config = healswin.load_model(changed(forget)).config
    assert (config.up, config.image_dtype, config.data) == (None, "uint8", {})
    assert len(config.image_mean) == 3
    stranger = healswin.load_model(changed(lambda c: c.pop("PreparedDataModule")))
    with pytest.raises(ValueError, match="states no image_mean"):
        stranger.predict(torch.zeros(1, 3, 2048, dtype=torch.uint8))


def test_a_classification_has_labels(changed):
    labels = ["zero", "one", "two"]
    grid = HealpixGrid(16, range(8))

    def classify(checkpoint):
        hyper = checkpoint["hyper_parameters"]
        hyper["_class_path"] = "healswin.tasks.ClassificationTask"
        hyper["label_names"] = labels
        del hyper["class_names"]
        arguments = hyper["network"]["init_args"]
        arguments["head"] = "classification"
        network = create_model("healswin", grid, 3, 3, **arguments)
        checkpoint["state_dict"] = {f"network.{k}": v for k, v in network.state_dict().items()}

    model = healswin.load_model(changed(classify))
    assert (model.config.task, model.config.class_names) == ("classification", tuple(labels))
    assert model.predict(torch.zeros(2, 3, 2048, dtype=torch.uint8)).shape == (2,)


class Flat(nn.Module):
    """A network of somebody else."""

    def __init__(self, nside, base_pixels, in_chans, num_classes, *, bias=True):
        super().__init__()
        self.layer = nn.Conv1d(in_chans, num_classes, 1, bias=bias)

    def forward(self, x):
        return self.layer(x)


def test_networks_of_others_load_once_they_have_a_name(changed, monkeypatch):
    monkeypatch.setattr(registry, "_MODELS", dict(registry._MODELS))
    monkeypatch.setattr(registry, "_NETWORKS", dict(registry._NETWORKS))
    network = Flat(16, range(8), 3, 12, bias=False)

    def replace(checkpoint):
        class_path = f"{Flat.__module__}.Flat"
        checkpoint["hyper_parameters"]["network"] = {
            "class_path": class_path,
            "init_args": {"bias": False},
        }
        checkpoint["state_dict"] = {"network.layer.weight": network.layer.weight.detach()}

    path = changed(replace)
    with pytest.raises(ValueError, match=r"Flat' has no name, .*register_network\(name, Flat,"):
        healswin.load_model(path)
    register_network("flat", Flat, HealpixGrid)
    model = healswin.load_model(path)
    assert model.config.model == "flat"
    assert torch.equal(model.network.layer.weight, network.layer.weight)


def test_what_a_file_names_is_never_imported(changed, tmp_path, monkeypatch):
    (tmp_path / "trap.py").write_text("raise SystemExit('imported')")
    monkeypatch.syspath_prepend(tmp_path)

    def set_path(checkpoint):
        checkpoint["hyper_parameters"]["network"]["class_path"] = "trap.HealSwin"

    with pytest.raises(ValueError, match=r"'trap\.HealSwin' has no name"):
        healswin.load_model(changed(set_path))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c["hyper_parameters"].pop("network"), "does not say which network"),
        (lambda c: c["hyper_parameters"].pop("grid"), "lacks something .*'grid'"),
        (lambda c: c.pop("hyper_parameters"), "lacks something .*'hyper_parameters'"),
        (lambda c: c.pop("state_dict"), "lacks something .*'state_dict'"),
        (lambda c: c.update(state_dict={}), "do not fit the network healswin: .* missing"),
        (lambda c: c["healswin"].pop("pole"), "lacks something .*'pole'"),
        (lambda c: c["hyper_parameters"].update(in_chans=0), "in_chans=0"),
        (lambda c: c["hyper_parameters"].update(_class_path="x.Y"), "of the task 'x.Y'"),
        (lambda c: c["hyper_parameters"].update(class_names=3), "lacks something"),
    ],
)
def test_checkpoints_that_lack_something_are_refused(changed, change, message):
    with pytest.raises(ValueError, match=message):
        healswin.load_model(changed(change))


class Sly:
    """Reading a pickle of it runs a command."""

    def __init__(self, target):
        self.target = target

    def __reduce__(self):
        return (open, (str(self.target), "w"))


@pytest.mark.parametrize("suffix", [".ckpt", ".pt", ".bin"])
def test_files_that_would_run_code_are_refused(tmp_path, suffix):
    target, path = tmp_path / "target", tmp_path / f"sly{suffix}"
    torch.save({"state_dict": {}, "healswin": {}, "extra": Sly(target)}, path)
    with pytest.raises(ValueError, match=r"sly.* is not loaded: it holds objects of .*open.* code"):
        healswin.load_model(path)
    path.write_bytes(pickle.dumps(Sly(target)))
    with pytest.raises(ValueError, match=r"is not loaded: .* code that the file chooses"):
        healswin.load_model(path)
    assert not target.exists()


def test_a_bare_state_dict_says_nothing_of_its_network(tmp_path):
    torch.save({"layer.weight": torch.zeros(2)}, tmp_path / "weights.pt")
    with pytest.raises(ValueError, match="does not say which network"):
        healswin.load_model(tmp_path / "weights.pt")


@pytest.mark.parametrize("length", [0, 10, 1000])
def test_a_checkpoint_that_was_cut_is_refused(best, tmp_path, length):
    path = tmp_path / "cut.ckpt"
    path.write_bytes(best.read_bytes()[:length])
    with pytest.raises(ValueError, match=r"cut\.ckpt is not loaded: it"):
        healswin.load_model(path)
