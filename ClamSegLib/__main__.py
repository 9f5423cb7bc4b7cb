"""`python -m ClamSegLib <verb>`: the command line."""

import sys

from ClamSegLib.cli import main

if __name__ == "__main__":
    sys.exit(main())
