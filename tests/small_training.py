"""A small training through the command line, with everything in it that draws random numbers."""

import csv
import json

import torch

from healswin.__main__ import main

NETWORK = {
    "class_path": "healswin.models.HealSwin",
    "init_args": {
        "embed_dim": 8,
        "depths": [1, 2],
        "num_heads": [1, 2],
        "window_size": 16,
        "shift_size": 2,
        "dropout": 0.1,
        "attention_dropout": 0.1,
        "drop_path": 0.2,
    },
}
COSINE = {"class_path": "torch.optim.lr_scheduler.CosineAnnealingLR", "init_args": {"T_max": 4}}
WARM_UP = {"class_path": "healswin.tasks.WarmUp", "init_args": {"steps": 2, "then": COSINE}}
AVERAGED = {"class_path": "healswin.tasks.AveragedWeights", "init_args": {"decay": 0.9}}
ON_CPU = ["--trainer.accelerator", "cpu", "--trainer.enable_progress_bar", "false"]
TURNED = {"class_path": "healswin.data.batch_augment.BatchSymmetries"}


def configuration(epochs=1, model=None, trainer=None, data=None):
    return {
        "seed_everything": 1,
        "trainer": {
            "accelerator": "cpu",
            "max_epochs": epochs,
            "log_every_n_steps": 1,
            "enable_progress_bar": False,
            **(trainer or {}),
        },
        "data": {"batch_size": 4, "batch_augmentations": [TURNED], **(data or {})},
        "model": {"init_args": {"network": NETWORK, **(model or {})}},
    }


def fit(root, folder, *more, task="SegmentationTask", **changes):
    """`healswin fit` into a folder; its exit status."""
    # JSON is YAML.
    config = folder.with_suffix(".yaml")
    settings = configuration(**changes)
    settings["model"]["class_path"] = f"healswin.tasks.{task}"
    config.write_text(json.dumps(settings))
    where = ["--data.root", str(root), "--trainer.default_root_dir", str(folder)]
    return main(["fit", "--config", str(config), *where, *more])


def checkpoint(folder, name="last"):
    return torch.load(folder / "checkpoints" / f"{name}.ckpt", weights_only=True)


def logged(folder, *names):
    """Values by epoch and name, of all parts of a training; the loss of every step by its step."""
    values = {}
    for file in sorted((folder / "logs").glob("version_*/metrics.csv")):
        for row in csv.DictReader(file.read_text().splitlines()):
            for name in names:
                if row.get(name):
                    values[name, int(row["step"])] = row[name]
    return values


def assert_equal(one, other):
    """Nested values that are the same to the last bit."""
    if isinstance(one, torch.Tensor):
        assert torch.equal(one, other)
    elif isinstance(one, dict):
        assert one.keys() == other.keys()
        for key in one:
            assert_equal(one[key], other[key])
    elif isinstance(one, list | tuple):
        assert len(one) == len(other)
        for a, b in zip(one, other, strict=True):
            assert_equal(a, b)
    else:
        assert one == other
