"""A stored value comes back unchanged: the codec, and its marks for values that msgpack and JSON have no form for."""

from tests.rules.rule import Row

ROWS = [
    Row(
        "bytes_raise_what_they_like",
        "format.codec.1",
        "An error that msgspec or a class raises over stored bytes reaches the caller.",
        "format.codec:Codecs.decode",
        ("except Exception as error:", "except ZeroDivisionError as error:"),
        "tests/unit/format/test_codec.py::test_an_entry_of_an_older_shape_is_refused",
    ),
    Row(
        "equal_is_enough",
        "format.codec.2",
        "A value is stored if its class calls the decoded value equal.",
        "format.codec:_Format.write",
        ("else find_change(value, back)", "else None if value == back else find_change(value, back)"),
        "tests/unit/format/test_values.py::test_a_value_of_the_declared_type_comes_back_as_itself",
    ),
    Row(
        "marks_are_trusted",
        "format.codec.3",
        "A value written with marks is not compared with the caller's.",
        "format.codec:_Format._write_marked",
        ("change is not None", "False"),
        "tests/unit/format/test_values.py::test_what_would_come_back_otherwise_is_refused",
    ),
    Row(
        "loaders_caller_keeps_its_own",
        "format.codec.4",
        "The caller that stored a value gets the object it gave.",
        "format.codec:_Format.write",
        ("payload, back", "payload, value"),
        "tests/unit/format/test_codec.py::test_what_the_writer_gets_is_a_copy",
    ),
    Row(
        "pickle_is_read",
        "format.codec.5",
        "A pickle is read by a process that did not choose it.",
        "format.codec:Codecs.decode",
        ('self.name == "pickle"', "True"),
        "tests/unit/format/test_codec.py::test_a_pickle_is_never_read_unless_asked_for_by_name",
    ),
    Row(
        "marks_hold_no_marks",
        "format.marks.1",
        "The content of a mark is not marked itself.",
        "format.marks:Marks._mark_object",
        ("self.mark(row.write(value), classes)", "row.write(value)"),
        "tests/unit/format/test_values.py::test_without_a_type_a_plain_value_comes_back_as_itself",
    ),
    Row(
        "member_by_place",
        "format.marks.2",
        "The class of a mark is looked up by its place in the declared type.",
        "format.marks:_reading",
        ("classes[name]", "[*classes.values()][0]"),
        "tests/unit/format/test_values.py::test_a_member_is_known_by_its_name_and_never_by_its_place",
    ),
    Row(
        "dict_looks_like_a_mark",
        "format.marks.3",
        "A dict with the key of marks is not marked in JSON.",
        "format.marks:Marks._has_plain_keys",
        ("and _KEY not in value", ""),
        "tests/unit/format/test_values.py::test_without_a_type_a_plain_value_comes_back_as_itself",
    ),
    Row(
        "two_letters_are_a_pair",
        "format.marks.4",
        "A mark of a dict is read with any content.",
        "format.standard_types:_read_pairs",
        ("not all(type(pair) is list for pair in node)", "False"),
        "tests/unit/format/test_values.py::test_a_mark_holds_what_its_kind_is_made_of",
    ),
]
