"""``python -m data_prep``: the command ``healswin-prep`` of this interpreter."""

import sys

from data_prep.cli import main

if __name__ == "__main__":
    sys.exit(main())
