"""The entries that the package brings along."""

import json

import pytest

import healswin
from healswin.zoo.card import SECTIONS
from healswin.zoo.entries import PACKAGED, packaged_entries
from healswin.zoo.files import sha256_of

LARGEST = 2_000_000
ENTRIES = packaged_entries()


def test_the_index_lists_the_folders_and_nothing_else():
    folders = sorted(path.name for path in PACKAGED.iterdir() if path.is_dir())
    assert sorted(ENTRIES) == folders
    assert {path.name for path in PACKAGED.iterdir() if path.is_file()} == {"index.json"}
    assert json.loads((PACKAGED / "index.json").read_text())["format_version"] == 1
    for entry in ENTRIES.values():
        assert entry.location == PACKAGED / entry.name


@pytest.mark.parametrize("name", ENTRIES)
def test_files_are_those_of_the_index(name):
    entry = ENTRIES[name]
    assert {path.name for path in entry.folder.iterdir()} == set(entry.files)
    for file, facts in entry.files.items():
        assert sha256_of(entry.folder / file) == facts.sha256
        assert (entry.folder / file).stat().st_size == facts.size
    assert entry.size < LARGEST


@pytest.mark.parametrize("name", ENTRIES)
def test_an_entry_loads_and_its_card_states_everything(name):
    model = healswin.load_model(name)
    assert model.config.name == name
    assert model.config.metrics
    card = (ENTRIES[name].folder / "README.md").read_text()
    for section in SECTIONS:
        text = card.partition(f"\n## {section}\n")[2].partition("\n## ")[0].strip()
        assert text, f"the card of {name} lacks {section}"
        assert text != "not stated", f"the card of {name} does not state {section}"
