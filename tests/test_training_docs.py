"""docs/training.md: its commands parse, and all its configurations together train."""

import re
import shlex
from pathlib import Path

import pytest
import yaml
from small_training import NETWORK, checkpoint

from healswin.__main__ import main

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "training.md").read_text(encoding="utf-8")


def blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


COMMANDS = [line for block in blocks("bash") for line in block.splitlines()]


@pytest.mark.parametrize("command", COMMANDS, ids=range(len(COMMANDS)))
def test_its_commands_parse(command, capsys):
    program, *arguments = shlex.split(command)
    assert program == "healswin"
    with pytest.raises(SystemExit) as stopped:
        main([*arguments, "--print_config"])
    printed = capsys.readouterr()
    assert stopped.value.code == 0, printed.err
    assert "root: data/street64" in printed.out


def test_its_configurations_train_together(prepared, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    arguments = []
    for number, block in enumerate(blocks("yaml")):
        settings = yaml.safe_load(block)
        # MLflow is an extra: that its logger is asked for is tested elsewhere.
        loggers = settings["trainer"].get("logger")
        if loggers:
            settings["trainer"]["logger"] = [x for x in loggers if "MLFlow" not in x["class_path"]]
            assert len(settings["trainer"]["logger"]) == len(loggers) - 1 == 1
        Path(f"{number}.yaml").write_text(yaml.safe_dump(settings))
        arguments += ["--config", f"{number}.yaml"]
    assert len(arguments) == 4
    network = {"model": {"init_args": {"network": NETWORK}}}
    Path("network.yaml").write_text(yaml.safe_dump(network))
    small = ["--config", "network.yaml", "--trainer.max_epochs", "1", "--data.batch_size", "4"]
    small += ["--trainer.accelerator", "cpu", "--trainer.log_every_n_steps", "1"]
    where = ["--data.root", str(prepared(16)), "--trainer.default_root_dir", "runs/mine"]
    assert main(["fit", *arguments, *small, *where]) == 0
    kept = checkpoint(Path("runs/mine"))
    assert "current_model_state" in kept
    assert kept["lr_schedulers"][0]["_milestones"] == [5]
    assert Path("runs/mine/logs/version_0/config.yaml").is_file()


def test_what_it_names_exists():
    assert (ROOT / "docs" / "pages" / "training.md").read_text(encoding="utf-8") == PAGE
    named = re.findall(r"configs/[\w/.]+\.(?:sh|yaml)", PAGE)
    assert named
    assert [path for path in named if not (ROOT / path).is_file()] == []
    assert "training.md" in (ROOT / "docs" / "mkdocs.yml").read_text()
