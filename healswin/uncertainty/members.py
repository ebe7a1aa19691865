"""The predictions whose disagreement is uncertainty: several models, or one with dropout on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from healswin.zoo import ZooModel


class Members:
    """A deep ensemble, or draws of dropout, or draws of every model of an ensemble.

    Args:
        models: Trained models of one task on one grid, with the same classes.
        draws: How many times each model predicts with its dropout on; 0: once, with it off.
        seed: Of the dropout. What is dropped depends on it, on the member and on the first sample
            of the batch.

    Raises:
        ValueError: If there are less than two members, models differ in what they predict, or
            dropout is asked of a model that has none.
    """

    def __init__(self, models: Sequence[ZooModel], draws: int = 0, seed: int = 0) -> None:
        if draws < 0 or seed < 0:
            raise ValueError(f"draws={draws} and seed={seed} must not be negative")
        if len(models) * max(draws, 1) < 2:
            raise ValueError(
                f"{len(models)} model with draws={draws}: one prediction cannot disagree with "
                "itself, name several models or draw dropout at least twice"
            )
        for model in models[1:]:
            _check_alike(models[0], model)
        for model in models if draws else ():
            if not dropping(model):
                raise ValueError(
                    f"draws={draws}: {model.config.name} has no dropout; train it with dropout, "
                    "attention_dropout or drop_path above 0, or name several models"
                )
        self.models = list(models)
        self._adapted = [_adaptation(models[0], model) for model in models]
        self.draws = draws
        self.seed = seed

    def __len__(self) -> int:
        """Number of predictions of every sample."""
        return len(self.models) * max(self.draws, 1)

    def answers(self, images: Tensor, first: int) -> Iterator[Tensor]:
        """The networks' answers to a batch, one after the other.

        Args:
            images: Maps (batch, channels, pixels), normalised as the first model takes them; every
                model sees them as its own training data were normalised.
            first: Index of the first sample of the batch.

        Yields:
            (batch, out, pixels), or (batch, out) of classifications.
        """
        for number, (model, adapted) in enumerate(zip(self.models, self._adapted, strict=True)):
            seen = images
            if adapted is not None:
                factor, shift = (values.to(images)[:, None] for values in adapted)
                seen = factor * images + shift
            if not self.draws:
                yield _answer(model, seen)
            for draw in range(self.draws):
                # As many independent streams as there are batches and members.
                entropy = np.random.SeedSequence((self.seed, first, number, draw))
                with _dropout_on(model), torch.random.fork_rng():
                    torch.manual_seed(int(entropy.generate_state(1)[0]))
                    answer = _answer(model, seen)
                yield answer


def dropping(model: nn.Module) -> list[nn.Module]:
    """The modules of a network that drop something at random while they train."""
    return [module for module in model.modules() if _drops(module)]


def _drops(module: nn.Module) -> bool:
    # nn.Dropout calls its probability p, timm's DropPath drop_prob, the attention and the block of
    # this library attention_dropout and drop_path.
    kinds = nn.Dropout | nn.Dropout1d | nn.Dropout2d | nn.Dropout3d | nn.AlphaDropout
    chance = module.p if isinstance(module, kinds) else 0.0
    names = ("drop_prob", "attention_dropout", "drop_path")
    return max(chance, *(_number(module, name) for name in names)) > 0


def _number(module: nn.Module, name: str) -> float:
    value = getattr(module, name, None)
    return float(value) if isinstance(value, int | float) else 0.0


@contextmanager
def _dropout_on(model: ZooModel) -> Iterator[None]:
    """Only what drops is in training mode: normalisations keep what they have learned."""
    modules = [module for module in dropping(model) if not module.training]
    for module in modules:
        module.training = True
    try:
        yield
    finally:
        for module in modules:
            module.training = False


def _answer(model: ZooModel, images: Tensor) -> Tensor:
    with torch.inference_mode():
        return model(images.to(model.device)).float().detach()


def _adaptation(one: ZooModel, other: ZooModel) -> tuple[Tensor, Tensor] | None:
    """Factor and shift of each channel from the normalisation of one model to that of another.

    Raises:
        ValueError: If one of them does not state its own.
    """
    stated = [(m.config.image_mean, m.config.image_std) for m in (one, other)]
    if stated[0] == stated[1]:
        return None
    if not (stated[0][0] and stated[1][0]):
        raise ValueError(
            f"{one.config.name} and {other.config.name} are no ensemble: only one of them states "
            "how its images are normalised"
        )
    (mean, std), (others_mean, others_std) = (
        (np.asarray(m), np.where(np.asarray(s) > 0, s, 1.0)) for m, s in stated
    )
    return torch.from_numpy(std / others_std), torch.from_numpy((mean - others_mean) / others_std)


def _check_alike(one: ZooModel, other: ZooModel) -> None:
    images, answers = ("grid", "pole", "in_chans", "image_dtype"), ("num_classes", "class_names")
    for name in ("task", *images, *answers, "depth"):
        ours, theirs = getattr(one.config, name), getattr(other.config, name)
        if ours != theirs:
            raise ValueError(
                f"{one.config.name} and {other.config.name} are no ensemble: their {name} are "
                f"{ours} and {theirs}"
            )
