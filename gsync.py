"""The door for `python gsync.py <ip> <port>`: it opens `gsync/__main__.py`, and that is all it does."""

import sys

from gsync.__main__ import main

if __name__ == "__main__":
    sys.exit(main())
