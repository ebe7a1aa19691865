"""From a name, a folder, a file or a hub to a model.

Files are read as data: tensors and plain values. A file that would need code to run is refused.
"""

from __future__ import annotations

import dataclasses
import pickle
import re
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from healswin import models
from healswin.grid import Grid
from healswin.models import network_name
from healswin.zoo.config import ModelConfig
from healswin.zoo.entries import entry_folder, list_entries, packaged_entries
from healswin.zoo.files import CONFIG, WEIGHTS, read_config, read_header, read_weights
from healswin.zoo.hub import PREFIX, hub_folder
from healswin.zoo.legacy import is_published, load_published
from healswin.zoo.model import ZooModel

# Class of the task, as a checkpoint names it -> task, and where it states its classes, if any.
_TASKS = {
    "SegmentationTask": ("segmentation", "class_names"),
    "ClassificationTask": ("classification", "label_names"),
    "DepthTask": ("depth", None),
}


def load_model(x: str | Path, *, device: str | torch.device = "cpu") -> ZooModel:
    """A trained model, ready to predict.

    Args:
        x: One of

            - the name of an entry, see `healswin.zoo.list_entries`,
            - a folder with config.json and model.safetensors,
            - a .safetensors file, with its configuration in its header or beside it,
            - a Lightning checkpoint (.ckpt) of this library's command line, or of the published
              HEAL-SWIN and S2CNN code,
            - "hf-hub:owner/name" or "hf-hub:owner/name@revision" on the Hugging Face hub.

            The name of an entry that the package brings goes before a folder of that name in
            the working folder, which "./name" means.
        device: Where to put the network.

    Returns:
        The model in evaluation mode, with weights in float32.

    Raises:
        ValueError: If there is no such model, a file is missing, damaged or would need code to
            run, or configuration and weights do not fit; the message says which.
        healswin.zoo.DownloadError: If it must be downloaded and cannot be.
    """
    model = _load(x)
    try:
        return model.to(device).eval()
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise ValueError(f"device={str(device)!r} cannot be used: {reason}") from None


def create_model(
    name: str,
    grid: Grid | None = None,
    in_chans: int | None = None,
    num_classes: int | None = None,
    *,
    pretrained: bool = False,
    features_only: bool = False,
    **arguments: object,
) -> nn.Module:
    """Build a network with fresh weights by its name, or a trained model.

    Args:
        name: One of `healswin.list_models`; with ``pretrained=True`` an entry of the zoo, or a
            model that has exactly one entry.
        grid: Grid of the maps. A trained model has its own; given another, its weights are used
            there, if the network allows it (`healswin.zoo.ZooModel.with_grid`).
        in_chans: Channels of the input; 3 by default, or those of the trained model.
        num_classes: Channels of the output; 10 by default, or those of the trained model. Another
            number gives a trained model a fresh last layer.
        pretrained: Whether to load trained weights.
        features_only: Only the encoder, see `healswin.models.create_model`; not for trained models.
        **arguments: Arguments of the network that differ from the named configuration, such as
            ``drop_path=0.2``.

    Returns:
        The network, or with ``pretrained=True`` a `healswin.zoo.ZooModel` in training mode.

    Raises:
        ValueError: If the name is not known, the grid is missing, or what is given does not fit
            the network or its weights.
        healswin.zoo.DownloadError: If it must be downloaded and cannot be.
    """
    if not pretrained:
        if grid is None:
            raise ValueError(
                "grid is missing: a network with fresh weights needs one, e.g. HealpixGrid(64)"
            )
        return models.create_model(
            name,
            grid,
            3 if in_chans is None else in_chans,
            10 if num_classes is None else num_classes,
            features_only=features_only,
            **arguments,
        )
    if features_only:
        raise ValueError(
            "features_only=True with pretrained=True: load the whole model and use its "
            "network.forward_features or network.encoder"
        )
    config, weights = _read_folder(entry_folder(_entry_of(name)))
    if in_chans not in (None, config.in_chans):
        raise ValueError(f"in_chans={in_chans}: {config.name} has {config.in_chans}")
    config = dataclasses.replace(config, arguments={**config.arguments, **arguments})
    model = build_model(config, weights, f"the entry {config.name!r}")
    if grid is not None and grid != model.grid:
        model = model.with_grid(grid)
    if num_classes not in (None, config.num_classes):
        model.reset_classifier(num_classes)
    return model.train()


def build_model(config: ModelConfig, weights: Mapping[str, Tensor], source: str) -> ZooModel:
    """The model that a configuration describes, with these weights in float32.

    Args:
        config: Construction and use.
        weights: State dict of the network.
        source: Where they come from, for messages.

    Raises:
        ValueError: If the network cannot be built, or its weights have other names or shapes.
    """
    try:
        # Fresh weights are drawn only to be replaced: the caller's random numbers stay.
        with torch.random.fork_rng(devices=[]):
            network = models.create_model(
                config.model,
                config.make_grid(),
                config.in_chans,
                config.num_classes,
                **config.arguments,
            )
    except (ValueError, TypeError) as error:
        raise ValueError(f"{source} describes no network: {error}") from None
    ours = {name: tuple(value.shape) for name, value in network.state_dict().items()}
    theirs = {name: tuple(value.shape) for name, value in weights.items()}
    differing = [
        f"{name} {theirs[name]} instead of {ours[name]}"
        for name in ours
        if name in theirs and ours[name] != theirs[name]
    ]
    problems = {
        "missing": [name for name in ours if name not in theirs],
        "not known": [name for name in theirs if name not in ours],
        "of another shape": differing,
    }
    found = [f"{_some(names)} {what}" for what, names in problems.items() if names]
    if found:
        raise ValueError(
            f"the weights of {source} do not fit the network {config.model}: {'; '.join(found)}"
        )
    network.load_state_dict(dict(weights))
    return ZooModel(config, network)


def _load(x: str | Path) -> ZooModel:
    if not isinstance(x, str | Path) or not str(x):
        raise ValueError(f"x={x!r} must be the name or the path of a model")
    if isinstance(x, str) and x.startswith(PREFIX):
        return _load_folder(hub_folder(x))
    path = Path(x)
    if isinstance(x, str) and _is_plain_name(x) and (x in packaged_entries() or not path.exists()):
        return _load_folder(entry_folder(x))
    if path.is_dir():
        return _load_folder(path)
    if not path.exists():
        raise ValueError(f"{path} does not exist")
    if path.suffix == ".safetensors":
        return _load_safetensors(path)
    if path.name == CONFIG:
        return _load_folder(path.parent)
    return _load_checkpoint(path)


def _is_plain_name(x: str) -> bool:
    return Path(x).name == x and Path(x).suffix not in (".safetensors", ".ckpt", ".pt", ".pth")


def _entry_of(name: str) -> str:
    """The entry with this name, or the one entry of the model with this name."""
    entries = list_entries()
    if name in entries or name not in models.list_models():
        return name
    of_model = [entry for entry in entries if entry.partition(".")[0] == name]
    if len(of_model) != 1:
        raise ValueError(
            f"the model {name!r} has {len(of_model)} entries {of_model}, name one of them; all "
            f"entries are {entries}"
        )
    return of_model[0]


def _read_folder(folder: Path) -> tuple[ModelConfig, dict[str, Tensor]]:
    config, digest = read_config(folder / CONFIG)
    return config, read_weights(folder / WEIGHTS, digest)


def _load_folder(folder: Path) -> ZooModel:
    return build_model(*_read_folder(folder), str(folder))


def _load_safetensors(path: Path) -> ZooModel:
    beside = path.with_name(CONFIG)
    if path.name == WEIGHTS and beside.exists():
        return _load_folder(path.parent)
    config = read_header(path)
    if config is None:
        if not beside.exists():
            raise ValueError(
                f"{path} says nothing of its network: neither its header nor a {CONFIG} beside it"
            )
        config, _ = read_config(beside)
    return build_model(config, read_weights(path), str(path))


def _load_checkpoint(path: Path) -> ZooModel:
    checkpoint, refusal = _read_pickle(path)
    if isinstance(checkpoint, dict) and "healswin" in checkpoint:
        try:
            config, weights = _of_checkpoint(path, checkpoint)
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"{path} lacks something or is damaged: {error!r}") from None
        return build_model(config, weights, str(path))
    if is_published(path):
        return build_model(*load_published(path), str(path))
    if refusal:
        raise ValueError(f"{path} is not loaded: {refusal}")
    raise ValueError(
        f"{path} is no checkpoint of healswin's command line nor of the published code: it does "
        "not say which network its weights belong to"
    )


def _read_pickle(path: Path) -> tuple[Any, str | None]:
    """The plain values and tensors of a checkpoint, or why it is not read."""
    try:
        with warnings.catch_warnings():
            # Of pickles that torch did not write; those that cannot be read are errors.
            warnings.filterwarnings("ignore", "Detected pickle protocol", UserWarning)
            return torch.load(path, map_location="cpu", weights_only=True), None
    except pickle.UnpicklingError:
        names = _code_in(path)
        what = f"it holds objects of {_some(names)}" if names else "it holds more than tensors"
        return None, f"{what}, and reading those would run code that the file chooses"
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror}") from None
    except (RuntimeError, EOFError, ValueError, KeyError, IndexError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        return None, f"it is no whole checkpoint ({reason})"


def _code_in(path: Path) -> list[str]:
    """Names of what a checkpoint would import; found without importing it."""
    try:
        return sorted(torch.serialization.get_unsafe_globals_in_checkpoint(path))
    except Exception:  # an old or damaged file, whose names cannot be listed
        return []


def _of_checkpoint(
    path: Path, checkpoint: Mapping[str, Any]
) -> tuple[ModelConfig, dict[str, Tensor]]:
    """What a checkpoint of `healswin.tasks.Task`, trained by the command line, says of itself."""
    arguments = checkpoint["hyper_parameters"]
    network = arguments.get("network")
    class_path = arguments.get("_class_path")
    if not isinstance(network, Mapping) or not class_path:
        raise ValueError(
            f"{path} does not say which network its weights belong to, as checkpoints of "
            "`healswin fit` do: make the network, load the task's checkpoint, and save it with "
            "healswin.zoo.ZooModel(config, task.network).save_pretrained(folder)"
        )
    task_class = class_path.rpartition(".")[2]
    if task_class not in _TASKS:
        raise ValueError(f"{path} is of the task {class_path!r}, known are {sorted(_TASKS)}")
    task, named = _TASKS[task_class]
    names = () if named is None else tuple(arguments[named])
    depth = _depth(checkpoint["healswin"]) if task == "depth" else None
    # Of the data it was trained on; older checkpoints say less.
    data = checkpoint.get("PreparedDataModule", {})
    up = data.get("up")
    colours = data.get("class_colours", ()) if task == "segmentation" else ()
    try:
        model = network_name(network["class_path"])
        config = ModelConfig(
            name=_name_of_run(path, model),
            task=task,
            model=model,
            arguments=network.get("init_args", {}),
            grid=arguments["grid"],
            in_chans=arguments["in_chans"],
            num_classes=len(names) if depth is None else 1 + depth["log_variance"],
            pole=checkpoint["healswin"]["pole"],
            up=None if up is None else tuple(up),
            class_names=names,
            class_colours=tuple(tuple(colour) for colour in colours),
            image_dtype=data.get("image_dtype", "uint8"),
            image_mean=tuple(data.get("image_mean", ())),
            image_std=tuple(data.get("image_std", ())),
            depth=depth,
            data=data.get("data", {}),
            metrics=_score(path, checkpoint),
        )
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
    prefix = "network."
    weights = {
        name.removeprefix(prefix): value
        for name, value in checkpoint["state_dict"].items()
        if name.startswith(prefix)
    }
    return config, weights


def _depth(identity: Mapping[str, Any]) -> dict[str, Any]:
    """How the answers of a depth task's network become metres, as `ModelConfig` states it."""
    return {**identity["depth_scale"], "log_variance": identity["log_variance"]}


def _name_of_run(path: Path, model: str) -> str:
    """A name such as "healswin.quickstart" of runs/quickstart/checkpoints/best.ckpt."""
    folder = path.resolve().parent
    run = folder.parent.name if folder.name == "checkpoints" else path.stem
    return f"{model}.{re.sub(r'[^A-Za-z0-9._-]+', '-', run)}"


def _score(path: Path, checkpoint: Mapping[str, Any]) -> dict[str, float]:
    """The monitored value of the epoch that was kept as the best, in that epoch's file."""
    for state in checkpoint.get("callbacks", {}).values():
        if not isinstance(state, Mapping) or not state.get("monitor"):
            continue
        if Path(state.get("best_model_path", "")).name == path.name:
            return {state["monitor"]: float(state["best_model_score"])}
    return {}


def _some(names: list[str]) -> str:
    """A few of the names."""
    more = len(names) - 3
    return ", ".join(names[:3]) + (f" and {more} more" if more > 0 else "")
