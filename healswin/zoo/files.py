"""The three files of a model's folder: written whole or not at all, read with their hash checked.

config.json         `ModelConfig` and the SHA-256 of the weights
model.safetensors   the network's parameters; the header holds the configuration once more
README.md           the model card
"""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

from safetensors import SafetensorError, safe_open

from healswin.zoo.config import ModelConfig

if TYPE_CHECKING:
    from torch import Tensor

CONFIG = "config.json"
WEIGHTS = "model.safetensors"
CARD = "README.md"
FILES = (CONFIG, WEIGHTS, CARD)

# Where config.json states the hash of the weights, and the header of the weights the configuration.
_HASH = "weights_sha256"
_HEADER = "healswin"


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file's bytes, in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_model_files(
    folder: Path, config: ModelConfig, weights: dict[str, Tensor], card: str | None
) -> None:
    """Write a model's folder; each file appears whole, the configuration last.

    Args:
        folder: Made if it is not there.
        config: Of the model.
        weights: The network's state dict.
        card: Text of README.md; None leaves the file alone.

    Raises:
        OSError: If a file cannot be written.
    """
    from safetensors.torch import save

    folder.mkdir(parents=True, exist_ok=True)
    # One entry only: of several the order changes from run to run, and the file's hash with it.
    header = {_HEADER: json.dumps(config.to_dict())}
    stored = {name: value.detach().cpu().contiguous() for name, value in weights.items()}
    content = save(stored, header)
    described = {**config.to_dict(), _HASH: hashlib.sha256(content).hexdigest()}
    _write(folder / WEIGHTS, content)
    if card is not None:
        _write(folder / CARD, card.encode())
    _write(folder / CONFIG, (json.dumps(described, indent=2) + "\n").encode())


def read_config(path: Path) -> tuple[ModelConfig, str | None]:
    """The configuration of a ``config.json``, and the SHA-256 that the weights beside it must have.

    Raises:
        ValueError: If the file is not there or not what it must be; the message names it.
    """
    if not path.is_file():
        raise ValueError(f"{path} is missing: the folder of a model holds {CONFIG} and {WEIGHTS}")
    try:
        values = json.loads(path.read_bytes())
        digest = values.pop(_HASH, None) if isinstance(values, dict) else None
        return ModelConfig.from_dict(values), digest
    except ValueError as error:  # of the JSON, of its encoding, or of a field
        raise ValueError(f"{path}: {error}") from None


def read_weights(path: Path, digest: str | None = None) -> dict[str, Tensor]:
    """The tensors of a safetensors file, on the CPU.

    Args:
        path: The file.
        digest: The SHA-256 it must have; not checked if None.

    Raises:
        ValueError: If the file is not there, damaged, or another one than the hash says.
    """
    if not path.is_file():
        raise ValueError(f"{path} is missing: the folder of a model holds {CONFIG} and {WEIGHTS}")
    if digest is not None and (found := sha256_of(path)) != digest:
        raise ValueError(
            f"{path} has the SHA-256 {found}, {digest} was stated: the file is damaged or belongs "
            "to another model; get it again"
        )
    try:
        with safe_open(path, framework="pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except SafetensorError as error:
        raise ValueError(f"{path} is no whole safetensors file: {error}") from None


def read_header(path: Path) -> ModelConfig | None:
    """The configuration in the header of a safetensors file; None if it has none.

    Raises:
        ValueError: If the file is not there or damaged, or the configuration is not valid.
    """
    if not path.is_file():
        raise ValueError(f"{path} does not exist")
    try:
        with safe_open(path, framework="pt") as file:
            text = (file.metadata() or {}).get(_HEADER)
    except SafetensorError as error:
        raise ValueError(f"{path} is no whole safetensors file: {error}") from None
    try:
        return None if text is None else ModelConfig.from_dict(json.loads(text))
    except ValueError as error:
        raise ValueError(f"the header of {path}: {error}") from None


def as_half(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Real numbers as float16; whole numbers, such as counters, stay.

    Raises:
        ValueError: If a value is too large for float16.
    """
    import torch

    halved = {k: v.to(torch.float16) if v.is_floating_point() else v for k, v in weights.items()}
    for name, value in halved.items():
        if value.isinf().any() and not weights[name].isinf().any():
            raise ValueError(f"half=True: {name} has values above 65504, too large for float16")
    return halved


def _write(path: Path, content: bytes) -> None:
    # The name of the process: two of them may write the same model at once.
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        partial.write_bytes(content)
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)
