"""Every value of a prepared set, looked at: ``healswin-prep inspect --verify``.

Chunks carry a checksum, so that reading them finds what a disk or a copy damaged. What is read is
held against the format (docs/data_format.md): a set that another tool wrote or changed may be
readable and wrong.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float32, Shaped, UInt8

from data_prep.progress import progress_bar
from healswin.data.shards import ShardedRows, is_sharded, shard_size
from healswin.data.store import ChunkRows, PreparedSet, open_rows
from healswin.grid import HealpixGrid

# So many damages are told; the rest is counted.
_TOLD = 5

_ATTRIBUTES = (
    *("grid", "pole", "up", "tasks", "ignore_index", "cameras"),
    *("sample_names", "sample_camera", "source_root", "sources", "split"),
    *("image_mean", "image_std", "class_names", "class_colours", "class_frequencies"),
)


def verify(data: Path, progress: bool = True) -> str:
    """Read and check the attributes and every chunk of every array.

    Args:
        data: A whole prepared set.
        progress: Show a progress bar on stderr.

    Returns:
        How much was found to be right.

    Raises:
        ValueError: If something is wrong; the message names array, sample and file of the first
            few damages and counts the others.
    """
    prepared = PreparedSet.open(data)
    arrays = ("image", *prepared.tasks)
    # What is wrong with the attributes or the arrays as a whole is wrong with every sample, and a
    # damaged field of view with all samples of its camera: each of them is told alone.
    _refuse(prepared, list(_attribute_damages(prepared)))
    _refuse(prepared, list(_layout_damages(prepared)))
    cameras = [camera["key"] for camera in prepared.attributes["cameras"]]
    chunks = len(cameras) + len(arrays) * len(prepared)
    rows = {name: open_rows(prepared.root, name) for name in (*arrays, "valid")}
    # Tens of thousands of samples may share a field of view.
    valid_of = lru_cache(maxsize=16)(prepared.valid)
    with progress_bar(chunks, 0, progress, "verifying") as advance:
        damages = []
        for row in range(len(cameras)):
            _, damage = _read(rows["valid"], row)
            damages += _placed(prepared, "valid", rows["valid"], row, damage)
            advance()
        _refuse(prepared, damages)
        for index, camera in enumerate(prepared.sample_camera):
            valid = valid_of(camera)
            for name in arrays:
                values, damage = _read(rows[name], index)
                if values is not None:
                    damage = _damage_of(prepared, name, values, valid)
                damages += _placed(prepared, name, rows[name], index, damage)
                advance()
    _refuse(prepared, damages)
    names = ", ".join((*arrays, "valid"))
    return f"verified: {len(prepared)} samples, all {chunks} chunks of {names} are whole and right"


def _refuse(prepared: PreparedSet, damages: list[str]) -> None:
    if not damages:
        return
    told = "\n".join(f"  {damage}" for damage in damages[:_TOLD])
    more = f"\n  and {len(damages) - _TOLD} more" if len(damages) > _TOLD else ""
    raise ValueError(
        f"{prepared.root} is damaged, copy or convert it again (convert --overwrite):\n{told}{more}"
    )


def _attribute_damages(prepared: PreparedSet) -> Iterator[str]:
    """What contradicts itself in the group's attributes."""
    attributes = prepared.attributes
    missing = [name for name in _ATTRIBUTES if name not in attributes]
    if missing:
        yield f"zarr.json: the attributes {', '.join(missing)} are missing"
        return
    try:
        grid = prepared.grid
    except ValueError as error:
        yield f"the grid cannot be read: {error}"
        return
    if isinstance(grid, HealpixGrid) and attributes.get("order") != "nested":
        yield f"zarr.json: order is {attributes.get('order')!r}, pixels are in nested order"
    samples = len(prepared)
    for name in ("sample_camera", "sample_scene", "sources"):
        if len(attributes.get(name, prepared.sample_names)) != samples:
            yield f"zarr.json: {name} has {len(attributes[name])} entries for {samples} samples"
    keys = [camera["key"] for camera in attributes["cameras"]]
    for what, names in (("sample", prepared.sample_names), ("camera", keys)):
        doubled = [name for name, count in Counter(names).items() if count > 1]
        if doubled:
            yield f"zarr.json: two {what}s are called {doubled[0]!r}"
    strange = set(prepared.sample_camera) - set(keys)
    if strange:
        yield f"zarr.json: samples were taken by {sorted(strange)}, the cameras are {keys}"
    yield from _split_damages(prepared)
    if len(prepared.image_std) != prepared.num_channels:
        yield f"zarr.json: image_mean has {prepared.num_channels} values, image_std another number"
    for name in (
        *("image_mean", "image_std", "class_frequencies", "class_weights", "label_frequencies"),
    ):
        if not np.isfinite(np.array(attributes.get(name, []), dtype=np.float64)).all():
            yield f"zarr.json: {name} holds what is no number: {attributes[name]}"
    for name in ("class_frequencies", "label_frequencies"):
        total = sum(attributes.get(name, []))
        if total > 1 + 1e-9:
            yield f"zarr.json: {name} sum to {total}, above 1"
    if "label" in prepared.tasks and not prepared.label_names:
        yield "zarr.json: label_names is missing: which label each number is"
    if len(prepared.label_frequencies) != len(prepared.label_names):
        yield (
            f"zarr.json: label_frequencies has {len(prepared.label_frequencies)} entries for "
            f"{len(prepared.label_names)} labels"
        )
    labelled = any("semantic" in files for files in attributes["sources"])
    if labelled and not attributes.get("class_map"):
        yield "zarr.json: class_map is missing: which class each id of the source is"
    for name in ("semantic", "depth", "label"):
        if name not in prepared.tasks and (prepared.root / name).exists():
            yield f"zarr.json: there is an array {name!r} that tasks={prepared.tasks} does not name"
    for name in ("class_colours", "class_frequencies", "class_weights"):
        if len(attributes.get(name, prepared.class_names)) != prepared.num_classes:
            yield (
                f"zarr.json: {name} has {len(attributes[name])} entries for "
                f"{prepared.num_classes} classes"
            )
    try:
        _ = prepared.cameras
    except ValueError as error:
        yield f"zarr.json: a calibration cannot be read: {error}"


def _split_damages(prepared: PreparedSet) -> Iterator[str]:
    samples = len(prepared)
    part_of: dict[int, str] = {}
    for part, indices in prepared.split.items():
        for index in indices:
            if not (isinstance(index, int) and 0 <= index < samples):
                yield f"zarr.json: split {part!r} holds {index!r}, samples are 0..{samples - 1}"
            elif index in part_of:
                yield f"zarr.json: sample {index} is in the splits {part_of[index]!r} and {part!r}"
            else:
                part_of[index] = part
    if "train" not in prepared.split:
        yield "zarr.json: there is no split 'train'"


def _layout_damages(prepared: PreparedSet) -> Iterator[str]:
    """Arrays whose shape, dtype or chunks are not those of the format."""
    samples, pixels = len(prepared), prepared.grid.num_pixels
    image_dtype = prepared.image_dtype
    expected = {
        "image": ((samples, pixels, prepared.num_channels), image_dtype),
        "semantic": ((samples, pixels), "uint8"),
        "depth": ((samples, pixels), "float32"),
        "label": ((samples,), "int64"),
        "valid": ((len(prepared.attributes["cameras"]), pixels), "bool"),
    }
    for name in ("image", *prepared.tasks, "valid"):
        file = f"{name}/zarr.json"
        try:
            metadata = json.loads((prepared.root / file).read_text(encoding="utf-8"))
            found = (tuple(metadata["shape"]), metadata["data_type"])
            chunk = tuple(metadata["chunk_grid"]["configuration"]["chunk_shape"])
            sharded = is_sharded(metadata)
        except (ValueError, KeyError, TypeError) as error:
            yield f"{file} cannot be read: {error!r}"
            continue
        if found != expected[name]:
            (there, dtype), (wanted, wanted_dtype) = found, expected[name]
            yield f"{file}: {name} is {dtype} {there}, it should be {wanted_dtype} {wanted}"
        elif sharded:
            if name == "valid" or shard_size(metadata) is None:
                yield f"{file}: {name} has shards of another kind than those of the format"
        elif chunk != (1, *found[0][1:]):
            yield f"{file}: a chunk of {name} is {chunk}, it should be one row"


def _read(rows: ChunkRows | ShardedRows, row: int) -> tuple[np.ndarray | None, str]:
    """A row and "", or None and what is wrong with its chunk."""
    try:
        return rows.read(row), ""
    except FileNotFoundError:
        return None, "the chunk is missing"
    except (ValueError, OSError) as error:
        return None, f"the chunk cannot be read: {error}"


def _placed(
    prepared: PreparedSet, name: str, rows: ChunkRows | ShardedRows, row: int, damage: str
) -> list[str]:
    """The damage with its place, if there is one."""
    if not damage:
        return []
    if name == "valid":
        whose = f"camera {prepared.attributes['cameras'][row]['key']}"
    else:
        whose = f"sample {row} ({prepared.sample_names[row]})"
    return [f"{name} of {whose}, {rows.file(row).relative_to(prepared.root)}: {damage}"]


def _damage_of(
    prepared: PreparedSet,
    name: str,
    values: Shaped[np.ndarray, "*row"],
    valid: Bool[np.ndarray, " pixels"],
) -> str:
    """What is wrong with the values of a row, "" if nothing is."""
    if name == "image":
        return _image_damage(values, valid)
    if name == "semantic":
        outside = 0 if prepared.attributes.get("invalid") == "void" else prepared.ignore_index
        return _label_damage(values, valid, prepared.num_classes, prepared.ignore_index, outside)
    if name == "label":
        labels = len(prepared.label_names)
        right = 0 <= values < labels
        return "" if right else f"the label is {values}, there are 0..{labels - 1}"
    return _depth_damage(values, valid)


def _image_damage(
    image: Shaped[np.ndarray, "pixels channels"], valid: Bool[np.ndarray, " pixels"]
) -> str:
    return _where(~np.isfinite(image).all(axis=1), "not finite") or _where(
        image[~valid].any(axis=1), "not 0 outside `valid`"
    )


def _label_damage(
    labels: UInt8[np.ndarray, " pixels"],
    valid: Bool[np.ndarray, " pixels"],
    num_classes: int,
    ignore_index: int,
    outside: int,
) -> str:
    unknown = labels[(labels >= num_classes) & (labels != ignore_index)]
    if unknown.size:
        return (
            f"{unknown.size} pixels hold a class that there is not, e.g. {unknown[0]}; there are "
            f"0..{num_classes - 1} and {ignore_index}"
        )
    # The own vehicle's pixels are ignored also where all others that are not valid are void.
    hidden = labels[~valid]
    wrong = (hidden != outside) & (hidden != ignore_index)
    return _where(wrong, f"not {outside} outside `valid`")


def _depth_damage(depth: Float32[np.ndarray, " pixels"], valid: Bool[np.ndarray, " pixels"]) -> str:
    return _where(depth < 0, "negative") or _where(
        ~np.isnan(depth[~valid]), "not NaN outside `valid`"
    )


def _where(wrong: Bool[np.ndarray, " some"], what: str) -> str:
    count = np.count_nonzero(wrong)
    return f"{count} pixel{'s are' if count > 1 else ' is'} {what}" if count else ""
