"""The data module over a prepared set.

A batch is a dict of tensors:

| key | shape | dtype | holds |
|---|---|---|---|
| image | (batch, channels, pixels) | float32 | normalised with the set's mean and deviation |
| semantic | (batch, pixels) | int64 | class, `ignore_index` where there is none |
| depth | (batch, pixels) | float32 | metres along the ray, +inf sky, NaN unknown |
| valid | (batch, pixels) | bool | the camera sees the pixel |
| label | (batch,) | int64 | class of the whole sample |
| sample | (batch,) | int64 | index into the set |

with semantic, depth and label where the set has them. Pixels that are not valid hold class
`ignore_index` (class 0 in a set made with `--invalid void`) and depth NaN; that is how losses and
metrics leave them out.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float32, UInt8
from lightning.pytorch import LightningDataModule
from lightning.pytorch.overrides.distributed import UnrepeatedDistributedSampler
from lightning.pytorch.utilities import rank_zero_info
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, DistributedSampler, default_collate

from healswin.data.augment import Augmentation
from healswin.data.batch_augment import Batch, BatchAugmentation
from healswin.data.preparing import prepare_if_missing
from healswin.data.sources import source_depth, source_image, source_labels
from healswin.data.store import PreparedSet
from healswin.data.transforms import Normalisation, class_weights

# Enough for a surround rig; bounded where every sample is calibrated anew.
_FIELDS_KEPT = 16

# Where a batch carries what was drawn for it, and a number that is part of the seed of that.
_DRAWN = "drawn"
_BATCH_STREAM = 1


class PreparedDataset(Dataset):
    """Some samples of a prepared set as dicts of tensors.

    An item is asked for by its position among the samples, or by position and epoch. The random
    numbers of its augmentations depend on seed, epoch and sample alone. Many items at once, as a
    DataLoader asks for them, are stacked as they are stored and normalised together.

    Args:
        prepared: The set.
        indices: The samples, by their index in the set.
        tasks: Which arrays besides the image.
        normalisation: Of the images; the set's own by default.
        augmentations: What changes each sample, in this order.
        seed: Of the augmentations, not negative.
    """

    def __init__(
        self,
        prepared: PreparedSet,
        indices: Sequence[int],
        tasks: Sequence[str],
        normalisation: Normalisation | None = None,
        augmentations: Sequence[Augmentation] = (),
        seed: int = 0,
    ) -> None:
        self.prepared = prepared
        self.indices = list(indices)
        self.tasks = tuple(tasks)
        self.augmentations = tuple(augmentations)
        self.seed = seed
        self._normalise = normalisation or Normalisation(prepared.image_mean, prepared.image_std)
        self._valid: dict[str, np.ndarray] = {}

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, item: int | tuple[int, int]) -> dict[str, Tensor]:
        index, values = self._loaded(item)
        batch = self._tensors({key: [value] for key, value in values.items()}, [index])
        return {key: value[0] for key, value in batch.items()}

    def __getitems__(self, items: Sequence[int | tuple[int, int]]) -> LoadedBatch:
        loaded = [self._loaded(item) for item in items]
        keys = loaded[0][1]
        stacks = {key: [values[key] for _, values in loaded] for key in keys}
        return LoadedBatch(self._tensors(stacks, [index for index, _ in loaded]))

    def _tensors(self, stacks: dict[str, list], indices: list[int]) -> dict[str, Tensor]:
        # Stacking copies: what is kept, or what Zarr hands out, must not be written to.
        arrays = {key: np.stack(values) for key, values in stacks.items()}
        batch = {"image": torch.from_numpy(self._normalise(arrays["image"]))}
        for key in ("semantic", "depth", "valid", "label"):
            if key in arrays:
                whole = key in ("semantic", "label")
                values = arrays[key].astype(np.int64) if whole else arrays[key]
                batch[key] = torch.from_numpy(values)
        batch["sample"] = torch.tensor(indices)
        return batch

    def _loaded(self, item: int | tuple[int, int]) -> tuple[int, dict[str, Any]]:
        """The index of an item, and its arrays as stored, augmented."""
        position, epoch = item if isinstance(item, tuple) else (item, 0)
        index = self.indices[position]
        values = self._stored(index)
        if self.augmentations:
            values = self._augmented(values, index, epoch)
        if "label" in self.tasks:  # of the whole sample: no augmentation changes it
            values["label"] = self.prepared.label(index)
        return index, values

    def _stored(self, index: int) -> dict[str, np.ndarray]:
        values = {"image": self.prepared.image(index)}
        if "semantic" in self.tasks:
            values["semantic"] = self.prepared.semantic(index)
        if "depth" in self.tasks:
            values["depth"] = self.prepared.depth(index)
        values["valid"] = self._valid_of(self.prepared.sample_camera[index])
        return values

    def _augmented(
        self, values: dict[str, np.ndarray], index: int, epoch: int
    ) -> dict[str, np.ndarray]:
        generator = np.random.default_rng((self.seed, epoch, index))
        for augmentation in self.augmentations:
            values = augmentation(values, self.prepared.grid, self.prepared.up, generator)
        return values

    def _valid_of(self, camera: str) -> Bool[np.ndarray, " pixels"]:
        if camera not in self._valid:
            if len(self._valid) >= _FIELDS_KEPT:
                self._valid.clear()
            self._valid[camera] = self.prepared.valid(camera)
        return self._valid[camera]


class LoadedBatch(Sequence):
    """Samples that were stacked already; a sequence of dicts, as any collating function takes it.

    Args:
        tensors: The stacks, (batch, ...) each.
    """

    def __init__(self, tensors: Batch) -> None:
        self.tensors = tensors

    def __len__(self) -> int:
        return len(self.tensors["sample"])

    def __getitem__(self, row: int) -> dict[str, Tensor]:
        return {key: values[row] for key, values in self.tensors.items()}


def collate(samples: Sequence[dict[str, Tensor]]) -> Batch:
    """A batch of samples; those that were stacked already are taken as they are."""
    return samples.tensors if isinstance(samples, LoadedBatch) else default_collate(samples)


class TrainingSampler(DistributedSampler):
    """Positions of the training samples in random order, each with the epoch.

    With one process this is a shuffle by seed and epoch; with several each gets its share. The
    epoch travels with the position because loading processes live longer than one epoch. Lightning
    tells the epoch (`set_epoch`), after a resume too.
    """

    def __iter__(self) -> Iterator[tuple[int, int]]:
        epoch = self.epoch
        return ((position, epoch) for position in super().__iter__())


class TrainingLoader(DataLoader):
    """Begins to load when the first batch is asked for.

    A resumed training takes the iterator before it tells the sampler which epoch it is: loading
    processes, which would begin at once, would load the samples of epoch 0.
    """

    def __iter__(self) -> Iterator[Batch]:
        yield from super().__iter__()


class PreparedDataModule(LightningDataModule):
    """Batches of a prepared set, for training, validation, test and prediction.

    The constructor reads the set's attributes only. What a model or task needs to know of the data
    are attributes, so that a command line can link them and a configuration states them once.
    Shuffling depends on `seed` and the epoch alone, and the augmentation of a sample on these and
    the sample. So a resumed training sees what an undisturbed one sees, and neither `workers` nor
    the number of devices changes how a sample looks in an epoch. Batch augmentations come after
    the others, while training only; their numbers are drawn on the CPU, and the batch is changed
    on its device.

    Args:
        root: Folder of the prepared set.
        batch_size: Samples a batch and device.
        workers: Loading processes; 0 loads in the training process.
        tasks: Arrays to load besides the image; all that the set has if None.
        train_fraction: Part of the training split that is used, in (0, 1]; chosen by `seed`.
        seed: Decides the order of training, the part that is used and the augmentations.
        predict_split: What `predict` runs on: "train", "val" or "test".
        source: Folder of the source images, if it is not where it was at the conversion.
        class_names: Names of the classes that a model predicts, for a set without labels; the
            command line takes them from the checkpoint.
        class_colours: Their RGB colours.
        augmentations: Random changes of the training samples, applied in this order; see
            `healswin.data.augment`.
        batch_augmentations: Random changes of normalised training batches on their device, applied
            in this order; see `healswin.data.batch_augment`.
        prepare: Arguments of `healswin-prep` that make the set if `root` is not there; see
            `healswin.data.preparing`.
        label_names: Names of the labels of whole samples that a model predicts, for a set without
            labels; the command line takes them from the checkpoint.
        depth_statistics: Of the depth that a model predicts, for a set without depth; the command
            line takes them from the checkpoint.

    Attributes:
        prepared: The set.
        grid: The pixels of the maps as plain values, see `healswin.grid.grid_from_dict`.
        pole: What the grid's north pole is.
        up: Unit vector (x, y, z) of the map that points up in the world.
        normalisation: Of the images: the set's own, or that of the checkpoint in use.
        in_chans: Number of image channels.
        num_classes: Number of classes.
        class_names: Their names.
        class_colours: Their RGB colours.
        label_names: Names of the labels of whole samples; empty if they are not loaded.
        class_weights: See `healswin.data.transforms.class_weights`; of the training split.
        depth_statistics: How depth is distributed in the training split; None if it is not loaded.
        ignore_index: Label of pixels without truth.

    Raises:
        ValueError: If `root` is no whole prepared set or an argument does not fit it.
    """

    def __init__(
        self,
        root: str,
        batch_size: int = 2,
        workers: int = 0,
        tasks: list[str] | None = None,
        train_fraction: float = 1.0,
        seed: int = 0,
        predict_split: str = "test",
        source: str | None = None,
        class_names: list[str] | None = None,
        class_colours: list[list[int]] | None = None,
        augmentations: list[Augmentation] | None = None,
        batch_augmentations: list[BatchAugmentation] | None = None,
        prepare: str | None = None,
        label_names: list[str] | None = None,
        depth_statistics: dict[str, Any] | None = None,
    ) -> None:
        super().__init__()
        prepare_if_missing(root, prepare)
        self.prepared = PreparedSet.open(root)
        if batch_size < 1:
            raise ValueError(f"batch_size={batch_size} must be at least 1")
        if workers < 0:
            raise ValueError(f"workers={workers} must not be negative")
        if not 0 < train_fraction <= 1:
            raise ValueError(f"train_fraction={train_fraction} must be above 0 and at most 1")
        if seed < 0:
            raise ValueError(f"seed={seed} must not be negative")
        if predict_split not in ("train", "val", "test"):
            raise ValueError(f"predict_split={predict_split!r} must be train, val or test")
        missing = sorted(set(tasks or ()) - set(self.prepared.tasks))
        if missing:
            raise ValueError(f"tasks={tasks}: {root} holds {self.prepared.tasks}, not {missing}")
        if source is not None and not Path(source).is_dir():
            raise ValueError(f"source={source!r} is no folder")
        self.batch_size = batch_size
        self.workers = workers
        self.tasks = list(self.prepared.tasks if tasks is None else tasks)
        self.seed = seed
        self.predict_split = predict_split
        self.source = source
        self.grid: dict[str, Any] = self.prepared.grid.to_dict()
        self.in_chans: int = self.prepared.num_channels
        self.pole: str = self.prepared.pole
        self.up: tuple[float, float, float] = self.prepared.up
        labelled = "semantic" in self.tasks
        if labelled and class_names is not None:
            raise ValueError(f"class_names={class_names}: {root} has labels and names its classes")
        self.class_names: list[str] = (
            self.prepared.class_names if labelled else list(class_names or [])
        )
        self.class_colours: list[list[int]] = (
            self.prepared.class_colours if labelled else list(class_colours or [])
        )
        self.num_classes: int = len(self.class_names)
        if "label" in self.tasks and label_names is not None:
            raise ValueError(f"label_names={label_names}: {root} has labels and names them")
        self.label_names: list[str] = (
            list(self.prepared.label_names) if "label" in self.tasks else list(label_names or [])
        )
        self.class_weights: list[float] | None = (
            class_weights(self.prepared.class_frequencies) if labelled else None
        )
        if "depth" in self.tasks and depth_statistics is not None:
            raise ValueError(f"depth_statistics={depth_statistics}: {root} has depth and its own")
        self.depth_statistics: dict[str, Any] | None = (
            self.prepared.depth_statistics if "depth" in self.tasks else depth_statistics
        )
        self.ignore_index: int = self.prepared.ignore_index
        self.augmentations = list(augmentations or [])
        for augmentation in self.augmentations:
            augmentation.check(
                self.prepared.grid, self.up, self.in_chans, self.prepared.image_dtype
            )
        self.batch_augmentations = list(batch_augmentations or [])
        for augmentation in self.batch_augmentations:
            augmentation.check(self.prepared.grid)
        self._training = _some_of(self.prepared.split["train"], train_fraction, seed)
        self._said_which_test = False
        self.normalisation = Normalisation(self.prepared.image_mean, self.prepared.image_std)

    def state_dict(self) -> dict[str, Any]:
        """What weights need to know of the data they were trained on; kept in checkpoints."""
        return {
            "image_mean": self.normalisation.mean.tolist(),
            "image_std": self.normalisation.std.tolist(),
            "class_names": self.class_names,
            "class_colours": self.class_colours,
            "label_names": self.label_names,
            "depth_statistics": self.depth_statistics,
            "up": list(self.up),
            "image_dtype": self.prepared.image_dtype,
            "data": {
                "name": self.prepared.root.name,
                "fingerprint": self.prepared.fingerprint,
            },
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Normalise images as they were when the checkpoint's weights were trained."""
        self.normalisation = Normalisation(state_dict["image_mean"], state_dict["image_std"])

    def train_dataloader(self) -> DataLoader:
        """Shuffled and augmented batches of the training split."""
        dataset = PreparedDataset(
            self.prepared,
            self._training,
            self.tasks,
            self.normalisation,
            self.augmentations,
            self.seed,
        )
        sampler = TrainingSampler(
            dataset,
            num_replicas=self.trainer.world_size if self.trainer else 1,
            rank=self.trainer.global_rank if self.trainer else 0,
            shuffle=True,
            seed=self.seed,
        )
        return self._loader(dataset, sampler)

    def on_before_batch_transfer(self, batch: Batch, dataloader_idx: int) -> Batch:
        """While training: draw what the batch augmentations will do, before the batch moves."""
        if self.batch_augmentations and self.trainer is not None and self.trainer.training:
            return {**batch, _DRAWN: self.draw_augmentations(batch, self.trainer.current_epoch)}
        return batch

    def on_after_batch_transfer(self, batch: Batch, dataloader_idx: int) -> Batch:
        """Apply the batch augmentations, on the device of the batch."""
        if _DRAWN not in batch:
            return batch
        return self.apply_augmentations(
            {k: v for k, v in batch.items() if k != _DRAWN}, batch[_DRAWN]
        )

    def draw_augmentations(self, batch: Batch, epoch: int) -> list[Tensor]:
        """What the batch augmentations will do to each sample, by seed, epoch and sample alone.

        Args:
            batch: On the CPU; only ``sample`` is looked at.
            epoch: Of the training.

        Returns:
            What each augmentation drew, (batch, ...).
        """
        # The last number sets them apart from what `augmentations` draw for the same sample.
        generators = [
            np.random.default_rng((self.seed, epoch, index, _BATCH_STREAM))
            for index in batch["sample"].tolist()
        ]
        grid = self.prepared.grid
        return [augmentation.draw(generators, grid) for augmentation in self.batch_augmentations]

    def apply_augmentations(self, batch: Batch, drawn: Sequence[Tensor]) -> Batch:
        """The batch as the batch augmentations make it.

        Args:
            batch: On any device.
            drawn: The answer of `draw_augmentations`, on the same device.
        """
        black = np.zeros((1, self.in_chans), dtype=self.prepared.image_dtype)
        background = torch.from_numpy(self.normalisation(black)[:, 0]).to(batch["image"])
        for augmentation, numbers in zip(self.batch_augmentations, drawn, strict=True):
            batch = augmentation(batch, numbers, self.prepared.grid, background)
        return batch

    def val_dataloader(self) -> DataLoader:
        """The validation split in its order."""
        return self._in_order("val")

    def test_dataloader(self) -> DataLoader:
        """The test split in its order, the validation split if the set has no test split."""
        return self._in_order("test")

    def predict_dataloader(self) -> DataLoader:
        """The split named by `predict_split`, in its order."""
        return self._in_order(self.predict_split)

    def split_indices(self, part: str) -> list[int]:
        """The samples of "train", "val" or "test", where "test" falls back on "val".

        Training samples are those in use (`train_fraction`).

        Raises:
            ValueError: If the set has no such part.
        """
        if part == "train":
            return self._training
        split = self.prepared.split
        if part == "test" and "test" not in split and "val" in split:
            if not self._said_which_test:
                rank_zero_info(f"{self.prepared.root} has no test split: test uses val")
                self._said_which_test = True
            part = "val"
        if part not in split:
            raise ValueError(f"{self.prepared.root} has no split {part!r}, only {list(split)}")
        return split[part]

    def image_truth(self, index: int) -> UInt8[np.ndarray, "height width"] | None:
        """The class of each pixel of a sample's source image; None where it is absent."""
        return source_labels(self.prepared, index, self.source)

    def image_depth(self, index: int) -> Float32[np.ndarray, "height width"] | None:
        """The metres of each pixel of a sample's source image, see `source_depth`."""
        return source_depth(self.prepared, index, self.source)

    def source_image(self, index: int) -> UInt8[np.ndarray, "height width 3"] | None:
        """The source image of a sample, RGB; None where it is absent."""
        return source_image(self.prepared, index, self.source)

    def _in_order(self, part: str) -> DataLoader:
        dataset = PreparedDataset(
            self.prepared, self.split_indices(part), self.tasks, self.normalisation
        )
        processes = self.trainer.world_size if self.trainer else 1
        if processes == 1:
            return self._loader(dataset, None)
        if len(dataset) < processes:
            raise ValueError(
                f"the {part} split of {self.prepared.root} has {len(dataset)} samples, fewer than "
                f"the {processes} processes: use fewer devices"
            )
        # Lightning's own choice repeats samples until all processes have equally many, which
        # would count them twice in the scores.
        sampler = UnrepeatedDistributedSampler(
            dataset, num_replicas=processes, rank=self.trainer.global_rank, shuffle=False
        )
        return self._loader(dataset, sampler)

    def _loader(self, dataset: PreparedDataset, sampler: DistributedSampler | None) -> DataLoader:
        loader = TrainingLoader if isinstance(sampler, TrainingSampler) else DataLoader
        return loader(
            dataset,
            batch_size=self.batch_size,
            sampler=sampler,
            # Of its own: a loader draws from it when it starts, which must not depend on whether
            # its workers live on from an earlier epoch.
            generator=torch.Generator().manual_seed(self.seed),
            collate_fn=collate,
            num_workers=self.workers,
            persistent_workers=self.workers > 0,
            pin_memory=torch.cuda.is_available(),
        )


def _some_of(indices: Sequence[int], fraction: float, seed: int) -> list[int]:
    """ceil(fraction * n) of the indices, ascending; a smaller fraction is part of a larger one."""
    # The small number forgives 0.1 * 30 being 3.0000000000000004.
    count = max(1, math.ceil(fraction * len(indices) - 1e-9))
    generator = torch.Generator().manual_seed(seed)
    order = torch.randperm(len(indices), generator=generator).tolist()
    return sorted(indices[position] for position in order[:count])
