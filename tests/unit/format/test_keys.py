"""Valid keys and tags, and the place of each on the server."""

from enum import StrEnum

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetcache.errors import KeyRuleError
from fleetcache.format.keys import ALL_TAG, MAX_KEY_BYTES, Layout, check_key, check_tag, check_tags, family_tag


class Color(StrEnum):
    RED = "red"


@pytest.mark.parametrize("key", ["a", "users:1", "köln", "with space", "x" * MAX_KEY_BYTES, "é" * (MAX_KEY_BYTES // 2)])
def test_a_key_is_any_text_up_to_8_kib(key: str) -> None:
    assert check_key(key) == key


def test_a_member_of_a_str_enum_becomes_its_text() -> None:
    assert type(check_key(Color.RED)) is str
    assert check_key(Color.RED) == "red"


@pytest.mark.parametrize(
    ("key", "said"),
    [
        ("", "empty"),
        (1, "not int: 1"),
        (None, "not NoneType"),
        (b"users", "not bytes"),
        ("x" * (MAX_KEY_BYTES + 1), "8192 bytes as UTF-8, not 8193"),
        ("é" * (MAX_KEY_BYTES // 2 + 1), "not 8194"),
        ("a\ud800", "character 1 is a lone surrogate"),
    ],
)
def test_what_is_no_key_is_named(key: object, said: str) -> None:
    with pytest.raises(KeyRuleError, match=said) as caught:
        check_key(key)
    assert len(str(caught.value)) < 200
    str(caught.value).encode()


@pytest.mark.parametrize("tag", ["", "*", "*users", "x" * 256, "é" * 128, "\udfff", 7])
def test_what_is_no_tag_is_refused(tag: object) -> None:
    with pytest.raises(KeyRuleError):
        check_tag(tag)


def test_tags_keep_their_order_without_repetitions() -> None:
    assert check_tags(["geo", "eu", "geo"]) == ("geo", "eu")
    assert check_tags(()) == ()
    assert check_tags(tag for tag in ("a", "b")) == ("a", "b")


def test_a_bare_string_as_tags_says_what_to_write() -> None:
    with pytest.raises(KeyRuleError, match=r'tags=\("geo",\)'):
        check_tags("geo")


@pytest.mark.parametrize("tags", [b"geo", 5, None, ["ok", ""], [f"tag-{n}" for n in range(65)]])
def test_wrong_tags_are_refused(tags: object) -> None:
    with pytest.raises(KeyRuleError):
        check_tags(tags)


def test_64_tags_are_not_too_many() -> None:
    assert len(check_tags([f"tag-{n}" for n in range(64)])) == 64


def test_no_user_tag_is_an_internal_one() -> None:
    for internal in (ALL_TAG, family_tag("users")):
        with pytest.raises(KeyRuleError):
            check_tag(internal)


def test_the_layout_on_the_server() -> None:
    layout = Layout("shop")
    assert layout.entry("users:1") == b"shop:e:users:1"
    assert layout.claim("users:1") == b"shop:c:users:1"
    assert layout.tag("*") == b"shop:t:*"
    assert layout.probe("i7") == b"shop:p:i7"
    assert repr(layout) == "Layout('shop')"


@given(prefix=st.text(st.characters(codec="utf-8"), min_size=1), name=st.text(st.characters(codec="utf-8"), min_size=1))
def test_the_layout_reads_what_it_writes(prefix: str, name: str) -> None:
    layout = Layout(prefix)
    assert layout.parse(layout.entry(name)) == ("e", name)
    assert layout.parse(layout.claim(name)) == ("c", name)
    assert layout.parse(layout.tag(name)) == ("t", name)
    assert layout.parse(layout.probe(name)) == ("p", name)


@pytest.mark.parametrize(
    "raw", [b"", b"shop", b"shop:", b"shop:e:", b"shop:x:a", b"shopping:e:a", b"a:e:b", b"shop:e:\xff"]
)
def test_keys_of_others_are_not_ours(raw: bytes) -> None:
    assert Layout("shop").parse(raw) is None
