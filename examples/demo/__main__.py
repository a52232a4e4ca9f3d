"""``python -m examples.demo``, which is what ``make demo`` runs."""

import typer

from .command import demo

if __name__ == "__main__":
    typer.run(demo)
