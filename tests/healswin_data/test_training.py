"""What training sees: the same in any number of processes, and never a pixel that is not valid."""

import json
import weakref
from types import SimpleNamespace

import lightning.pytorch as pl
import numpy as np
import pytest
import torch
from synwoodscape_folder import write_synwoodscape
from torch.utils.data import DataLoader

from data_prep.conversion import Conversion
from data_prep.convert import convert
from healswin.__main__ import main
from healswin.data import PreparedDataModule, PreparedDataset, PreparedSet
from healswin.data.augment import (
    Augmentation,
    ColourJitter,
    Flip,
    PixelSymmetries,
    RandomRotation,
)
from healswin.metrics import SegmentationScores
from healswin.tasks import SegmentationTask, weighted_cross_entropy

EVERYTHING = [Flip(), PixelSymmetries(), RandomRotation(30.0), ColourJitter(0.4, 0.4, 0.4, 0.1)]


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """Eight training samples and four of validation, over the full sphere."""
    folder = tmp_path_factory.mktemp("sphere")
    source = write_synwoodscape(folder / "source", scenes=3)
    conversion = Conversion(
        source,
        nside=8,
        base_pixels=tuple(range(12)),
        tasks=("semantic", "depth"),
        split="train:0.67",
    )
    convert(conversion, folder / "set", progress=False)
    return str(folder / "set")


def seen(data, epochs=2, first=0):
    """Every sample of some epochs as loaded, by (epoch, index)."""
    loader = data.train_dataloader()
    samples = {}
    for epoch in range(first, epochs):
        loader.sampler.set_epoch(epoch)
        for batch in loader:
            for row, index in enumerate(batch["sample"].tolist()):
                sample = {key: values[row] for key, values in batch.items()}
                assert_same(samples.setdefault((epoch, index), sample), sample)
    return samples


def assert_same(one, other):
    assert one.keys() == other.keys()
    for key in one:
        torch.testing.assert_close(one[key], other[key], rtol=0, atol=0, equal_nan=True)


def assert_all_same(one, other):
    assert one.keys() == other.keys()
    for key in one:
        assert_same(one[key], other[key])


def on_rank(data, rank, processes):
    data.trainer = SimpleNamespace(world_size=processes, global_rank=rank)
    return data


@pytest.mark.parametrize("processes", [2, 3])
def test_every_process_sees_its_share_and_together_what_one_sees(root, processes):
    alone = seen(PreparedDataModule(root, augmentations=EVERYTHING, seed=3))
    shares = [
        seen(on_rank(PreparedDataModule(root, augmentations=EVERYTHING, seed=3), rank, processes))
        for rank in range(processes)
    ]
    per_epoch = -(-8 // processes)  # rounded up: all processes take equally many steps
    for share in shares:
        assert [sum(epoch == e for e, _ in share) for epoch in range(2)] == [per_epoch] * 2
    assert_all_same({key: sample for share in shares for key, sample in share.items()}, alone)


def test_a_later_epoch_does_not_depend_on_the_earlier_ones(root):
    data = PreparedDataModule(root, augmentations=EVERYTHING)
    both, second = seen(data), seen(data, first=1)
    assert_all_same({key: value for key, value in both.items() if key[0] == 1}, second)


def test_samples_change_with_epoch_and_seed(root):
    def images(seed):
        return {
            k: v["image"]
            for k, v in seen(PreparedDataModule(root, augmentations=EVERYTHING, seed=seed)).items()
        }

    one, other = images(1), images(2)
    for index in sorted({index for _, index in one}):
        assert not torch.equal(one[0, index], one[1, index])
        assert not torch.equal(one[0, index], other[0, index])


@pytest.mark.slow
@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_loading_processes_change_nothing(root, method):
    """Workers that live through both epochs, as a training's do."""
    data = PreparedDataModule(root, augmentations=EVERYTHING, batch_size=3)
    here = seen(data)
    loader = data.train_dataloader()
    there = DataLoader(
        loader.dataset,
        batch_size=3,
        sampler=loader.sampler,
        num_workers=2,
        persistent_workers=True,
        multiprocessing_context=method,
    )
    assert_all_same(seen(SimpleNamespace(train_dataloader=lambda: there)), here)


class Recorder(pl.LightningModule):
    """Keeps what each step of training is given."""

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))
        self.steps = []

    def training_step(self, batch):
        self.steps.append((batch["sample"].tolist(), batch["image"].sum(dim=(1, 2)).tolist()))
        return self.weight.sum()

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


# Lightning's own: advice on loading processes, and deprecations between it and torch.
@pytest.mark.filterwarnings("ignore")
def test_a_resumed_training_sees_what_an_undisturbed_one_sees(root, tmp_path):
    def fit(epochs, checkpoint=None):
        model = Recorder()
        trainer = pl.Trainer(
            default_root_dir=tmp_path,
            max_epochs=epochs,
            accelerator="cpu",
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
        )
        data = PreparedDataModule(root, tasks=[], augmentations=EVERYTHING, seed=5)
        trainer.fit(model, datamodule=data, ckpt_path=checkpoint)
        trainer.save_checkpoint(tmp_path / "last.ckpt")
        return model.steps

    undisturbed = fit(3)
    begun = fit(1)
    assert begun + fit(3, tmp_path / "last.ckpt") == undisturbed
    assert undisturbed[:4] != undisturbed[4:8]


def test_only_training_is_augmented(root):
    plain = PreparedDataModule(root, predict_split="train")
    augmented = PreparedDataModule(root, predict_split="train", augmentations=EVERYTHING)
    for loader in ("val_dataloader", "test_dataloader", "predict_dataloader"):
        for a, b in zip(getattr(plain, loader)(), getattr(augmented, loader)(), strict=True):
            assert_same(a, b)


def test_without_augmentations_training_sees_the_samples_as_they_are(root):
    data = PreparedDataModule(root)
    dataset = PreparedDataset(data.prepared, range(len(data.prepared)), data.tasks)
    for (_, index), sample in seen(data).items():
        assert_same(sample, dataset[index])


def test_augmented_samples_keep_their_invariants(root):
    data = PreparedDataModule(root, augmentations=EVERYTHING)
    empty = torch.tensor(-data.normalisation.mean / data.normalisation.std, dtype=torch.float32)
    for sample in seen(data, epochs=4).values():
        outside = ~sample["valid"]
        assert 0 < outside.float().mean() < 1
        assert torch.equal(sample["semantic"] == data.ignore_index, outside)
        assert sample["depth"][outside].isnan().all()
        beyond = sample["image"][:, outside]
        torch.testing.assert_close(beyond, empty[:, None].expand_as(beyond))


@pytest.mark.parametrize("augmentations", [[], EVERYTHING], ids=["stored", "augmented"])
def test_pixels_that_are_not_valid_reach_no_loss_and_no_score(root, augmentations):
    data = PreparedDataModule(root, batch_size=3, augmentations=augmentations)
    batch = next(iter(data.train_dataloader()))
    valid, target = batch["valid"], batch["semantic"]
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(3, data.num_classes, data.prepared.grid.num_pixels, generator=generator)
    noise = 100 * torch.randn(logits.shape, generator=generator)
    noise = noise.masked_fill(valid[:, None], 0.0)
    weights = torch.tensor(data.class_weights)

    def loss(scores):
        return weighted_cross_entropy(scores, target, weights, data.ignore_index)

    def table(scores):
        metric = SegmentationScores(data.num_classes, ignore_index=data.ignore_index)
        metric.update(scores.argmax(1), target)
        return metric.confusion

    assert torch.equal(loss(logits), loss(logits + noise))
    assert torch.equal(table(logits), table(logits + noise))
    assert int(table(logits).sum()) == int(valid.sum())
    logits.requires_grad_()
    gradient = torch.autograd.grad(loss(logits), logits)[0].abs().sum(dim=1)
    assert not gradient[~valid].any()
    assert gradient[valid].all()


def test_masks_do_not_pile_up(root, monkeypatch):
    """Where every sample is calibrated anew, few of the fields of view are kept."""
    prepared = PreparedDataModule(root).prepared
    masks = []

    def valid(self, camera):
        mask = np.ones(self.grid.num_pixels, dtype=bool)
        masks.append(weakref.ref(mask))
        return mask

    monkeypatch.setattr(PreparedSet, "valid", valid)
    dataset = PreparedDataset(prepared, range(len(prepared)), [])
    for again in range(5):
        prepared.attributes["sample_camera"] = [f"FV#{again}.{i}" for i in range(len(prepared))]
        for position in range(len(dataset)):
            assert dataset[position]["valid"].all()
    assert len(masks) == 5 * len(prepared)
    assert sum(mask() is not None for mask in masks) <= 16


def test_what_is_handed_out_can_be_written_to(root):
    """A task may change its batch in place; the next batch is whole again."""
    data = PreparedDataModule(root)
    dataset = PreparedDataset(data.prepared, [0], data.tasks)
    first, second = dataset[0], dataset[0]
    for values in first.values():
        values.zero_()
    assert_same(dataset[0], second)


def test_data_that_an_augmentation_does_not_fit_are_refused_at_once(prepared):
    with pytest.raises(ValueError, match=r"RandomRotation.*the full sphere is needed"):
        PreparedDataModule(str(prepared(16)), augmentations=[RandomRotation()])
    data = PreparedDataModule(str(prepared(16)), augmentations=[Flip()])
    assert data.up == data.prepared.up


class Darker(Augmentation):
    """An augmentation of one's own."""

    def __init__(self, factor: float) -> None:
        self.factor = factor

    def check(self, grid, up, in_chans, dtype):
        pass

    def __call__(self, sample, grid, up, generator):
        return {**sample, "image": (sample["image"] * self.factor).astype(np.uint8)}


def test_ones_own_augmentation(root):
    data = PreparedDataModule(root, augmentations=[Darker(0.0)])
    empty = -data.normalisation.mean / data.normalisation.std
    image = next(iter(data.train_dataloader()))["image"].numpy()
    expected = np.broadcast_to(empty[None, :, None], image.shape)
    np.testing.assert_allclose(image, expected, rtol=1e-5)


CONFIG = """
trainer:
  accelerator: cpu
  enable_progress_bar: false
  enable_model_summary: false
data:
  augmentations:
    - class_path: healswin.data.augment.Flip
      init_args: {probability: 0.25}
    - class_path: healswin.data.augment.PixelSymmetries
      init_args: {keep_up: true}
    - class_path: healswin.data.augment.ColourJitter
      init_args: {brightness: 0.3, hue: 0.05}
model:
  class_path: healswin.tasks.SegmentationTask
  init_args:
    network:
      class_path: healswin.models.HealSwin
      init_args: {embed_dim: 8, depths: [1, 1], num_heads: [1, 2], window_size: 16, shift_size: 2}
"""


@pytest.fixture
def loaded(monkeypatch):
    """The augmentations of every data module that trains a task."""
    found = []
    step = SegmentationTask.training_step

    def recorded(self, batch, batch_idx):
        found.append(self.trainer.datamodule.augmentations)
        return step(self, batch, batch_idx)

    monkeypatch.setattr(SegmentationTask, "training_step", recorded)
    return found


def test_the_command_line_augments(prepared, tmp_path, loaded):
    config = tmp_path / "config.yaml"
    config.write_text(CONFIG)
    folder = ["--trainer.default_root_dir", str(tmp_path), "--trainer.fast_dev_run", "1"]
    arguments = ["fit", "--config", str(config), "--data.root", str(prepared(16)), *folder]
    assert main(arguments) == 0
    assert loaded == [[Flip(0.25), PixelSymmetries(keep_up=True), ColourJitter(0.3, hue=0.05)]]


def test_the_command_line_says_what_does_not_fit(prepared, tmp_path, capsys):
    entry = json.dumps([{"class_path": "healswin.data.augment.RandomRotation"}])
    arguments = ["fit", "--data.root", str(prepared(16)), "--data.augmentations", entry]
    assert main([*arguments, "--trainer.default_root_dir", str(tmp_path)]) == 2
    message = capsys.readouterr().err.splitlines()[-1]
    assert message.startswith("healswin: error: RandomRotation(max_degrees=180.0): the maps cover")
