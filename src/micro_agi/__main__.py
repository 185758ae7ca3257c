"""`python -m micro_agi` is `micro-agi`."""

import sys

from micro_agi.cli import main

if __name__ == "__main__":
    sys.exit(main())
