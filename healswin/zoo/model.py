"""A trained network together with all that its use needs."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from huggingface_hub import ModelHubMixin
from jaxtyping import Float, Shaped
from torch import Tensor, nn

from healswin.data.depth import DepthScale
from healswin.grid import Grid
from healswin.zoo.card import ModelCard, model_card
from healswin.zoo.config import ModelConfig
from healswin.zoo.files import CARD, as_half, write_model_files


class ZooModel(nn.Module, ModelHubMixin):
    """A network that knows its grid, its images and the meaning of its output.

    `healswin.load_model` makes one. ``push_to_hub("owner/name")``, of huggingface_hub's mixin,
    uploads what `save_pretrained` writes.

    Args:
        config: Construction and use.
        network: The network, built as the configuration says.

    Attributes:
        network: The network: maps in the shape of the grid to its answer.
        config: Construction and use.
        grid: The pixels of the maps.
    """

    def __init__(self, config: ModelConfig, network: nn.Module) -> None:
        super().__init__()
        self.config = config
        self.grid: Grid = config.make_grid()
        self.network = network

    def forward(
        self, x: Float[Tensor, "batch channels *pixels"]
    ) -> Float[Tensor, "batch channels_out *pixels_out"]:
        """The network's answer to normalised maps, as `healswin.tasks.Task` computes it.

        Args:
            x: (batch, in_chans, pixels), or (batch, in_chans, *grid.shape).

        Returns:
            (batch, num_classes, pixels), or (batch, num_classes) of a classification.

        Raises:
            ValueError: If the shape is not that of the grid.
        """
        answer = self.network(self._checked(x).unflatten(-1, self.grid.shape))
        return answer.flatten(2) if answer.ndim > 2 else answer

    def normalise(
        self,
        maps: Shaped[Tensor, "batch channels *pixels"]
        | Shaped[np.ndarray, "batch channels *pixels"],
    ) -> Float[Tensor, "batch channels pixels"]:
        """What the network sees of maps in the units in which a prepared set stores them.

        The same arithmetic as `healswin.data.transforms.Normalisation`.

        Args:
            maps: (batch, in_chans, pixels) or (batch, in_chans, *grid.shape) of the
                configuration's image_dtype: uint8 for pictures (0 to 255), else real numbers.

        Returns:
            float32 on the network's device.

        Raises:
            ValueError: If shape or type differ, or the configuration states no mean.
        """
        if not self.config.image_mean:
            raise ValueError(
                f"{self.config.name} states no image_mean and image_std: normalise the maps "
                "as in its training and call the model itself"
            )
        if isinstance(maps, np.ndarray):
            maps = torch.tensor(maps)
        pictures = self.config.image_dtype == "uint8"
        if (maps.dtype == torch.uint8) != pictures or not (pictures or maps.is_floating_point()):
            raise ValueError(
                f"the maps are {maps.dtype}, {self.config.name} takes {self.config.image_dtype}"
            )
        scale = 255.0 if pictures else 1.0
        deviation = np.asarray(self.config.image_std)
        mean = (scale * np.asarray(self.config.image_mean)).astype(np.float32)
        # A channel that never changes is centred only.
        factor = (1 / (scale * np.where(deviation > 0, deviation, 1.0))).astype(np.float32)
        values = self._checked(maps).to(self.device, torch.float32)
        values = values - torch.tensor(mean[:, None], device=self.device)
        return values * torch.tensor(factor[:, None], device=self.device)

    @torch.no_grad()
    def predict(
        self,
        maps: Shaped[Tensor, "batch channels *pixels"]
        | Shaped[np.ndarray, "batch channels *pixels"],
    ) -> Shaped[Tensor, " batch *answer"]:
        """From maps in stored units, see `normalise`, to classes, labels or metres.

        Returns:
            On the network's device: (batch, pixels) int64 classes of a segmentation, (batch,)
            int64 labels of a classification, (batch, pixels) float32 metres of a depth model,
            +inf where an inverse depth is not above 0 and the configuration states no limits.

        Raises:
            ValueError: As `normalise` does.
        """
        dtype = next(self.network.parameters()).dtype
        answer = self(self.normalise(maps).to(dtype))
        if self.config.depth is not None:
            return to_metres(answer[:, 0].float(), self.config.depth)
        return answer.argmax(dim=1)

    @property
    def device(self) -> torch.device:
        """Where the network's parameters are."""
        return next(self.network.parameters()).device

    def with_grid(self, grid: Grid) -> ZooModel:
        """The model with a copy of its weights for maps of another grid.

        Its metrics and card are left behind: they were measured on the old grid.

        Raises:
            ValueError: If the network cannot be given another grid.
        """
        if not hasattr(self.network, "with_grid"):
            raise ValueError(
                f"grid={grid}: {self.config.model} belongs to {self.grid}, its weights cannot be "
                "used on another grid"
            )
        config = dataclasses.replace(self.config, grid=grid.to_dict(), metrics={}, card={})
        model = type(self)(config, self.network.with_grid(grid))
        model.training = self.training
        return model

    def reset_classifier(self, num_classes: int) -> None:
        """Replace the last layer by a fresh one for another number of classes, without names.

        What comes out is a model to be trained: its name says so, and figures, card and data set
        are those of no model any more.

        Raises:
            ValueError: If the network has no such layer or predicts depth.
        """
        if not hasattr(self.network, "reset_classifier") or self.config.depth is not None:
            raise ValueError(
                f"num_classes={num_classes}: {self.config.name} predicts "
                f"{self.config.num_classes} channels, its last layer cannot be replaced"
            )
        self.network.reset_classifier(num_classes)
        self.config = dataclasses.replace(
            self.config,
            name=f"{self.config.name}-{num_classes}-untrained",
            num_classes=num_classes,
            class_names=(),
            class_colours=(),
            data={},
            metrics={},
            card={},
        )

    def save_pretrained(
        self,
        save_directory: str | Path,
        *,
        card: ModelCard | None = None,
        half: bool = False,
        config: object = None,
        model_card_kwargs: dict[str, str] | None = None,
    ) -> None:
        """Write config.json, model.safetensors and README.md, which `healswin.load_model` reads.

        Args:
            save_directory: The folder, made if it is not there.
            card: What the model card says beyond the configuration; by default what the
                configuration holds of an earlier card. A README.md that is there stays if no
                card is given.
            half: Store the weights as float16; they load as float32. The configuration's metrics
                are those of the weights as stored: measure them after loading.
            config: Not used; the mixin's ``push_to_hub`` names it.
            model_card_kwargs: Fields of `ModelCard`, as the mixin's ``push_to_hub`` hands them on.

        Raises:
            ValueError: If a field of the card is not known, or a weight is too large for float16.
            OSError: If a file cannot be written.
        """
        if config is not None:
            raise ValueError("config must be None: the model's own configuration is written")
        if model_card_kwargs:
            card = ModelCard.from_dict(model_card_kwargs)
        if card is not None:
            self.config = dataclasses.replace(self.config, card=card.to_dict())
        folder = Path(save_directory)
        weights = self.network.state_dict()
        keeps_card = card is None and (folder / CARD).exists()
        write_model_files(
            folder,
            self.config,
            as_half(weights) if half else weights,
            None if keeps_card else model_card(self.config),
        )

    @classmethod
    def from_pretrained(
        cls,
        pretrained_model_name_or_path: str | Path,
        *,
        revision: str | None = None,
        device: str | torch.device = "cpu",
    ) -> Self:
        """The model in a folder, or in a repository "owner/name" of the hub.

        Raises:
            ValueError: As `healswin.load_model` does.
        """
        from healswin.zoo.load import load_model

        source = pretrained_model_name_or_path
        if Path(source).is_dir():
            return load_model(Path(source), device=device)
        at = "" if revision is None else f"@{revision}"
        return load_model(f"hf-hub:{source}{at}", device=device)

    def extra_repr(self) -> str:
        """What the network does not tell."""
        return f"{self.config.name!r}, task={self.config.task!r}"

    def _checked(self, x: Tensor) -> Tensor:
        """(batch, in_chans, pixels) of a map in that shape or in the grid's."""
        shape, pixels = (self.config.in_chans, *self.grid.shape), self.grid.num_pixels
        if x.shape[1:] not in (shape, (self.config.in_chans, pixels)):
            raise ValueError(
                f"the maps have shape {tuple(x.shape)}, (batch, {self.config.in_chans}, {pixels}) "
                f"is needed: {self.grid}"
            )
        return x.flatten(2)


def to_metres(
    values: Float[Tensor, "batch pixels"], depth: dict[str, Any]
) -> Float[Tensor, "batch pixels"]:
    """Depth in metres of a network's standardised output.

    Args:
        values: Output of the network, (t(metres) - mean) / std.
        depth: The configuration's ``depth``: the arguments of `healswin.data.DepthScale`, and
            ``log_variance``.
    """
    scale = {name: value for name, value in depth.items() if name != "log_variance"}
    return DepthScale(**scale).decode(values)
