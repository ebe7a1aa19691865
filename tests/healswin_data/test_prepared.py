"""The data module over a converted set."""

import json

import cv2
import lightning.pytorch as pl
import numpy as np
import pytest
import torch
from plain_set import CLASSES, LABELS, write_plain_set
from synwoodscape_folder import write_synwoodscape
from torch.utils.data import default_collate

from data_prep.classes import SYNWOODSCAPE_CLASSES
from data_prep.conversion import Conversion
from data_prep.convert import convert
from healswin.data import PreparedDataModule, PreparedDataset, PreparedSet
from healswin.data.augment import RandomRotation
from healswin.data.prepared import collate
from healswin.grid import EquiangularGrid, HealpixGrid


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    return write_synwoodscape(tmp_path_factory.mktemp("source") / "set", scenes=5)


@pytest.fixture(scope="module")
def root(source, tmp_path_factory):
    out = tmp_path_factory.mktemp("prepared") / "set"
    convert(
        Conversion(source, nside=8, tasks=("semantic", "depth"), split="train:0.6"),
        out,
        progress=False,
    )
    return str(out)


def order(loader):
    return torch.cat([batch["sample"] for batch in loader]).tolist()


def test_a_batch(root):
    data = PreparedDataModule(root, batch_size=3)
    batch = next(iter(data.train_dataloader()))
    shapes = {key: (tuple(value.shape), value.dtype) for key, value in batch.items()}
    assert shapes == {
        "image": ((3, 3, 512), torch.float32),
        "semantic": ((3, 512), torch.int64),
        "depth": ((3, 512), torch.float32),
        "valid": ((3, 512), torch.bool),
        "sample": ((3,), torch.int64),
    }
    index = int(batch["sample"][1])
    expected = torch.from_numpy(data.prepared.semantic(index).astype(np.int64))
    assert torch.equal(batch["semantic"][1], expected)
    valid = data.prepared.valid(data.prepared.sample_camera[index])
    assert torch.equal(batch["valid"][1], torch.from_numpy(valid))
    assert (batch["semantic"][~batch["valid"]] == data.ignore_index).all()


def test_training_pixels_are_normalised(root):
    data = PreparedDataModule(root, tasks=[])
    pixels = []
    for batch in data.train_dataloader():
        assert set(batch) == {"image", "valid", "sample"}
        pixels.append(batch["image"].movedim(1, 2)[batch["valid"]])
    pixels = torch.cat(pixels).double()
    torch.testing.assert_close(pixels.mean(0), torch.zeros(3).double(), atol=1e-5, rtol=0)
    torch.testing.assert_close(
        pixels.std(0, correction=0), torch.ones(3).double(), atol=1e-5, rtol=0
    )


def test_what_a_model_needs_to_know(root):
    data = PreparedDataModule(root)
    assert data.grid == HealpixGrid(8, range(8)).to_dict()
    assert data.in_chans == 3
    assert data.num_classes == 12
    assert data.class_names[4] == "road"
    assert len(data.class_colours) == len(data.class_weights) == 12
    assert data.ignore_index == 255
    assert data.up == (0.0, -1.0, 0.0)
    assert isinstance(data.prepared, PreparedSet)


def test_each_part_has_its_samples(root):
    data = PreparedDataModule(root, predict_split="train")
    split = data.prepared.split
    assert sorted(order(data.train_dataloader())) == split["train"]
    assert order(data.val_dataloader()) == split["val"]
    assert order(data.predict_dataloader()) == split["train"]


def test_without_a_test_split_val_is_tested_and_said_once(root, caplog):
    data = PreparedDataModule(root)
    with caplog.at_level("INFO"):
        assert order(data.test_dataloader()) == data.prepared.split["val"]
        data.predict_dataloader()
    assert [r.message for r in caplog.records].count(
        f"{root} has no test split: test uses val"
    ) == 1


def test_a_test_split_is_used(source, tmp_path):
    conversion = Conversion(source, nside=4, split="train:0.4,val:0.2,test:0.4")
    convert(conversion, tmp_path / "set", progress=False)
    data = PreparedDataModule(str(tmp_path / "set"))
    assert order(data.test_dataloader()) == data.prepared.split["test"]


def test_a_set_without_validation(source, tmp_path):
    convert(Conversion(source, nside=4, split="train:1"), tmp_path / "set", progress=False)
    data = PreparedDataModule(str(tmp_path / "set"))
    with pytest.raises(ValueError, match="has no split 'val'"):
        data.val_dataloader()
    with pytest.raises(ValueError, match="has no split 'test'"):
        data.test_dataloader()


# Lightning's own: advice on loading processes, and deprecations between it and torch.
@pytest.mark.filterwarnings("ignore")
def test_the_order_depends_on_seed_and_epoch(root):
    class Model(pl.LightningModule):
        def __init__(self):
            super().__init__()
            self.weight = torch.nn.Parameter(torch.zeros(1))
            self.seen = []

        def training_step(self, batch):
            self.seen.append(batch["sample"].tolist())
            return self.weight.sum()

        def configure_optimizers(self):
            return torch.optim.SGD(self.parameters(), lr=0.1)

    def seen(seed):
        model = Model()
        trainer = pl.Trainer(
            max_epochs=2,
            accelerator="cpu",
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
        )
        data = PreparedDataModule(root, batch_size=12, tasks=[], seed=seed)
        trainer.fit(model, datamodule=data)
        return model.seen

    first = seen(1)
    assert first[0] != first[1]
    assert sorted(first[0]) == sorted(first[1])
    assert seen(1) == first
    assert seen(2) != first


def test_fractions_of_the_training_split_are_nested(root):
    parts = {
        fraction: PreparedDataModule(root, train_fraction=fraction).split_indices("train")
        for fraction in (0.05, 0.25, 0.5, 1.0)
    }
    assert [len(part) for part in parts.values()] == [1, 3, 6, 12]
    assert set(parts[0.05]) < set(parts[0.25]) < set(parts[0.5]) < set(parts[1.0])


@pytest.mark.slow
def test_loading_processes_give_the_same_batches(root):
    here = list(PreparedDataModule(root).val_dataloader())
    there = list(PreparedDataModule(root, workers=2).val_dataloader())
    for a, b in zip(here, there, strict=True):
        for key in a:
            torch.testing.assert_close(a[key], b[key], equal_nan=True)


def test_truth_in_the_image_goes_through_the_class_map(root, source):
    data = PreparedDataModule(root)
    name = data.prepared.sample_names[3]
    ids = cv2.imread(str(source / f"semantic_annotations/gtLabels/{name}.png"), -1)
    expected = np.array(SYNWOODSCAPE_CLASSES["large-ad"].class_of_id)[ids]
    np.testing.assert_array_equal(data.image_truth(3), expected)
    image = cv2.imread(str(source / f"rgb_images/{name}.png"))[..., ::-1]
    np.testing.assert_array_equal(data.source_image(3), image)


def test_sources_that_moved_or_are_gone(root, source, tmp_path):
    elsewhere = PreparedDataModule(root, source=str(tmp_path))
    assert elsewhere.image_truth(0) is None
    assert elsewhere.source_image(0) is None
    again = PreparedDataModule(root, source=str(source))
    assert again.image_truth(0).shape == (48, 64)


def test_another_picture_at_the_source_is_an_error(root, tmp_path):
    path = tmp_path / "rgb_images/00001_FV.png"
    path.parent.mkdir()
    cv2.imwrite(str(path), np.zeros((10, 10, 3), np.uint8))
    with pytest.raises(ValueError, match="is 10 x 10 pixels, the image that was converted was"):
        PreparedDataModule(root, source=str(tmp_path)).source_image(0)
    path.write_bytes(b"nonsense")
    with pytest.raises(ValueError, match="cannot be read as an image"):
        PreparedDataModule(root, source=str(tmp_path)).source_image(0)


def test_a_checkpoint_brings_its_normalisation(root):
    """Weights see images as they were normalised in training, whatever set they are used on."""
    data, other = PreparedDataModule(root), PreparedDataModule(root)
    other.load_state_dict({"image_mean": [0.0, 0.0, 0.0], "image_std": [1.0, 1.0, 1.0]})
    batch = next(iter(other.val_dataloader()))
    stored = data.prepared.image(int(batch["sample"][0]))
    np.testing.assert_allclose(batch["image"][0].numpy().T, stored / 255, atol=1e-6)
    again = PreparedDataModule(root)
    again.load_state_dict(data.state_dict())
    first, second = (next(iter(d.val_dataloader()))["image"] for d in (data, again))
    assert torch.equal(first, second)


def test_without_labels_there_are_no_classes(root):
    data = PreparedDataModule(root, tasks=["depth"])
    assert data.class_names == data.class_colours == []
    assert data.class_weights is None
    assert "semantic" not in next(iter(data.val_dataloader()))


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ({"batch_size": 0}, "batch_size=0"),
        ({"workers": -1}, "workers=-1"),
        ({"train_fraction": 0.0}, "train_fraction=0.0"),
        ({"train_fraction": 1.5}, "train_fraction=1.5"),
        ({"seed": -1}, "seed=-1 must not be negative"),
        ({"predict_split": "all"}, "predict_split='all'"),
        ({"tasks": ["flow"]}, r"holds \['semantic', 'depth'\], not \['flow'\]"),
        ({"source": "/nowhere"}, "source='/nowhere' is no folder"),
    ],
)
def test_wrong_arguments(root, arguments, match):
    with pytest.raises(ValueError, match=match):
        PreparedDataModule(root, **arguments)


def test_a_set_that_is_none(tmp_path):
    with pytest.raises(ValueError, match="does not exist"):
        PreparedDataModule(str(tmp_path / "nothing"))


@pytest.fixture(scope="module")
def strokes(tmp_path_factory):
    """Seven maps with a label each, classes of pixels too, on an equiangular grid."""
    out = tmp_path_factory.mktemp("strokes") / "strokes"
    return str(write_plain_set(out, EquiangularGrid(4), ("semantic", "label")))


def test_labels_of_whole_samples(strokes):
    data = PreparedDataModule(strokes, batch_size=3)
    batch = next(iter(data.train_dataloader()))
    assert (batch["label"].shape, batch["label"].dtype) == ((3,), torch.int64)
    stored = [data.prepared.label(index) for index in batch["sample"].tolist()]
    assert batch["label"].tolist() == stored
    assert data.label_names == LABELS
    assert data.class_names == CLASSES
    without = PreparedDataModule(strokes, tasks=["semantic"])
    assert without.label_names == []
    assert "label" not in next(iter(without.val_dataloader()))


def test_names_of_labels_that_are_not_in_the_set(strokes):
    data = PreparedDataModule(strokes, tasks=[], label_names=["a", "b"])
    assert data.label_names == ["a", "b"]
    with pytest.raises(ValueError, match=r"label_names=\['a'\].*has labels and names them"):
        PreparedDataModule(strokes, label_names=["a"])


def test_a_checkpoint_says_what_it_was_trained_on(strokes):
    data = PreparedDataModule(strokes)
    state = json.loads(json.dumps(data.state_dict()))
    assert state["label_names"] == LABELS
    assert state["up"] == list(data.prepared.up)
    assert state["image_dtype"] == "uint8"
    assert state["data"] == {"name": "strokes", "fingerprint": data.prepared.fingerprint}
    old = {key: state[key] for key in ("image_mean", "image_std", "class_names", "class_colours")}
    data.load_state_dict(old)
    data.load_state_dict(state)


@pytest.mark.parametrize("augmentations", [(), (RandomRotation(),)])
def test_many_samples_at_once_are_those_one_by_one(strokes, augmentations):
    """The twin of loading a batch: single samples, collated by torch."""
    prepared = PreparedSet.open(strokes)
    dataset = PreparedDataset(
        prepared, [5, 1, 2], prepared.tasks, augmentations=augmentations, seed=3
    )
    items = [(2, 7), (0, 7), (1, 8)]
    loaded = dataset.__getitems__(items)
    assert len(loaded) == 3
    expected = default_collate([dataset[item] for item in items])
    assert expected["sample"].tolist() == [2, 5, 1]
    for batch in (collate(loaded), default_collate(loaded), collate(list(loaded))):
        assert batch.keys() == expected.keys()
        for key in expected:
            assert batch[key].dtype == expected[key].dtype
            assert torch.equal(batch[key], expected[key])
