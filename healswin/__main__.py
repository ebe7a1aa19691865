"""`healswin` and `python -m healswin`: answers what needs no torch, hands the rest to others."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module

_USAGE = """\
usage: healswin COMMAND ...

Use models on photographs; train and evaluate models on prepared data sets (make one with
healswin-prep).

  models      list trained models, show, fetch and verify them, save your own
  apply       apply a model to photographs: classes or depth, as pictures and arrays
  fit         train; the best and the last weights go to RUN/checkpoints, logs to RUN/logs
  validate    measure a checkpoint on the validation split
  test        measure a checkpoint on the test split; writes RUN/test.json and RUN/report.md
              with pictures
  predict     write predictions and pictures to RUN/predictions and RUN/pictures
  robustness  measure how a model's answer changes when the sphere is rotated
  uncertainty measure how unsure models are, several or one with dropout, and of what
  configs     list, show and copy the configurations that come with the package

  healswin models list
  healswin apply healswin_tiny.street --image front.jpg --calibration front.json --out seen
  healswin fit --config quickstart --data.root DATA
  healswin test --ckpt_path RUN/checkpoints/best.ckpt --data.root DATA

RUN is --trainer.default_root_dir, or the run that the checkpoint belongs to.
All arguments of a command: healswin COMMAND --help. Those of a network or task:
healswin fit --model.help healswin.tasks.SegmentationTask
The configuration that would be used: healswin fit ... --print_config
Version: healswin --version"""

# Modules whose main runs a command; the others are Lightning's and go to healswin.cli.
_COMMANDS = {
    "models": "healswin.zoo.command",
    "apply": "healswin.apply.command",
    "robustness": "healswin.robustness",
    "uncertainty": "healswin.uncertainty",
    "configs": "healswin.configurations",
}
_LIGHTNING = ("fit", "validate", "test", "predict")


def main(args: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        args: Arguments without the program's name; those of the process by default.

    Returns:
        Exit status: 0, or 2 for input that cannot be used.
    """
    arguments = list(sys.argv[1:] if args is None else args)
    if arguments in ([], ["-h"], ["--help"]):
        print(_USAGE)
        return 0
    if arguments == ["--version"]:
        from healswin import __version__

        print(f"healswin {__version__}")
        return 0
    if arguments[0] in _COMMANDS:
        return import_module(_COMMANDS[arguments[0]]).main(arguments[1:])
    if arguments[0] not in _LIGHTNING and not arguments[0].startswith("-"):
        known = ", ".join((*_LIGHTNING, *_COMMANDS))
        print(f"healswin: error: {arguments[0]!r} is no command; they are {known}", file=sys.stderr)
        return 2
    from healswin.cli import main as run
    from healswin.configurations import with_paths

    return run(with_paths(arguments))


if __name__ == "__main__":
    sys.exit(main())
