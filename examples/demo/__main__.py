"""``python -m examples.demo``, the program of ``make demo``."""

import typer

from .command import demo

if __name__ == "__main__":
    typer.run(demo)
