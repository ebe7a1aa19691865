"""The configurations of the package are listed, shown, copied and found by name."""

from pathlib import Path

import pytest

from healswin.__main__ import main
from healswin.configurations import configuration_path, list_configurations, with_paths

CONFIGS = Path(__file__).parents[1] / "configs"


def test_all_configurations_are_listed(capsys):
    names = list_configurations()
    assert "quickstart" in names
    assert len(names) == len(list(CONFIGS.rglob("*.yaml")))
    assert main(["configs", "list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == names
    # Each says what it is.
    assert all(len(line.split()) > 3 for line in lines)


@pytest.mark.parametrize("name", ["quickstart", "quickstart.yaml"])
def test_a_configuration_is_shown_as_it_is(name, capsys):
    assert main(["configs", "show", name]) == 0
    assert capsys.readouterr().out == (CONFIGS / "quickstart.yaml").read_text(encoding="utf-8")


def test_a_configuration_is_copied_and_nothing_overwritten(tmp_path, capsys):
    nested = next(name for name in list_configurations() if "/" in name)
    assert main(["configs", "copy", nested, str(tmp_path)]) == 0
    copy = tmp_path / f"{Path(nested).name}.yaml"
    assert copy.read_bytes() == configuration_path(nested).read_bytes()
    assert capsys.readouterr().out.strip() == str(copy)
    assert main(["configs", "copy", nested, str(copy)]) == 2
    assert "exists" in capsys.readouterr().err
    assert main(["configs", "copy", "quickstart", str(tmp_path / "new" / "mine.yaml")]) == 0
    assert (tmp_path / "new" / "mine.yaml").is_file()


def test_an_unknown_configuration_lists_the_known_ones(capsys):
    assert main(["configs", "show", "quickest"]) == 2
    error = capsys.readouterr().err
    assert "'quickest' is not known" in error
    assert "'quickstart'" in error
    assert error.count("\n") == 1
    with pytest.raises(ValueError, match="is not known"):
        configuration_path("../pyproject")


def test_names_become_files_in_arguments(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = str(CONFIGS / "quickstart.yaml")
    assert with_paths(["fit", "--config", "quickstart"]) == ["fit", "--config", path]
    assert with_paths(["fit", "-c", "quickstart"]) == ["fit", "-c", path]
    assert with_paths(["--config=quickstart", "--x", "1"]) == [f"--config={path}", "--x", "1"]
    untouched = ["fit", "--config", "mine.yaml", "--data.root", "quickstart", "--config"]
    assert with_paths(untouched) == untouched
    # A file goes before a name.
    (tmp_path / "quickstart").write_text("")
    assert with_paths(["--config", "quickstart"]) == ["--config", "quickstart"]


def test_training_takes_a_configuration_by_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    seen = []
    monkeypatch.setattr("healswin.cli.main", lambda args: seen.extend(args) or 7)
    assert main(["fit", "--config", "quickstart", "--data.root", "data"]) == 7
    path = str(CONFIGS / "quickstart.yaml")
    assert seen == ["fit", "--config", path, "--data.root", "data"]
