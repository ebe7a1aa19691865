"""`healswin` and `python -m healswin`: answers what needs no torch, hands the rest to the CLI."""

from __future__ import annotations

import sys
from collections.abc import Sequence

_USAGE = """\
usage: healswin {fit,validate,test,predict} [--config FILE] [--ARGUMENT VALUE ...]

Train and evaluate models on prepared data sets (make one with healswin-prep).

  fit        train; the best and the last weights go to RUN/checkpoints, logs to RUN/logs
  validate   measure a checkpoint on the validation split
  test       measure a checkpoint on the test split, on the sphere and in the image;
             writes RUN/test.json and RUN/report.md with pictures
  predict    write predictions and pictures to RUN/predictions and RUN/pictures

  healswin fit --config configs/quickstart.yaml --data.root DATA
  healswin test --ckpt_path RUN/checkpoints/best.ckpt --data.root DATA

RUN is --trainer.default_root_dir, or the run that the checkpoint belongs to.
All arguments of a command: healswin fit --help. Those of a network or task:
healswin fit --model.help healswin.tasks.SegmentationTask
The configuration that would be used: healswin fit ... --print_config
Version: healswin --version"""


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
    from healswin.cli import main as run

    return run(arguments)


if __name__ == "__main__":
    sys.exit(main())
