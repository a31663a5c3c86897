"""Runs the command line: ``python -m losscope``."""

from losscope.cli import main

if __name__ == "__main__":
    main()
