"""The model card: a README.md for people, with a head that model hubs read."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass

import yaml

from healswin.zoo.config import ModelConfig

SECTIONS = ("Use", "Data", "Licence", "Command", "Hardware", "Metrics", "Limits")
_NOT_STATED = "not stated"

# Names of licences as model hubs spell them; what is none of them is "other".
_HUB_LICENCES = (
    "apache-2.0",
    "bsd-2-clause",
    "bsd-3-clause",
    "cc-by-4.0",
    "cc-by-nc-4.0",
    "cc-by-nc-sa-4.0",
    "cc-by-sa-4.0",
    "cc0-1.0",
    "gpl-3.0",
    "mit",
)
_HUB_TASKS = {
    "segmentation": "image-segmentation",
    "classification": "image-classification",
    "depth": "depth-estimation",
}


@dataclass(frozen=True)
class ModelCard:
    """What a card says that a configuration does not know. Empty means not stated.

    Args:
        data: What the model was trained on, and where it comes from.
        licence: Of the weights, e.g. "MIT".
        command: That made the weights.
        hardware: It ran on, and how long it took.
        limits: What the model is not good for.
    """

    data: str = ""
    licence: str = ""
    command: str = ""
    hardware: str = ""
    limits: str = ""

    @classmethod
    def from_dict(cls, texts: Mapping[str, str]) -> ModelCard:
        """The card with these texts.

        Raises:
            ValueError: If a name is not known.
        """
        known = [field.name for field in dataclasses.fields(cls)]
        unknown = sorted(set(texts) - set(known))
        if unknown:
            raise ValueError(f"a model card has no {unknown}, it has {known}")
        return cls(**texts)

    def to_dict(self) -> dict[str, str]:
        """The texts that are stated."""
        return {name: text for name, text in dataclasses.asdict(self).items() if text}


def model_card(config: ModelConfig) -> str:
    """The text of a model's README.md: a head in YAML, then a section for each of `SECTIONS`."""
    card = ModelCard.from_dict(config.card)
    command = f"```\n{card.command}\n```" if card.command else _NOT_STATED
    sections = {
        "Use": _use(config),
        "Data": "\n\n".join(filter(None, (card.data, _data_set(config)))) or _NOT_STATED,
        "Licence": card.licence or _NOT_STATED,
        "Command": command,
        "Hardware": card.hardware or _NOT_STATED,
        "Metrics": _metrics(config),
        "Limits": card.limits or _NOT_STATED,
    }
    head = yaml.safe_dump(_head(config, card), sort_keys=False, allow_unicode=True)
    body = "\n\n".join(f"## {title}\n\n{sections[title]}" for title in SECTIONS)
    return f"---\n{head}---\n\n# {config.name}\n\n{_summary(config)}\n\n{body}\n"


def _head(config: ModelConfig, card: ModelCard) -> dict[str, object]:
    head: dict[str, object] = {}
    if card.licence.lower() in _HUB_LICENCES:
        head["license"] = card.licence.lower()
    elif card.licence:
        head["license"] = "other"
        head["license_name"] = card.licence.splitlines()[0]
    head["library_name"] = "healswin"
    head["pipeline_tag"] = _HUB_TASKS[config.task]
    head["tags"] = ["healswin", "spherical", config.grid["grid"], config.task]
    if config.metrics:
        data_set = config.data.get("name", _NOT_STATED)
        result = {
            "task": {"type": _HUB_TASKS[config.task]},
            "dataset": {"name": data_set, "type": data_set},
            "metrics": [{"type": name, "value": value} for name, value in config.metrics.items()],
        }
        head["model-index"] = [{"name": config.name, "results": [result]}]
    return head


def _summary(config: ModelConfig) -> str:
    grid = ", ".join(f"{name} {value}" for name, value in config.grid.items() if name != "grid")
    return (
        f"{config.task.capitalize()} with `{config.model}` on the {config.grid['grid']} grid "
        f"({grid}; pole: {config.pole}), {config.in_chans} channels in, {config.num_classes} out."
    )


def _use(config: ModelConfig) -> str:
    maps = f"(batch, {config.in_chans}, {config.make_grid().num_pixels}) {config.image_dtype}"
    answer = {
        "segmentation": "(batch, pixels) classes",
        "classification": "(batch,) labels",
        "depth": "(batch, pixels) metres",
    }[config.task]
    code = (
        "```python\n"
        "import healswin\n\n"
        f'model = healswin.load_model("{config.name}")  # or the path of this folder\n'
        f"model.predict(maps)  # {maps} -> {answer}\n"
        "```"
    )
    if config.class_names:
        code += f"\n\nClasses: {', '.join(config.class_names)}."
    return code


def _data_set(config: ModelConfig) -> str:
    if "name" not in config.data:
        return ""
    text = f"Prepared set `{config.data['name']}`"
    if "fingerprint" in config.data:
        text += f", fingerprint `{config.data['fingerprint']}`"
    return text + "."


def _metrics(config: ModelConfig) -> str:
    if not config.metrics:
        return _NOT_STATED
    rows = "\n".join(f"| {name} | {value:.4g} |" for name, value in config.metrics.items())
    return f"Of the weights as stored.\n\n| metric | value |\n| --- | --- |\n{rows}"
