"""What the pages of reports are made of."""

from types import SimpleNamespace

import pytest

from healswin.tasks.pages import markdown_table
from healswin.tasks.world_pages import Wording, definitions, group_tables, missing_worlds


def cells_of(table):
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()]


@pytest.mark.parametrize("value", [0.5, 9.99994, 9.99996, 10.0, 12345.678, -1234.5, None])
def test_columns_are_as_wide_as_their_widest_number(value):
    scores = {"error": value, "other": 1.0}
    table = markdown_table(
        {"error (m)": "error", "other": "other"}, {"a": scores, "a long title": scores}
    )
    lines = table.splitlines()
    bars = [[place for place, letter in enumerate(line) if letter == "|"] for line in lines]
    assert all(places == bars[0] for places in bars)
    text = "-" if value is None else f"{value:.4f}"
    # Between two bars there is a blank on either side.
    widths = [right - left - 3 for left, right in zip(bars[0][1:], bars[0][2:], strict=False)]
    assert widths == [max(6, len(text)), 12]
    head, _, first, second = cells_of(table)
    assert head == ["", "a", "a long title"]
    assert first == ["error (m)", text, text]
    assert second == ["other", "1.0000", "1.0000"]


def test_a_score_that_a_column_lacks_is_a_dash():
    table = markdown_table({"error": "error"}, {"a": {"error": 12.0}, "b": {}})
    assert cells_of(table)[2] == ["error", "12.0000", "-"]


@pytest.mark.parametrize(
    ("best", "model", "said"),
    [
        ("max", 0.75, "0.2500 m above"),
        ("max", 0.25, "0.2500 m below"),
        ("max", 0.5, "0.0000 m above"),
        ("min", 0.75, "0.2500 m above"),
        ("min", 0.5, "0.0000 m below"),
    ],
)
def test_what_the_model_gains_over_the_prior(best, model, said):
    worlds = SimpleNamespace(own="sphere", same_split=None)
    wording = Wording("score", "SCORE", " m", best, "nothing", "", "")
    results = {"sphere": {"score": model}, "sphere_prior": {"score": 0.5}}
    sentences = definitions(worlds, results, wording, [], [])
    assert sentences[-1] == f"On the sphere the model's SCORE is {said} the prior's."
    unknown = {"sphere": {"score": None}, "sphere_prior": {"score": 0.5}}
    assert "the prior's" not in " ".join(definitions(worlds, unknown, wording, [], []))


def test_common_pixels_are_missed_beside_flat_images_only():
    absent = {"image": "no sources", "image_common": "no companion"}
    assert missing_worlds(SimpleNamespace(own="resized"), absent) == absent
    assert missing_worlds(SimpleNamespace(own="sphere"), absent) == {"image": "no sources"}


def test_groups_of_all_worlds_stand_in_one_table():
    found = {
        "sphere": {"cameras": {"FV": {"pixels": 3.0, "score": 0.5}}, "angles": {}},
        "sphere_prior": {"cameras": {"FV": {"pixels": 3.0, "score": 0.1}}, "angles": {}},
        "image": {
            "cameras": {"FV": {"pixels": 8.0, "score": 0.25}, "RV": {"pixels": 2.0, "score": None}},
            "angles": {},
        },
    }
    (section,) = group_tables(found, {"SCORE": "score"})
    title, table = section.split("\n\n")
    assert title == "## By camera"
    head, _, *rows = cells_of(table)
    assert head == ["", "pixels, sphere", "SCORE, sphere", "SCORE, image"]
    assert rows == [["FV", "1.0000", "0.5000", "0.2500"], ["RV", "-", "-", "-"]]
