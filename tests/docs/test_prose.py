"""The measure of prose finds sentences that hide their subject, and counts nothing else."""

from pathlib import Path

import pytest

from docs.tools.prose import GROUPS, hides_its_subject, main, sentences

PLAIN = "The caller gets the value of the entry.\n"
RIDDLE = "Drop what is owed to the server.\n"


@pytest.mark.parametrize(
    "sentence",
    [
        "Drop what is owed to the server.",
        "Who joins a load waits for its value.",
        "Whoever holds the lock reads.",
        "The rest is what the others see.",
        "It returns what\n    it was given.",
    ],
)
def test_a_sentence_that_hides_its_subject_is_found(sentence: str) -> None:
    assert hides_its_subject(sentence)


@pytest.mark.parametrize(
    "sentence",
    [
        "The caller gets the value of the entry.",
        "The task that waits is woken.",
        "The page says what to do and who to ask.",
        "Somewhat a matter of taste.",
    ],
)
def test_a_sentence_with_a_plain_subject_is_not_found(sentence: str) -> None:
    assert not hides_its_subject(sentence)


def test_sentences_of_a_python_file_are_its_docstrings_and_comments(tmp_path: Path) -> None:
    file = tmp_path / "module.py"
    file.write_text(
        '"""A module. It has a docstring.\n\n>>> what is no sentence\n"""\n'
        "text = 'this is what is only data'\n"
        "# A comment goes on\n# in its next line.\n"
        "x = 1  # noqa: F841 - what is marked is skipped\n"
        "class C:\n    '''Text of a class here.'''\n    # A comment of its own.\n",
        encoding="utf-8",
    )
    assert sorted((found.line, found.text) for found in sentences(file)) == [
        (1, "It has a docstring."),
        (6, "A comment goes on in its next line."),
        (10, "Text of a class here."),
        (11, "A comment of its own."),
    ]


def test_sentences_of_a_page_are_neither_code_nor_tables(tmp_path: Path) -> None:
    file = tmp_path / "page.md"
    file.write_text(
        "# A title of words\n\nOne sentence is here; another one\nfollows it.\n\n"
        "```python\n# what is code is skipped.\n```\n\n| what is | in a table |\n\nThe last of the page.\n",
        encoding="utf-8",
    )
    assert [(found.line, found.text) for found in sentences(file)] == [
        (1, "# A title of words"),
        (3, "One sentence is here;"),
        (3, "another one follows it."),
        (12, "The last of the page."),
    ]


def repository(root: Path, changelog: str) -> Path:
    for folder in ("src/package", "docs", "tests/unit", "examples"):
        (root / folder).mkdir(parents=True)
    (root / "src/package/module.py").write_text(f'"""{PLAIN}"""\n', encoding="utf-8")
    (root / "tests/unit/test_it.py").write_text(f"# {PLAIN}", encoding="utf-8")
    (root / "examples/app.py").write_text(f"# {PLAIN}", encoding="utf-8")
    for page in ("docs/index.md", "README.md"):
        (root / page).write_text(PLAIN, encoding="utf-8")
    (root / "CHANGELOG.md").write_text(changelog, encoding="utf-8")
    return root


def test_plain_sentences_pass(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([], repository(tmp_path, PLAIN * 50)) == 0
    said = capsys.readouterr().out.splitlines()
    assert [line.partition(":")[0] for line in said] == list(GROUPS)
    assert all(line.split(": ")[1].startswith("0.0 % of ") for line in said)


def test_two_in_a_hundred_fail_and_are_listed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--list"], repository(tmp_path, PLAIN * 98 + RIDDLE * 2)) == 1
    said = capsys.readouterr().out.splitlines()
    assert f"CHANGELOG.md:100: {RIDDLE.strip()}" in said
    assert "CHANGELOG: 2.0 % of 100 sentences hide their subject" in said


def test_fewer_than_two_in_a_hundred_pass(tmp_path: Path) -> None:
    assert main([], repository(tmp_path, PLAIN * 99 + RIDDLE)) == 0


@pytest.mark.parametrize("group", GROUPS)
def test_each_group_has_files(group: str) -> None:
    for pattern in GROUPS[group]:
        assert any(Path(__file__).parents[2].glob(pattern))
