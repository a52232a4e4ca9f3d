"""Keys of functions: the calls that share a key."""

from tests.rules.rule import Row

KEYS = "tests/unit/format/test_function_keys.py::"

ROWS = [
    Row(
        "text_like_a_literal_stands_bare",
        "format.arguments.1",
        "The text 1 and the number 1 are one argument.",
        "format.arguments:write_argument",
        (
            "(value[0] not in _LITERAL_STARTS or not _is_literal(value))",
            "True",
        ),
        KEYS + "test_int_bool_float_and_str_of_one_look_are_four",
    ),
    Row(
        "separators_in_text_stand_bare",
        "format.arguments.2",
        "Text that contains a separator moves from one argument to the next.",
        "format.arguments:_escaped",
        (
            "return _RESERVED.sub(",
            r"""return re.compile(r"[\ud800-\udfff]").sub(""",
        ),
        KEYS + "test_moving_text_from_one_argument_to_the_next_changes_the_key",
    ),
    Row(
        "unknown_types_by_their_repr",
        "format.arguments.3",
        "A value without its own text takes part in a key by its repr.",
        "format.arguments:_content",
        ('raise Unwritable(f"a {type(value).__qualname__} has no text of its own")', "return repr(value)"),
        KEYS + "test_what_is_not_deterministic_takes_no_part",
    ),
    Row(
        "equal_numbers_share_a_key",
        "format.function_keys.2",
        "1, True and 1.0 are one argument.",
        "format.arguments:write_argument",
        (
            "    kind = type(value)\n",
            "    value = int(value) if type(value) in {bool, float} else value\n    kind = type(value)\n",
        ),
        KEYS + "test_int_bool_float_and_str_of_one_look_are_four",
    ),
    Row(
        "self_left_out_silently",
        "format.function_keys.3",
        "Objects of one class share the results of a method.",
        "format.function_keys:FunctionKey._check_owner",
        ("if named_self or any(", "if False and any("),
        KEYS + "test_self_never_takes_part_silently",
    ),
    Row(
        "unknown_fields_at_the_first_call",
        "format.function_keys.4",
        "A template that names no parameter is an error at the first call, not at decoration.",
        "format.function_keys:_compile",
        (
            """if match[1] not in names:
            raise wrong(f"unknown field {{{match[1]}}}")
        fields.append((names.index(match[1]),""",
            "fields.append((names.index(match[1]) if match[1] in names else len(names),",
        ),
        KEYS + "test_a_bad_template_is_an_error_at_decoration_that_names_the_fields",
    ),
]
