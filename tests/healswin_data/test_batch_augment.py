"""Batch augmentations: twins of the per-sample ones, decided by seed, epoch and sample alone."""

import math
from types import SimpleNamespace

import lightning.pytorch as pl
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from plain_set import write_plain_set

from healswin.data import PreparedDataModule
from healswin.data.augment import PixelSymmetries, RandomRotation, random_rotation
from healswin.data.batch_augment import BatchRotation, BatchSymmetries, random_rotations
from healswin.data.transforms import Normalisation
from healswin.grid import EquiangularGrid, HealpixGrid, ImageGrid, pixel_symmetries

SPHERE = HealpixGrid(8)
SOFT, DRISCOLL = EquiangularGrid(6), EquiangularGrid(6, "driscoll-healy")
GRIDS = [SPHERE, SOFT, DRISCOLL]
each = pytest.mark.parametrize("grid", GRIDS, ids=str)
ZENITH = (0.0, 0.0, 1.0)
NORMALISE = Normalisation([0.3, 0.2], [0.5, 0.1])
BACKGROUND = torch.from_numpy(NORMALISE(np.zeros((1, 2)))[:, 0])


def stored(grid, seed=0):
    """A sample as stored; a part of the pixels, in one piece, is not valid."""
    random = np.random.default_rng(seed)
    valid = grid.vectors() @ np.array([0.48, 0.6, 0.64]) > -0.4
    image = random.normal(size=(grid.num_pixels, 2)).astype(np.float32)
    depth = random.uniform(1, 50, grid.num_pixels).astype(np.float32)
    return {
        "image": np.where(valid[:, None], image, np.float32(0)),
        "semantic": np.where(valid, random.integers(0, 12, grid.num_pixels), 255).astype(np.uint8),
        "depth": np.where(valid, depth, np.nan).astype(np.float32),
        "valid": valid,
    }


def as_batch(samples):
    stacks = {key: np.stack([sample[key] for sample in samples]) for key in samples[0]}
    return {
        "image": torch.from_numpy(NORMALISE(stacks["image"])),
        "semantic": torch.from_numpy(stacks["semantic"].astype(np.int64)),
        "depth": torch.from_numpy(stacks["depth"]),
        "valid": torch.from_numpy(stacks["valid"]),
        "label": torch.arange(len(samples)),
        "sample": torch.arange(len(samples)) + 40,
    }


def generators(count):
    return [np.random.default_rng((3, index)) for index in range(count)]


def changed(augmentation, batch, grid, draws=None):
    drawn = augmentation.draw(draws or generators(len(batch["image"])), grid)
    return augmentation(batch, drawn, grid, BACKGROUND)


@pytest.mark.parametrize("degrees", [180.0, 25.0])
@each
def test_a_batch_is_turned_as_its_samples_are(grid, degrees):
    """The readable twin turns the stored sample, in float64, before normalisation."""
    samples = [stored(grid, seed) for seed in range(4)]
    batch = changed(BatchRotation(degrees), as_batch(samples), grid)
    twins = [
        RandomRotation(degrees)(sample, grid, ZENITH, generator)
        for sample, generator in zip(samples, generators(4), strict=True)
    ]
    expected = as_batch(twins)
    assert batch.keys() == expected.keys()
    # Within rounding of a border another pixel may be the nearest.
    same = (batch["valid"] == expected["valid"]) & (batch["semantic"] == expected["semantic"])
    assert same.float().mean() > 0.998
    for key in ("depth", "label", "sample"):
        ours, theirs = (b[key][same] if key == "depth" else b[key] for b in (batch, expected))
        torch.testing.assert_close(ours, theirs, equal_nan=True)
    seen = same[:, None].expand_as(batch["image"])
    torch.testing.assert_close(batch["image"][seen], expected["image"][seen], atol=1e-3, rtol=0)


@each
def test_what_is_unknown_becomes_the_normalised_zero_and_darkens_nothing(grid):
    sample = stored(grid)
    sample["image"][sample["valid"]] = (4.0, -3.0)
    batch = changed(BatchRotation(), as_batch([sample] * 5), grid)
    image, valid = batch["image"].movedim(1, 2), batch["valid"]
    assert not valid.all()
    torch.testing.assert_close(image[~valid], BACKGROUND.expand_as(image[~valid]), atol=0, rtol=0)
    value = torch.from_numpy(NORMALISE(np.array([[4.0, -3.0]]))[:, 0])
    torch.testing.assert_close(image[valid], value.expand_as(image[valid]))
    assert torch.equal(batch["semantic"] == 255, ~valid)
    assert torch.equal(batch["depth"].isnan(), ~valid)


@pytest.mark.parametrize("base_pixels", [range(12), range(8), (0, 2)])
@pytest.mark.parametrize("reflections", [False, True])
def test_symmetries_permute_as_their_tables_say(base_pixels, reflections):
    grid = HealpixGrid(4, tuple(base_pixels))
    symmetries = [s for s in pixel_symmetries(grid) if reflections or s.is_rotation]
    pixels = torch.arange(grid.num_pixels).repeat(200, 1)
    batch = {
        "image": torch.stack([pixels, -pixels], dim=1).float(),
        "semantic": pixels,
        "valid": pixels % 3 > 0,
        "label": torch.arange(200),
    }
    turned = changed(BatchSymmetries(reflections), batch, grid)
    source = turned["semantic"]
    for key in ("valid", "image"):
        index = source if key == "valid" else source[:, None].expand_as(batch["image"])
        assert torch.equal(turned[key], batch[key].gather(-1, index))
    assert torch.equal(turned["label"], batch["label"])
    seen = {row.numpy().tobytes() for row in source}
    assert seen == {symmetry.gather(grid).tobytes() for symmetry in symmetries}


def test_symmetries_of_a_batch_are_those_of_its_samples():
    """The per-sample twin draws from the same generator the same symmetry."""
    samples = [stored(SPHERE, seed) for seed in range(6)]
    batch = changed(BatchSymmetries(reflections=True), as_batch(samples), SPHERE)
    twins = [
        PixelSymmetries()(sample, SPHERE, ZENITH, generator)
        for sample, generator in zip(samples, generators(6), strict=True)
    ]
    for key, values in as_batch(twins).items():
        torch.testing.assert_close(batch[key], values, rtol=0, atol=0, equal_nan=True)


@pytest.mark.parametrize(
    ("grid", "reflections", "count"),
    [(SOFT, False, 24), (SOFT, True, 48), (DRISCOLL, False, 12), (DRISCOLL, True, 24)],
)
def test_equiangular_grids_have_symmetries_of_their_own(grid, reflections, count):
    """Each table is a permutation by an orthogonal matrix; proper unless reflections are asked."""
    pixels = torch.arange(grid.num_pixels).repeat(600, 1)
    batch = {"image": pixels[:, None].float(), "semantic": pixels, "valid": pixels >= 0}
    sources = changed(BatchSymmetries(reflections), batch, grid)["semantic"].numpy()
    sources = {source.tobytes(): source for source in sources}
    assert len(sources) == count
    vectors, determinants = grid.vectors(), set()
    for source in sources.values():
        assert sorted(source) == list(range(grid.num_pixels))
        matrix = np.linalg.lstsq(vectors[source], vectors, rcond=None)[0].T
        np.testing.assert_allclose(matrix @ matrix.T, np.eye(3), atol=1e-9)
        np.testing.assert_allclose(vectors[source] @ matrix.T, vectors, atol=1e-9)
        determinants.add(round(np.linalg.det(matrix)))
    assert determinants == ({1, -1} if reflections else {1})


@given(seed=st.integers(0, 2**32), degrees=st.sampled_from([1.0, 30.0, 180.0]))
def test_random_rotations_are_those_of_the_twin(seed, degrees):
    angle = math.radians(degrees)
    draws = [np.random.default_rng((seed, row)) for row in range(3)]
    numbers = np.array([(*g.normal(size=3), g.random()) for g in draws])
    expected = [random_rotation(np.random.default_rng((seed, row)), angle) for row in range(3)]
    np.testing.assert_allclose(random_rotations(numbers, angle), expected, atol=1e-9)


def test_random_rotations_are_uniform():
    """Moments of the Haar measure, and the share of small angles."""
    random = np.random.default_rng(0)
    numbers = np.concatenate([random.normal(size=(20_000, 3)), random.random((20_000, 1))], axis=1)
    matrices = random_rotations(numbers)
    np.testing.assert_allclose(matrices.mean(axis=0), 0, atol=0.02)
    np.testing.assert_allclose((matrices**2).mean(axis=0), 1 / 3, atol=0.01)
    angles = np.arccos(np.clip((np.trace(matrices, axis1=1, axis2=2) - 1) / 2, -1, 1))
    assert np.mean(angles < 1.0) == pytest.approx((1 - np.sin(1)) / np.pi, abs=0.01)
    small = random_rotations(numbers, 0.3)
    angles = np.arccos(np.clip((np.trace(small, axis1=1, axis2=2) - 1) / 2, -1, 1))
    assert angles.max() <= 0.3 + 1e-6
    # Half the angle holds what the measure says.
    share = (0.15 - np.sin(0.15)) / (0.3 - np.sin(0.3))
    assert np.mean(angles < 0.15) == pytest.approx(share, abs=0.01)


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """Nine samples for training, two of validation, with classes and labels."""
    folder = tmp_path_factory.mktemp("strokes") / "set"
    return str(write_plain_set(folder, SPHERE, ("semantic", "label"), samples=11))


BOTH = [BatchSymmetries(reflections=True), BatchRotation(90.0)]


def seen(data, epoch):
    """Every training sample of an epoch as training sees it."""
    samples = {}
    loader = data.train_dataloader()
    loader.sampler.set_epoch(epoch)
    for batch in loader:
        batch = data.apply_augmentations(batch, data.draw_augmentations(batch, epoch))
        for row, index in enumerate(batch["sample"].tolist()):
            samples[index] = {key: values[row] for key, values in batch.items()}
    return samples


def test_a_samples_turn_depends_on_seed_epoch_and_sample_alone(root):
    def module(**others):
        return PreparedDataModule(root, batch_augmentations=BOTH, **others)

    alone = seen(module(batch_size=1), 3)
    assert len(alone) == 9
    half = module(batch_size=2, train_fraction=0.5)
    shared = module(batch_size=2)
    shared.trainer = SimpleNamespace(world_size=2, global_rank=1)
    for other in (module(batch_size=4), half, shared):
        for index, sample in seen(other, 3).items():
            for key in sample:
                assert torch.equal(sample[key], alone[index][key])
    for other in (seen(module(batch_size=1), 4), seen(module(batch_size=1, seed=1), 3)):
        assert not any(torch.equal(alone[i]["image"], other[i]["image"]) for i in alone)


def test_samples_of_a_batch_turn_differently(root):
    data = PreparedDataModule(root, batch_size=9, batch_augmentations=[BatchRotation()])
    batch = next(iter(data.train_dataloader()))
    (drawn,) = data.draw_augmentations(batch, 0)
    assert len({matrix.numpy().tobytes() for matrix in drawn}) == 9


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_the_device_does_not_matter(root):
    data = PreparedDataModule(root, batch_size=9, batch_augmentations=BOTH)
    batch = next(iter(data.val_dataloader()))
    drawn = data.draw_augmentations(batch, 0)
    here = data.apply_augmentations(batch, drawn)
    there = data.apply_augmentations(
        {key: value.cuda() for key, value in batch.items()}, [d.cuda() for d in drawn]
    )
    torch.testing.assert_close(there["image"].cpu(), here["image"], atol=1e-3, rtol=0)
    assert (there["semantic"].cpu() == here["semantic"]).float().mean() > 0.995


class Recorder(pl.LightningModule):
    """Keeps the batches that each step is given."""

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))
        self.trained, self.validated = [], []

    def training_step(self, batch):
        self.trained.append((self.current_epoch, batch))
        return self.weight.sum()

    def validation_step(self, batch):
        self.validated.append(batch)

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


# Lightning's own: advice on loading processes, and deprecations between it and torch.
@pytest.mark.filterwarnings("ignore")
def test_training_sees_changed_batches_and_validation_whole_ones(root):
    data = PreparedDataModule(root, batch_size=4, batch_augmentations=BOTH, seed=5)
    model = Recorder()
    pl.Trainer(
        max_epochs=2,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    ).fit(model, datamodule=data)
    keys = {"image", "semantic", "valid", "label", "sample"}
    for epoch in range(2):
        expected = seen(PreparedDataModule(root, batch_augmentations=BOTH, seed=5), epoch)
        batches = [batch for e, batch in model.trained if e == epoch]
        assert sum(len(batch["sample"]) for batch in batches) == 9
        for batch in batches:
            assert batch.keys() == keys
            for row, index in enumerate(batch["sample"].tolist()):
                for key in keys:
                    assert torch.equal(batch[key][row], expected[index][key])
    plain = next(iter(PreparedDataModule(root, batch_size=4).val_dataloader()))
    assert len(model.validated) == 3  # the check before training, and each epoch
    for batch in model.validated:
        assert all(torch.equal(batch[key], plain[key]) for key in keys)


@pytest.mark.parametrize("degrees", [0.0, -3.0, 181.0, math.nan])
def test_wrong_angles(degrees):
    with pytest.raises(ValueError, match=f"max_degrees={degrees} must be above 0"):
        BatchRotation(degrees)


@pytest.mark.parametrize(
    ("augmentation", "grid", "match"),
    [
        (BatchRotation(), HealpixGrid(4, range(8)), r"BatchRotation.*the full sphere is needed"),
        (BatchRotation(), ImageGrid(4, 4), "no grid of the sphere"),
        (BatchSymmetries(), ImageGrid(4, 4), "no grid of the sphere"),
        (BatchSymmetries(), HealpixGrid(4, (0,)), "no symmetry but the identity"),
    ],
)
def test_grids_that_do_not_fit(augmentation, grid, match):
    with pytest.raises(ValueError, match=match):
        augmentation.check(grid)


def test_a_data_module_refuses_what_does_not_fit(tmp_path):
    root = write_plain_set(tmp_path / "set", HealpixGrid(2, (0,)))
    with pytest.raises(ValueError, match="no symmetry but the identity"):
        PreparedDataModule(str(root), batch_augmentations=[BatchSymmetries()])
