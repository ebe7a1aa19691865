"""The configurations that come with the package: ``healswin configs``.

A configuration is called by its path inside the folder ``configs`` without the suffix, such as
"quickstart". In a checkout they are the files of that folder; a wheel carries them inside the
package. `healswin fit --config quickstart` finds them wherever it is run, unless there is a file
of that name.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from pathlib import Path

from healswin.outcome import status_of

_PACKAGE = Path(__file__).parent


def list_configurations() -> list[str]:
    """Names of all configurations, sorted."""
    root = _root()
    return sorted(
        path.relative_to(root).with_suffix("").as_posix() for path in root.rglob("*.yaml")
    )


def configuration_path(name: str) -> Path:
    """The file of a configuration.

    Args:
        name: One of `list_configurations`, with or without ".yaml".

    Raises:
        ValueError: If there is none of that name; the message lists those that there are.
    """
    known = list_configurations()
    plain = name.removesuffix(".yaml")
    if plain not in known:
        raise ValueError(f"configuration {name!r} is not known, known are {known}")
    return _root() / f"{plain}.yaml"


def with_paths(args: Sequence[str]) -> list[str]:
    """Arguments of a command with the files of the configurations that ``--config`` names.

    What is a file already, or no configuration's name, stays as it is.

    Args:
        args: Words of a command line.
    """
    words = list(args)
    for place, word in enumerate(words):
        option, equals, value = word.partition("=")
        if option == "--config" and equals:
            words[place] = f"{option}={_found(value)}"
        elif place and words[place - 1] in ("--config", "-c"):
            words[place] = _found(word)
    return words


def main(args: Sequence[str]) -> int:
    """Run ``healswin configs``.

    Args:
        args: Arguments after it.

    Returns:
        Exit status: 0, or 2 for input that cannot be used, with one line that says why.
    """
    arguments = _parser().parse_args(args)
    return status_of(lambda: arguments.run(arguments))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="healswin configs",
        description="Configurations that come with the package. `healswin fit --config NAME` takes "
        "their names; copy one to change it.",
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    listing = commands.add_parser("list", help="names and what each is")
    listing.set_defaults(run=_list)
    show = commands.add_parser("show", help="print one")
    show.add_argument("name", metavar="NAME")
    show.set_defaults(run=_show)
    copy = commands.add_parser("copy", help="copy one to a file or folder; nothing is overwritten")
    copy.add_argument("name", metavar="NAME")
    copy.add_argument("target", metavar="DEST", type=Path)
    copy.set_defaults(run=_copy)
    return parser


def _list(arguments: argparse.Namespace) -> int:
    names = list_configurations()
    width = max(map(len, names), default=0)
    for name in names:
        print(f"{name:{width}}  {_first_sentence(configuration_path(name))}".rstrip())
    return 0


def _show(arguments: argparse.Namespace) -> int:
    print(configuration_path(arguments.name).read_text(encoding="utf-8"), end="")
    return 0


def _copy(arguments: argparse.Namespace) -> int:
    source, target = configuration_path(arguments.name), arguments.target
    if target.is_dir():
        target = target / source.name
    if target.exists():
        raise ValueError(f"{target} exists: choose another name, or remove it")
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(source.read_bytes())
    print(target)
    return 0


def _root() -> Path:
    """The folder of the configurations: inside the package, or beside it in a checkout."""
    for folder in (_PACKAGE / "configs", _PACKAGE.parent / "configs"):
        if (folder / "quickstart.yaml").is_file():
            return folder
    raise ValueError(
        f"the configurations are missing: neither {_PACKAGE / 'configs'} nor "
        f"{_PACKAGE.parent / 'configs'} holds quickstart.yaml; install the package again"
    )


def _found(word: str) -> str:
    if Path(word).exists():
        return word
    try:
        return str(configuration_path(word))
    except ValueError:
        return word  # the command says what is wrong with it


def _first_sentence(path: Path) -> str:
    """What the comment at the beginning of a file says first, without what is in brackets."""
    text = ""
    for line in path.read_text(encoding="utf-8").splitlines():
        if not line.startswith("#"):
            break
        text += " " + line.lstrip("# ")
    # "et al." ends no sentence.
    return re.split(r"(?<!\bal)\.(?:\s|$)|\s\(", text.strip())[0]
