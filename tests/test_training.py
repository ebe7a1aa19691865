"""Training through the command line: schedules, half precision, pictures, loggers, progress."""

import math
from functools import partial

import pytest
import torch
from lightning.pytorch.callbacks import ProgressBar, RichProgressBar
from lightning.pytorch.loggers import CSVLogger
from small_training import AVERAGED, NETWORK, ON_CPU, WARM_UP, checkpoint, fit
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tiny_digits import tiny_digits

from healswin.__main__ import main
from healswin.cli import HealSwinCLI
from healswin.data import PreparedSet
from healswin.tasks import ValidationPictures, WarmUp


def rates(make, steps):
    """The learning rates of a schedule, from 0.5 on."""
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.5)
    schedule = make(optimizer)
    found = []
    for _ in range(steps):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    return found


def test_the_rate_rises_and_then_follows_the_other_schedule():
    cosine = partial(torch.optim.lr_scheduler.CosineAnnealingLR, T_max=6)
    found = rates(partial(WarmUp, steps=4, then=cosine, start=0.2), 11)
    rising = [0.5 * (0.2 + 0.8 * step / 4) for step in range(4)]
    falling = [0.5 * (1 + math.cos(math.pi * step / 6)) / 2 for step in range(7)]
    assert found == pytest.approx(rising + falling)


@pytest.mark.parametrize(("steps", "start"), [(0, 0.1), (3, 0.0), (3, 1.5)])
def test_a_warm_up_that_is_none_is_refused(steps, start):
    with pytest.raises(ValueError, match=r"(steps|start)=.* must be"):
        rates(
            partial(WarmUp, steps=steps, then=torch.optim.lr_scheduler.ExponentialLR, start=start),
            1,
        )


def test_a_schedule_that_waits_for_a_score_is_refused(prepared, tmp_path, capsys):
    plateau = {"class_path": "torch.optim.lr_scheduler.ReduceLROnPlateau"}
    assert fit(prepared(16), tmp_path / "run", model={"lr_scheduler": plateau}) == 2
    message = capsys.readouterr().err.splitlines()[-1]
    assert "lr_scheduler=ReduceLROnPlateau cannot be resumed exactly" in message


def test_every_nth_epoch_is_drawn_and_kept(prepared, tmp_path, capsys):
    root, run = prepared(16), tmp_path / "run"
    chosen = ["--pictures.every", "2", "--pictures.samples", "2", "--checkpoint_every", "2"]
    schedule = {"lr_scheduler": WARM_UP, "lr_interval": "epoch"}
    assert fit(root, run, *chosen, epochs=4, model=schedule) == 0
    kept = {"best.ckpt", "last.ckpt", "epoch_0001.ckpt", "epoch_0003.ckpt"}
    assert {path.name for path in (run / "checkpoints").iterdir()} == kept
    for epoch in (1, 3):
        found = checkpoint(run, f"epoch_{epoch:04d}")
        assert found["epoch"] == epoch
        assert found["lr_schedulers"][0]["last_epoch"] == epoch + 1
    data = PreparedSet.open(root)
    validation = data.split["val"]
    names = {f"{data.sample_names[index]}.png" for index in (validation[0], validation[-1])}
    assert {path.name for path in (run / "validation").iterdir()} == {"epoch_0001", "epoch_0003"}
    for epoch in ("epoch_0001", "epoch_0003"):
        assert {path.name for path in (run / "validation" / epoch).iterdir()} == names
    board = EventAccumulator(str(run / "logs" / "version_0"))
    board.Reload()
    tags = board.Tags()["images"]
    assert {f"{tag.removeprefix('validation/')}.png" for tag in tags} == names
    assert [event.step for event in board.Images(tags[0])] == [1, 3]
    with pytest.raises(SystemExit):
        fit(root, run, "--checkpoint_every", "-1")
    assert "checkpoint_every" in capsys.readouterr().err


@pytest.mark.parametrize(
    "task", [pytest.param("SegmentationTask", marks=pytest.mark.slow), "DepthTask"]
)
def test_a_picture_of_training_is_that_of_the_prediction(prepared, tmp_path, task):
    """Drawn by the same code: the same weights give the same picture of a sample."""
    root, run = prepared(16), tmp_path / "run"
    all_pictures = ["--pictures.every", "1", "--pictures.samples", "-1"]
    assert fit(root, run, *all_pictures, task=task) == 0
    pictures = sorted((run / "validation" / "epoch_0000").iterdir())
    assert len(pictures) == len(PreparedSet.open(root).split["val"])
    where = ["--data.root", str(root), "--trainer.default_root_dir", str(run)]
    # With truth, as in the validation.
    truth = ["--data.tasks", "[semantic]" if task == "SegmentationTask" else "[depth]"]
    split = ["--data.predict_split", "val", "--predictions.pictures", "-1", *truth]
    assert main(["predict", "--ckpt_path", "last", *where, *split, *ON_CPU]) == 0
    for picture in pictures:
        assert picture.read_bytes() == (run / "pictures" / picture.name).read_bytes()


@pytest.mark.slow
def test_only_samples_that_are_reached_are_drawn(prepared, tmp_path):
    # A quarter of 4 batches: in a process that has read other configurations 1 may mean all.
    limit = {"limit_val_batches": 0.25}
    chosen = ["--pictures.every", "1", "--data.batch_size", "1"]
    assert fit(prepared(16), tmp_path / "run", *chosen, trainer=limit) == 0
    assert len(list((tmp_path / "run" / "validation" / "epoch_0000").iterdir())) == 1


def test_labels_are_drawn_too(tmp_path):
    root, run = tiny_digits("--nside 16 --tasks label"), tmp_path / "run"
    network = {**NETWORK, "init_args": {**NETWORK["init_args"], "head": "classification"}}
    changes = {"task": "ClassificationTask", "model": {"network": network}}
    assert fit(root, run, "--pictures.every", "1", **changes) == 0
    assert len(list((run / "validation" / "epoch_0000").glob("*.png"))) == 4


@pytest.mark.parametrize("arguments", [{"every": -1}, {"samples": -2}])
def test_pictures_that_cannot_be_meant_are_refused(arguments):
    with pytest.raises(ValueError, match="must be a number"):
        ValidationPictures(**arguments)


def test_named_loggers_replace_the_usual_ones(prepared, tmp_path):
    logger = {
        "class_path": "lightning.pytorch.loggers.CSVLogger",
        "init_args": {"save_dir": str(tmp_path / "elsewhere"), "name": "mine"},
    }
    assert fit(prepared(16), tmp_path / "run", trainer={"logger": [logger]}) == 0
    assert (tmp_path / "elsewhere" / "mine" / "version_0" / "metrics.csv").is_file()
    assert {path.name for path in (tmp_path / "run").iterdir()} == {"checkpoints"}


class UnwillingLogger(CSVLogger):
    """A logger whose server does not answer."""

    def __init__(self, server: str) -> None:
        raise ValueError(f"server={server} does not answer")


def test_what_a_logger_says_is_the_message(prepared, tmp_path, capsys):
    unwilling = {"class_path": f"{__name__}.UnwillingLogger", "init_args": {"server": "here"}}
    usual = {"class_path": "CSVLogger", "init_args": {"save_dir": str(tmp_path)}}
    for logger in (unwilling, [unwilling], [usual, unwilling]):
        assert fit(prepared(16), tmp_path / "run", trainer={"logger": logger}) == 2
        message = capsys.readouterr().err.splitlines()[-1]
        assert "server=here does not answer" in message


def test_a_logger_that_is_not_installed_is_one_line(prepared, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("healswin.cli.find_spec", lambda name: None)
    logger = {"class_path": "lightning.pytorch.loggers.MLFlowLogger"}
    assert fit(prepared(16), tmp_path / "run", trainer={"logger": logger}) == 2
    message = capsys.readouterr().err.splitlines()[-1]
    assert message.endswith("which is not installed: pip install 'healswin[mlflow]'")


@pytest.mark.parametrize(
    "task", [pytest.param("SegmentationTask", marks=pytest.mark.slow), "DepthTask"]
)
def test_half_precision_clipping_averaging_and_warm_up_make_a_step(prepared, tmp_path, task):
    """All at once, on the CPU; the weights that come out are finite, in float32 and have moved."""
    run = tmp_path / "run"
    trainer = {
        "precision": "bf16-mixed",
        "gradient_clip_val": 1.0,
        "limit_train_batches": 0.34,  # 1 of 3
        "callbacks": [AVERAGED],
    }
    schedule = {"lr_scheduler": WARM_UP, "lr_interval": "step"}
    assert fit(prepared(16), run, task=task, model=schedule, trainer=trainer) == 0
    kept = checkpoint(run)
    assert kept["global_step"] == kept["lr_schedulers"][0]["last_epoch"] == 1
    assert all(v.dtype == torch.float32 and v.isfinite().all() for v in kept["state_dict"].values())
    moved = kept["optimizer_states"][0]["state"]
    assert any(state["exp_avg"].abs().max() > 0 for state in moved.values())


def test_a_pipe_gets_a_line_an_epoch_and_no_advertisements(prepared, tmp_path, capsys, caplog):
    shown = {"enable_progress_bar": True}
    assert fit(prepared(16), tmp_path / "run", epochs=2, trainer=shown) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2
    for epoch, line in enumerate(lines):
        assert line.startswith(f"epoch {epoch}/1, ")
        for name in ("train/loss ", "val/loss ", "val/miou_without_void "):
            assert name in line
    assert "12 training samples, 4 validation samples; 1 x cpu" in caplog.text
    for noise in ("Tip:", "GPU available", "TPU"):
        assert noise not in caplog.text


def test_a_terminal_gets_the_rich_progress_bar(prepared, tmp_path, monkeypatch):
    found = []
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    monkeypatch.setattr(HealSwinCLI, "before_fit", lambda cli: found.extend(cli.trainer.callbacks))
    flags = ["--trainer.fast_dev_run", "1"]
    assert fit(prepared(16), tmp_path / "run", *flags, trainer={"enable_progress_bar": True}) == 0
    assert [type(c) for c in found if isinstance(c, ProgressBar)] == [RichProgressBar]
