"""What trainings leave behind: to go on from, to use, and to find out what went wrong."""

import copy
import io
import json
import math
import random
import shutil
import threading
from functools import partial
from types import SimpleNamespace
from typing import ClassVar

import numpy as np
import pytest
import torch
from lightning.pytorch import Callback, LightningModule
from small_training import (
    AVERAGED,
    COSINE,
    NETWORK,
    ON_CPU,
    WARM_UP,
    assert_equal,
    checkpoint,
    fit,
    logged,
)

from healswin.__main__ import main
from healswin.cli import HealSwinCLI
from healswin.data import PreparedDataModule, PreparedSet
from healswin.grid import HealpixGrid
from healswin.models import HealSwin
from healswin.tasks import AveragedWeights, SegmentationTask
from healswin.tasks.random_state import random_state, set_random_state
from healswin.zoo import load_model

STATES = ("state_dict", "optimizer_states", "lr_schedulers", "random_state", "current_model_state")


def assert_same_training(one, other, epochs):
    """The same losses of all steps, scores of all epochs, and everything else in the end."""
    names = ("train/loss_step", "train/loss_epoch", "val/loss", "val/miou_without_void")
    losses = logged(one, *names)
    assert len(losses) == epochs * (3 + 3)
    assert losses == logged(other, *names)
    ours, theirs = checkpoint(one), checkpoint(other)
    assert ours["epoch"] == theirs["epoch"] == epochs - 1
    assert ours["global_step"] == theirs["global_step"]
    assert_equal(
        {name: ours[name] for name in STATES if name in ours},
        {name: theirs[name] for name in STATES if name in theirs},
    )


def resume(root, folder, stop, *more, name="last", **changes):
    """A training that is stopped after some epochs and gone on with."""
    assert fit(root, folder, *more, "--trainer.max_epochs", str(stop), **changes) == 0
    start = shutil.copy(folder / "checkpoints" / f"{name}.ckpt", folder / "from.ckpt")
    assert fit(root, folder, *more, "--ckpt_path", str(start), **changes) == 0


@pytest.mark.parametrize(
    ("model", "trainer"),
    [
        ({"lr_scheduler": WARM_UP}, {"callbacks": [AVERAGED]}),
        pytest.param(
            {"lr_scheduler": COSINE, "lr_interval": "step"},
            {"gradient_clip_val": 0.1},
            marks=pytest.mark.slow,
        ),
    ],
    ids=["averaged with warm-up", "clipped with a schedule of steps"],
)
def test_a_resumed_training_is_the_undisturbed_one(prepared, tmp_path, model, trainer):
    """With dropout, stochastic depth and batch augmentations on."""
    root, changes = prepared(16), {"epochs": 4, "model": model, "trainer": trainer}
    assert fit(root, tmp_path / "straight", **changes) == 0
    resume(root, tmp_path / "resumed", 2, **changes)
    assert_same_training(tmp_path / "straight", tmp_path / "resumed", 4)


@pytest.mark.slow
def test_loading_processes_do_not_disturb_a_resumed_training(prepared, tmp_path):
    """They live through all epochs of an undisturbed training and start anew in a resumed one."""
    root, changes = prepared(16), {"epochs": 4, "data": {"workers": 2}}
    assert fit(root, tmp_path / "straight", **changes) == 0
    resume(root, tmp_path / "resumed", 2, **changes)
    assert_same_training(tmp_path / "straight", tmp_path / "resumed", 4)
    assert fit(root, tmp_path / "alone", epochs=4) == 0
    assert_same_training(tmp_path / "straight", tmp_path / "alone", 4)


def test_loading_waits_for_the_epoch(prepared):
    """A resumed training takes the iterator first and says then which epoch it is."""
    orders = []
    for told_first in (True, False):
        loader = PreparedDataModule(str(prepared(16)), workers=1).train_dataloader()
        if told_first:
            loader.sampler.set_epoch(1)
        batches = iter(loader)
        loader.sampler.set_epoch(1)
        orders.append([batch["sample"].tolist() for batch in batches])
    assert orders[0] == orders[1]
    first = PreparedDataModule(str(prepared(16))).train_dataloader()
    assert orders[0] != [batch["sample"].tolist() for batch in first]


@pytest.mark.slow
def test_other_ends_of_epochs_are_resumed_alike(prepared, tmp_path):
    """The best weights are kept before the epoch ends, right after its validation."""
    root = prepared(16)
    changes = {
        "epochs": 3,
        "model": {"lr_scheduler": WARM_UP},
        "trainer": {"callbacks": [AVERAGED]},
        "data": {"workers": 1},
    }
    latest = ["--checkpoint_every", "1", "--checkpoint.monitor", "null"]
    assert fit(root, tmp_path / "straight", *latest, **changes) == 0
    straight = tmp_path / "straight" / "checkpoints"
    names = {"best.ckpt", "last.ckpt", *(f"epoch_{epoch:04d}.ckpt" for epoch in range(3))}
    assert {path.name for path in straight.iterdir()} == names
    for name, stop in (("epoch_0000", 1), ("best", 2)):
        resume(root, tmp_path / name, stop, *latest, name=name, **changes)
        assert_same_training(tmp_path / "straight", tmp_path / name, 3)


def test_two_deterministic_trainings_are_equal(prepared, tmp_path):
    flags = ["--trainer.deterministic", "true"]
    for name, seed in (("one", "1"), ("two", "1"), ("other", "2")):
        where = tmp_path / name
        assert fit(prepared(16), where, *flags, "--seed_everything", seed) == 0
    torch.use_deterministic_algorithms(False)
    assert_same_training(tmp_path / "one", tmp_path / "two", 1)
    losses = [logged(tmp_path / name, "train/loss_step") for name in ("one", "other")]
    assert losses[0] != losses[1]


def test_the_state_of_random_numbers_comes_back():
    def draw():
        ours = (random.random(), random.gauss(), float(torch.rand(())))
        return (*ours, np.random.normal())  # noqa: NPY002

    draw()  # leaves half a pair of normal numbers behind
    buffer = io.BytesIO()
    torch.save(random_state(), buffer)
    drawn = draw()
    buffer.seek(0)
    set_random_state(torch.load(buffer, weights_only=True))
    assert draw() == drawn
    assert draw() != drawn


def test_last_and_best_are_checkpoints_of_the_run(prepared, tmp_path, capsys, caplog):
    root, run = prepared(16), tmp_path / "run"
    # There is none yet: the training begins, as a job that is started again and again does.
    assert fit(root, run, "--ckpt_path", "last") == 0
    assert "there is no" in caplog.text
    assert fit(root, run, "--ckpt_path", "last", epochs=2) == 0
    assert checkpoint(run)["epoch"] == 1
    where = ["--data.root", str(root), "--trainer.default_root_dir"]
    capsys.readouterr()
    assert main(["test", "--ckpt_path", "best", *where, str(tmp_path / "none")]) == 2
    message = capsys.readouterr().err.splitlines()[-1]
    assert message.startswith("healswin: error: ckpt_path=best: ")
    assert message.endswith("best.ckpt does not exist")


class WeightsOfSteps(Callback):
    """The weights after each step of the optimizer."""

    found: ClassVar[list] = []

    def on_train_start(self, trainer, pl_module):
        self.found.clear()

    def on_train_batch_end(self, trainer, pl_module, *_):
        self.found.append({k: v.clone() for k, v in pl_module.state_dict().items()})


def test_averaged_weights_are_the_average_of_the_steps(prepared, tmp_path, monkeypatch):
    """Against the recursion written down; the model zoo and the test take the average."""
    given = HealSwinCLI._callbacks
    monkeypatch.setattr(
        HealSwinCLI, "_callbacks", lambda self, config: [*given(self, config), WeightsOfSteps()]
    )
    run = tmp_path / "run"
    assert fit(prepared(16), run, epochs=2, trainer={"callbacks": [AVERAGED]}) == 0
    expected = WeightsOfSteps.found[0]
    for number, weights in enumerate(WeightsOfSteps.found[1:], start=1):
        decay = min(0.9, number / (9 + number))
        expected = {k: decay * expected[k] + (1 - decay) * w for k, w in weights.items()}
    assert len(WeightsOfSteps.found) == 6
    kept = checkpoint(run)
    for name, value in expected.items():
        torch.testing.assert_close(kept["state_dict"][name], value, rtol=1e-5, atol=1e-7)
        assert torch.equal(kept["current_model_state"][name], WeightsOfSteps.found[-1][name])
    network = load_model(run / "checkpoints" / "last.ckpt").network
    for name, value in network.state_dict().items():
        assert torch.equal(value, kept["state_dict"][f"network.{name}"])
    where = ["--data.root", str(prepared(16)), "--trainer.default_root_dir", str(run)]
    assert main(["validate", "--ckpt_path", "last", *where, *ON_CPU]) == 0


def test_tables_are_not_averaged():
    """An average of indices would be rounded to other indices."""

    class Table(LightningModule):
        def __init__(self):
            super().__init__()
            self.weight = torch.nn.Parameter(torch.ones(1))
            self.register_buffer("index", torch.tensor([7, 3, 5]), persistent=False)

    module, callback = Table(), AveragedWeights(0.999)
    callback.setup(SimpleNamespace(checkpoint_callbacks=[]), module, "fit")
    for step in range(1, 5):
        callback.on_train_batch_end(SimpleNamespace(global_step=step), module, None, None, 0)
    assert callback._average_model.module.index.tolist() == [7, 3, 5]


def test_an_average_that_would_be_lost_is_refused(prepared, tmp_path, capsys):
    only = ["--checkpoint.save_weights_only", "true"]
    averaged = {"callbacks": [AVERAGED]}
    assert fit(prepared(16), tmp_path / "run", *only, trainer=averaged) == 2
    assert "save_weights_only=true does not go with" in capsys.readouterr().err.splitlines()[-1]
    with pytest.raises(ValueError, match=r"decay=1\.0 must be"):
        AveragedWeights(1.0)


def spoiled(monkeypatch, value, at):
    """The loss becomes a value at a step."""
    loss = SegmentationTask.loss

    def spoil(self, answer, batch):
        true = loss(self, answer, batch)
        return true + value if self.training and self.global_step == at else true

    monkeypatch.setattr(SegmentationTask, "loss", spoil)


def test_a_loss_that_is_not_finite_stops_the_training(prepared, tmp_path, monkeypatch, capsys):
    root, run = prepared(16), tmp_path / "run"
    with monkeypatch.context() as patch:
        spoiled(patch, math.nan, at=4)  # the second step of the second epoch
        capsys.readouterr()
        assert fit(root, run, epochs=2) == 2
    message = capsys.readouterr().err.splitlines()[-1]
    assert message.startswith("healswin: error: the loss is nan in epoch 1, batch 1 (step 4)")
    assert str(run / "checkpoints" / "last.ckpt") in message
    report = json.loads((run / "nonfinite_batch.json").read_text())
    assert (report["epoch"], report["step"], report["batch"]) == (1, 4, 1)
    names = PreparedSet.open(root).sample_names
    (batch,) = report["batches"]
    assert batch["loss"] == "nan"
    assert len(batch["samples"]) == 4
    assert set(batch["samples"]) <= set(names)
    # What was kept is good to go on from.
    kept = checkpoint(run)
    assert kept["epoch"] == 0
    assert all(weight.isfinite().all() for weight in kept["state_dict"].values())
    assert fit(root, run, "--ckpt_path", "last", epochs=2) == 0
    assert not (run / "nonfinite_batch.json").exists()


def test_an_infinite_loss_in_the_first_epoch_leaves_no_weights(
    prepared, tmp_path, monkeypatch, capsys
):
    spoiled(monkeypatch, math.inf, at=0)
    assert fit(prepared(16), tmp_path / "run") == 2
    message = capsys.readouterr().err.splitlines()[-1]
    assert "the loss is inf in epoch 0, batch 0 (step 0)" in message
    assert message.endswith("no epoch was finished, so no weights are kept")
    assert not (tmp_path / "run" / "checkpoints").exists()


def test_checkpoints_of_other_data_are_refused_before_training(prepared, tmp_path, capsys):
    run, other = tmp_path / "run", tmp_path / "other"
    assert fit(prepared(16), run) == 0
    from_it = ["--ckpt_path", str(run / "checkpoints" / "last.ckpt")]
    capsys.readouterr()
    for root, reason in (
        (prepared(32), "the checkpoint was trained with nside 16, the data have 32"),
        (prepared(16, "all"), "the checkpoint was trained with class_names ['void', "),
    ):
        assert fit(root, other, *from_it) == 2
        message = capsys.readouterr().err.splitlines()[-1]
        assert message.startswith(f"healswin: error: {reason}")
        assert not other.exists()


def test_class_weights_for_another_head_are_refused(prepared, tmp_path, capsys):
    too_many = ["--model.init_args.class_weights", str([1.0] * 40)]
    assert fit(prepared(16), tmp_path / "run", *too_many) == 2
    message = capsys.readouterr().err.splitlines()[-1]
    assert "must be 'balanced', 'none' or one weight for each of the" in message


def test_a_copy_has_weights_of_its_own_and_shares_what_makes_its_optimizer():
    class Maker:
        def __init__(self):
            self.lock = threading.Lock()  # as deep in what the command line makes: no copies

        def __call__(self, parameters):
            return torch.optim.SGD(parameters, lr=0.1)

    grid = HealpixGrid(16, range(8)).to_dict()
    network = partial(HealSwin, **NETWORK["init_args"])
    task = SegmentationTask(grid, 3, ["a", "b"], network=network)
    task.optimizer_factory = Maker()
    copied = copy.deepcopy(task)
    assert copied.optimizer_factory is task.optimizer_factory
    assert_equal(dict(copied.state_dict()), dict(task.state_dict()))
    for ours, theirs in zip(task.parameters(), copied.parameters(), strict=True):
        assert ours.data_ptr() != theirs.data_ptr()
    (group,) = copied.configure_optimizers()["optimizer"].param_groups[:1]
    assert group["params"][0] is next(copied.network.parameters())


def test_weights_of_another_head_are_refused():
    grid = HealpixGrid(16, range(8)).to_dict()
    settings = NETWORK["init_args"]
    two, three = (
        SegmentationTask(
            grid, 3, [str(i) for i in range(classes)], network=partial(HealSwin, **settings)
        )
        for classes in (2, 3)
    )
    saved = {"state_dict": two.state_dict()}
    two.on_load_checkpoint(saved)
    with pytest.raises(
        ValueError, match=r"do not fit the network: 1 of \d+ differ, e\.g\. network"
    ):
        three.on_load_checkpoint(saved)


@pytest.mark.filterwarnings("ignore:Encountered `nan` values")
@pytest.mark.parametrize("rate", [1e38, 1e20])
def test_weights_that_are_of_no_use_are_never_saved(prepared, tmp_path, capsys, rate):
    """A step after a finite loss may be too long: to no numbers, or to no finite answers."""
    run = tmp_path / "run"
    wild = {"optimizer": {"class_path": "torch.optim.SGD", "init_args": {"lr": rate}}}
    one_batch = {"limit_train_batches": 0.34}
    assert fit(prepared(16), run, model=wild, trainer=one_batch) == 2
    said = capsys.readouterr().err
    assert "training stopped; no epoch was finished, so no weights are kept" in said
    assert list((run / "checkpoints").glob("*.ckpt")) == []
