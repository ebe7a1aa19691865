"""The command ``healswin models``: list, info, fetch, verify, save, index."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from healswin.outcome import status_of

if TYPE_CHECKING:
    from healswin.zoo.config import ModelConfig
    from healswin.zoo.entries import Entry
    from healswin.zoo.model import ZooModel

# Columns of the list.
_COLUMNS = ("name", "task", "grid", "size", "measured", "where")
_WIDTH = 78


def main(args: Sequence[str]) -> int:
    """Run the command.

    Args:
        args: Arguments after ``healswin models``.

    Returns:
        Exit status: 0; 1 if a model does not pass ``verify``; 2 for input that cannot be used,
        with one line that says why. With HEALSWIN_TRACEBACK in the environment the error is raised
        instead.
    """
    arguments = _parser().parse_args(args)
    return status_of(lambda: arguments.run(arguments))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="healswin models",
        description="Trained models. HEALSWIN_CACHE is the folder of downloads (default: "
        "~/.cache/healswin), HEALSWIN_OFFLINE=1 forbids them, HEALSWIN_ZOO_INDEX names an index "
        "of more models (a file or an http address).",
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    model = "an entry, a folder, a .safetensors or .ckpt file, or hf-hub:OWNER/NAME@REVISION"

    listing = commands.add_parser("list", help="names of the entries, and what they are")
    listing.add_argument(
        "pattern", metavar="PATTERN", nargs="?", default="*", help="e.g. 'healswin_*'"
    )
    listing.set_defaults(run=_list)

    info = commands.add_parser("info", help="everything that is known of a model")
    info.add_argument("model", metavar="MODEL", help=model)
    info.set_defaults(run=_info)

    fetch = commands.add_parser("fetch", help="download an entry; say where it is")
    fetch.add_argument("name", metavar="NAME")
    fetch.set_defaults(run=_fetch)

    verify = commands.add_parser("verify", help="check the hashes of files, and run models once")
    verify.add_argument(
        "models",
        metavar="MODEL",
        nargs="*",
        help=f"{model} (default: all entries that are on this machine)",
    )
    verify.set_defaults(run=_verify)

    save = commands.add_parser("save", help="make a folder of the zoo from a training run")
    add = save.add_argument
    add("source", metavar="CKPT", help="RUN/checkpoints/best.ckpt, or another model")
    add("folder", metavar="FOLDER", type=Path, help="config.json, model.safetensors, README.md")
    add("--name", help="of the model (default: that of the folder)")
    add("--half", action="store_true", help="store the weights as float16")
    add("--data", default="", help="for the card: what it was trained on, and where that is from")
    add("--licence", default="", help="for the card: of the weights, e.g. MIT")
    add("--command", default="", help="for the card: the command that made the weights")
    add("--hardware", default="", help="for the card: what it ran on, and how long")
    add("--limits", default="", help="for the card: what the model is not good for")
    add(
        "--metric",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="what was measured, e.g. test/accuracy=0.98, in place of what the checkpoint says; "
        "may be repeated",
    )
    add("--overwrite", action="store_true", help="replace a model that is in the folder")
    save.set_defaults(run=_save)

    index = commands.add_parser("index", help="write index.json over a folder of models")
    index.add_argument("folder", metavar="FOLDER", type=Path)
    index.add_argument(
        "--url", help="address where the folder will be published (default: beside the index)"
    )
    index.set_defaults(run=_index)
    return parser


def _list(arguments: argparse.Namespace) -> int:
    from healswin.zoo.entries import find_entry, list_entries

    names = list_entries(arguments.pattern)
    if not names:
        print(f"no entry matches {arguments.pattern!r}")
        return 0
    rows = [_COLUMNS, *(_row(find_entry(name)) for name in names)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_COLUMNS))]
    for row in rows:
        cells = (f"{cell:{width}}" for cell, width in zip(row, widths, strict=True))
        print("  ".join(cells).rstrip())
    return 0


def _row(entry: Entry) -> tuple[str, ...]:
    from healswin.zoo.files import CONFIG, read_config

    size = f"{entry.size / 1e6:.1f} MB"
    path = entry.folder / CONFIG
    if not path.is_file():
        return entry.name, "?", "?", size, "?", f"{entry.location} (not fetched)"
    config, _ = read_config(path)
    measured = next((f"{name} {value:.4g}" for name, value in config.metrics.items()), "nothing")
    return entry.name, config.task, grid_name(config), size, measured, _place(entry)


def _place(entry: Entry) -> str:
    from healswin.zoo.entries import PACKAGED

    if isinstance(entry.location, str):
        return f"{entry.location} (fetched)"
    return "packaged" if entry.location.parent == PACKAGED else str(entry.location)


def _info(arguments: argparse.Namespace) -> int:
    from healswin.zoo.load import load_model

    model = load_model(arguments.model)
    for name, value in _facts(model):
        first, *more = _wrapped(value)
        print(f"{name:13} {first}")
        for line in more:
            print(f"{'':13} {line}")
    return 0


def _facts(model: ZooModel) -> list[tuple[str, str]]:
    """Everything that is known of a model, in lines of a name and a text."""
    from healswin.zoo.config import CARD_FIELDS

    config = model.config
    parameters = sum(parameter.numel() for parameter in model.parameters())
    settings = ", ".join(f"{name}={value}" for name, value in config.arguments.items())
    facts = [
        ("name", config.name),
        ("task", config.task),
        ("network", f"{config.model}, {parameters:,} parameters; {settings or 'as it is named'}"),
        ("grid", f"{grid_name(config)}, {model.grid.num_pixels:,} pixels"),
        ("pole", config.pole),
        ("up", "not stated" if config.up is None else str(config.up)),
        ("input", f"{config.in_chans} channels, {config.image_dtype}"),
        ("mean", ", ".join(f"{value:.4g}" for value in config.image_mean) or "not stated"),
        ("deviation", ", ".join(f"{value:.4g}" for value in config.image_std) or "not stated"),
        ("classes", ", ".join(config.class_names) or f"{config.num_classes} channels"),
    ]
    if config.depth is not None:
        facts.append(("depth", ", ".join(f"{name} {v}" for name, v in config.depth.items())))
    data = ", ".join(f"{name} {value}" for name, value in config.data.items())
    facts.append(("data set", data or "not stated"))
    facts += [(name, config.card.get(name, "not stated")) for name in CARD_FIELDS]
    measured = "\n".join(f"{name} {value:.4g}" for name, value in config.metrics.items())
    facts.append(("measured", measured or "nothing"))
    return facts


def grid_name(config: ModelConfig) -> str:
    """The grid of a model in words, e.g. "HEALPix 64, 8 of 12 base pixels"."""
    grid = config.grid
    if grid["grid"] == "healpix":
        faces = len(grid["base_pixels"])
        return f"HEALPix {grid['nside']}" + ("" if faces == 12 else f", {faces} of 12 base pixels")
    if grid["grid"] == "image":
        return f"image {grid['width']} x {grid['height']}"
    return f"{grid['grid']} {grid['bandwidth']}"


def _wrapped(text: str) -> list[str]:
    import textwrap

    return [
        line
        for paragraph in text.splitlines() or [""]
        for line in textwrap.wrap(paragraph, _WIDTH, break_long_words=False) or [""]
    ]


def _fetch(arguments: argparse.Namespace) -> int:
    from healswin.zoo.entries import entry_folder, find_entry

    entry = find_entry(arguments.name)
    folder = entry_folder(arguments.name)
    print(f"{entry.name}: {folder} ({_place(entry)}, {entry.size / 1e6:.1f} MB)")
    return 0


def _verify(arguments: argparse.Namespace) -> int:
    from healswin.zoo.entries import find_entry, list_entries
    from healswin.zoo.files import CONFIG

    here = [name for name in list_entries() if (find_entry(name).folder / CONFIG).is_file()]
    models = arguments.models or here
    if not models:
        print("no entry is on this machine: healswin models list")
        return 0
    failed = 0
    for name in models:
        try:
            print(f"{name}: {_checked(name)}")
        except (ValueError, OSError, RuntimeError) as error:
            failed += 1
            print(f"{name}: FAILED: {error}", file=sys.stderr)
    if failed:
        print(f"healswin: {failed} of {len(models)} models failed", file=sys.stderr)
    return 1 if failed else 0


def _checked(name: str) -> str:
    """What is right with a model: its hashes, and its answer to a map of one value.

    Raises:
        ValueError: If a file is not the one that was stated, or the answer is not finite.
    """
    import torch

    from healswin.zoo.load import load_model

    # Loading checks the hashes that index and config.json state.
    model = load_model(name)
    config = model.config
    normalised = torch.zeros(1, config.in_chans, model.grid.num_pixels)
    with torch.inference_mode():
        answer = model(normalised)
    if not answer.isfinite().all():
        raise ValueError("its answer to a constant map is not finite")
    shape = " x ".join(map(str, answer.shape[1:]))
    return f"files as stated, {config.task} of {shape} values is finite"


def _save(arguments: argparse.Namespace) -> int:
    import dataclasses

    from healswin.zoo.card import ModelCard
    from healswin.zoo.config import CARD_FIELDS
    from healswin.zoo.files import CONFIG, WEIGHTS
    from healswin.zoo.load import load_model

    folder = arguments.folder
    if (folder / CONFIG).exists() and not arguments.overwrite:
        raise ValueError(f"{folder} holds a model already: choose another folder, or --overwrite")
    metrics = dict(_metric(text) for text in arguments.metric)
    model = load_model(arguments.source)
    name = arguments.name or folder.resolve().name
    changed = {"name": name, **({"metrics": metrics} if metrics else {})}
    model.config = dataclasses.replace(model.config, **changed)
    stated = {field: getattr(arguments, field) for field in CARD_FIELDS}
    card = ModelCard.from_dict({**model.config.card, **{k: v for k, v in stated.items() if v}})
    model.save_pretrained(folder, card=card, half=arguments.half)
    size = (folder / WEIGHTS).stat().st_size
    silent = [field for field in CARD_FIELDS if field not in card.to_dict()]
    print(f"{folder}: {name}, weights of {size / 1e6:.2f} MB")
    if silent:
        print(f"the card does not state: {', '.join(silent)}")
    return 0


def _metric(text: str) -> tuple[str, float]:
    name, equals, value = text.rpartition("=")
    try:
        if name and equals:
            return name, float(value)
    except ValueError:
        pass
    raise ValueError(f"--metric {text} must be NAME=VALUE, e.g. test/accuracy=0.98")


def _index(arguments: argparse.Namespace) -> int:
    from healswin.zoo.entries import write_index

    if not arguments.folder.is_dir():
        raise ValueError(f"{arguments.folder} is no folder")
    print(write_index(arguments.folder, arguments.url))
    return 0
