import pytest
import yaml

from healswin.zoo import ModelCard, model_card
from healswin.zoo.card import SECTIONS
from healswin.zoo.config import CARD_FIELDS

WHOLE = ModelCard(
    data="Generated street scenes.",
    licence="MIT",
    command="healswin fit --config configs/quickstart.yaml",
    hardware="2 CPU cores, 9 minutes",
    limits="Has seen no photograph.",
)


def parts(text):
    """The head, and the text of each section."""
    _, head, body = text.split("---\n", 2)
    sections = dict(part.split("\n\n", 1) for part in body.split("\n## ")[1:])
    return yaml.safe_load(head), {title: text.strip() for title, text in sections.items()}


def test_a_card_says_what_is_stated(make_config):
    head, sections = parts(model_card(make_config(card=WHOLE.to_dict())))
    assert head["license"] == "mit"
    assert head["library_name"] == "healswin"
    assert head["pipeline_tag"] == "image-segmentation"
    assert {"healswin", "healpix", "segmentation"} <= set(head["tags"])
    (result,) = head["model-index"][0]["results"]
    assert result["metrics"] == [{"type": "test/miou", "value": 0.5}]
    assert result["dataset"]["name"] == "street"
    assert tuple(sections) == SECTIONS
    assert sections["Data"].startswith("Generated street scenes.\n\nPrepared set `street`")
    assert "`ab12`" in sections["Data"]
    assert sections["Licence"] == "MIT"
    assert "\nhealswin fit --config configs/quickstart.yaml\n" in sections["Command"]
    assert sections["Hardware"] == "2 CPU cores, 9 minutes"
    assert "| test/miou | 0.5 |" in sections["Metrics"]
    assert sections["Limits"] == "Has seen no photograph."
    assert 'load_model("healswin_tiny.town")' in sections["Use"]
    assert "(batch, 3, 512) uint8" in sections["Use"]


def test_what_is_not_stated_is_said_to_be(make_config):
    head, sections = parts(model_card(make_config(data={}, metrics={})))
    assert {s for s, text in sections.items() if text == "not stated"} == set(SECTIONS) - {"Use"}
    assert "license" not in head
    assert "model-index" not in head


def test_a_licence_that_hubs_do_not_know(make_config):
    text = "CC BY-NC: no commercial use\nand so on"
    head, sections = parts(model_card(make_config(card={"licence": text})))
    assert head["license"] == "other"
    assert head["license_name"] == "CC BY-NC: no commercial use"
    assert sections["Licence"] == text


@pytest.mark.parametrize(
    ("changes", "tag", "answer"),
    [
        ({"task": "classification"}, "image-classification", "(batch,) labels"),
        (
            {
                "task": "depth",
                "class_names": (),
                "class_colours": (),
                "num_classes": 1,
                "depth": {"transform": "none", "mean": 0.0, "std": 1.0, "log_variance": False},
            },
            "depth-estimation",
            "(batch, pixels) metres",
        ),
    ],
)
def test_tasks_have_their_tag(make_config, changes, tag, answer):
    head, sections = parts(model_card(make_config(**changes)))
    assert head["pipeline_tag"] == tag
    assert answer in sections["Use"]


def test_cards_and_configurations_name_the_same_texts():
    assert tuple(WHOLE.to_dict()) == CARD_FIELDS
    assert ModelCard.from_dict(WHOLE.to_dict()) == WHOLE
    assert ModelCard().to_dict() == {}
    with pytest.raises(ValueError, match=r"a model card has no \['license'\]"):
        ModelCard.from_dict({"license": "MIT"})
