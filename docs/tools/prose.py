"""Measures the sentences of this repository: how many hide their subject in a clause such as "what is owed".

A reader of such a sentence must know the code to find the noun: the caller, the entry, the server. A rewrite names it.
``make prose`` prints the share of these sentences in each group of files; ``--list`` prints each of them with its file
and line. The measure knows no grammar: it reads the words after "what" and "who", so a group may keep a few.
"""

import argparse
import ast
import io
import re
import sys
import tokenize
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

__all__ = ["GROUPS", "LIMIT", "Sentence", "hides_its_subject", "main", "measure", "sentences"]

ROOT = Path(__file__).parents[2]
# Groups and their files. README and changelog stand alone, because a larger group would hide a few bad sentences.
GROUPS = {
    "src": ("src/**/*.py",),
    "docs": ("docs/**/*.md", "CONTRIBUTING.md", "SECURITY.md"),
    "README": ("README.md",),
    "CHANGELOG": ("CHANGELOG.md",),
    "tests": ("tests/**/*.py",),
    "programs": ("benchmarks/**/*.py", "examples/**/*.py", "docs/**/*.py"),
}
# Percent of a group's sentences. Not 0: a measure without grammar also finds questions and plain relative clauses.
LIMIT = 2.0
# A heading, a bullet of two words and the like are not sentences.
_MIN_WORDS = 3

# Words that open a clause without a head, and the words after them that make it one. "what a caller gets" is such a
# clause, "what to do" is none.
_OPENERS = "what who whoever whatever"
_NEXT = {
    "be and have": "is was were has had",
    "auxiliary verbs": "can cannot may must did does",
    "other verbs": """
        asks belongs came comes follows gets holds joined joins lives loads makes near needs reads remains runs shared
        stands waits wants
    """,
    "pronouns": "anybody any each everybody it nobody one people that these they this those we you",
    "articles and nouns": "a another others only the users",
}
_HEADLESS = re.compile(
    rf"\b(?:{'|'.join(_OPENERS.split())}) (?:{'|'.join(' '.join(_NEXT.values()).split())})\b", re.IGNORECASE
)
_FENCE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
_TABLE_ROW = re.compile(r"^[ \t]*\|.*$", re.MULTILINE)
_DOCTEST = re.compile(r"^[ \t]*(?:>>>|\.\.\.).*$", re.MULTILINE)
# A colon and a semicolon end a sentence, too: each half is read on its own. So does a blank line.
_END = re.compile(r"(?<=[.!?:;])\s+|\n\s*\n")


@dataclass(frozen=True)
class Sentence:
    """One sentence, and the place of the paragraph that holds it."""

    file: Path
    line: int
    text: str


def hides_its_subject(text: str) -> bool:
    """Return True if a sentence has a headless clause, as in "Drop what is owed"."""
    return _HEADLESS.search(" ".join(text.split())) is not None


def sentences(file: Path) -> list[Sentence]:
    """Return the sentences of a page, or of the docstrings and comments of a Python file."""
    source = file.read_text(encoding="utf-8")
    parts = _python(source) if file.suffix == ".py" else iter([(1, _FENCE.sub(_blank, source))])
    return [Sentence(file, *found) for line, text in parts for found in _split(line, text)]


def measure(root: Path, patterns: Sequence[str]) -> tuple[list[Sentence], list[Sentence]]:
    """Return all sentences of the files that match a pattern, and those among them that hide their subject."""
    files = [file for pattern in patterns for file in sorted(root.glob(pattern))]
    found = [sentence for file in files for sentence in sentences(file)]
    return found, [sentence for sentence in found if hides_its_subject(sentence.text)]


def _blank(match: re.Match[str]) -> str:
    """Keep the lines of a removed block, so that the lines below it keep their numbers."""
    return "\n" * match[0].count("\n")


def _split(line: int, text: str) -> Iterator[tuple[int, str]]:
    text = _DOCTEST.sub("", _TABLE_ROW.sub("", text))
    start = 0
    for end in [*_END.finditer(text), None]:
        part = text[start : end.start() if end else len(text)]
        if len(part.split()) >= _MIN_WORDS:
            before = text[: start + len(part) - len(part.lstrip())]
            yield line + before.count("\n"), " ".join(part.split())
        start = end.end() if end else len(text)


def _python(source: str) -> Iterator[tuple[int, str]]:
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and (
            docstring := ast.get_docstring(node)
        ):
            yield node.body[0].lineno, docstring
    yield from _comments(source)


def _comments(source: str) -> Iterator[tuple[int, str]]:
    """Comments; those on consecutive lines are one paragraph, because a sentence goes over the end of its line."""
    first, block = 0, list[str]()
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type != tokenize.COMMENT or "noqa" in token.string:
            continue
        line = token.start[0]
        if block and line != first + len(block):
            yield first, "\n".join(block)
            block = []
        first = first if block else line
        block.append(token.string.lstrip("#! "))
    if block:
        yield first, "\n".join(block)


def main(arguments: Sequence[str], root: Path = ROOT) -> int:
    """Print the share of each group, and return 1 if one reaches the limit."""
    parser = argparse.ArgumentParser(prog="python -m docs.tools.prose", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--list", action="store_true", help="print each sentence with its file and line")
    options = parser.parse_args(arguments)
    failed = False
    for group, patterns in GROUPS.items():
        found, hidden = measure(root, patterns)
        share = 100 * len(hidden) / max(1, len(found))
        failed |= share >= LIMIT
        if options.list:
            for sentence in hidden:
                sys.stdout.write(f"{sentence.file.relative_to(root)}:{sentence.line}: {sentence.text}\n")
        sys.stdout.write(f"{group}: {share:.1f} % of {len(found)} sentences hide their subject\n")
    if failed:
        sys.stdout.write(
            f"A group must stay under {LIMIT:g} %: name the actor (caller, entry, server). --list shows each.\n"
        )
    return int(failed)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
