"""The names of functions, the parts of their keys, and nested loads."""

from tests.rules.rule import Row

__all__ = ["ROWS"]

KEYS = "tests/unit/format/test_function_keys.py::"
NAMES = "tests/unit/format/test_function_names.py::"
CYCLES = "tests/loading/test_cycles.py::"

ROWS = (
    Row(
        "keyword_in_another_place",
        "format.function_keys.1",
        "An argument given by name is another call than the same by position.",
        "format.function_keys:_Binder.bind",
        ("values[index] = value", "values[index] = (name, value)"),
        f"{KEYS}test_equal_calls_share_a_key_however_they_are_written",
    ),
    Row(
        "equal_is_the_same",
        "format.function_keys.2",
        "Among recently used keys, 1 and True are the same.",
        "api.keyed_function:KeyedFunction._key",
        ("if known is not None and known[0] == kinds:", "if known is not None:"),
        "tests/unit/api/test_cached.py::test_keys_that_compare_equal_but_differ_are_kept_apart",
    ),
    Row(
        "argument_left_out",
        "format.function_keys.3",
        "An argument without its own text takes part by its type.",
        "format.function_keys:FunctionKey.key",
        ("raise self._unwritable(index, values[index], error) from error", "written = type(values[index]).__name__"),
        f"{KEYS}test_an_argument_without_a_text_of_its_own_is_named",
    ),
    Row(
        "template_without_fields",
        "format.function_keys.4",
        "A template without a field silently gives all calls one key.",
        "format.function_keys:_compile",
        ("if not fields and binder.without_self:", "if not fields and binder is None:"),
        f"{KEYS}test_one_key_for_all_calls_must_be_said_by_a_function",
    ),
    Row(
        "wrapper_not_asked",
        "format.function_keys.5",
        "Calls bind to the function below a wrapper with its own signature.",
        "format.function_keys:_signature",
        ("if not variadic or getattr", "if getattr"),
        f"{KEYS}test_what_a_wrapper_says_of_its_parameters_wins",
    ),
    Row(
        "wrapper_not_suspected",
        "format.function_keys.5",
        "A call that does not fit below a decorator is a bare TypeError.",
        "format.function_keys:_signature",
        ("guessed = True", "guessed = False"),
        f"{KEYS}test_where_a_decorator_may_supply_arguments_an_error_says_so",
    ),
    Row(
        "all_scripts_are_main",
        "format.function_names.1",
        "Functions of two scripts with one name share their keys.",
        "format.function_names:module_of",
        ("if module not in _MAIN:", "if module:"),
        f"{NAMES}test_a_program_has_the_name_of_its_module_or_file",
    ),
    Row(
        "captured_unsaid",
        "format.function_names.2",
        "Two closures of one factory share a key.",
        "format.function_names:_check_own",
        ("if not captured:", "if captured is not None:"),
        f"{NAMES}test_what_names_and_arguments_do_not_tell_must_be_told_by_a_key",
    ),
    Row(
        "wrapper_for_the_wrapped",
        "format.function_names.2",
        "Two functions behind one decorator without functools.wraps share a key.",
        "format.function_names:Names.take",
        ("or _passed_on_to(layer) is None", "or True"),
        f"{NAMES}test_a_wrapper_without_wraps_has_the_name_of_the_function_that_it_passes_all_on_to",
    ),
    Row(
        "edited_is_the_same",
        "format.function_names.3",
        "A function that was edited and reloaded answers with results of the old one.",
        "format.function_names:Names.take",
        ("if known.digest == origin.digest:", "if known is not None:"),
        f"{NAMES}test_a_reload_of_an_edited_function_gets_keys_of_its_own",
    ),
    Row(
        "two_files_one_name",
        "format.function_names.3",
        "Two functions of one name from two files share their keys.",
        "format.function_names:Names.take",
        ("if known.file != origin.file:", "if known.file is None:"),
        f"{NAMES}test_two_functions_of_one_name_from_two_files_are_an_error",
    ),
    Row(
        "decorators_not_compared",
        "format.function_names.3",
        "A function below two decorators shares its keys with itself below another.",
        "format.function_names:Names.take",
        ("if not known.is_wrapped_like(origin):", "if known is None:"),
        f"{NAMES}test_one_function_with_two_decorators_is_two_functions",
    ),
    Row(
        "strays_hold_up",
        "flight.cycle",
        "A task that a loader does not wait for counts as the loader.",
        "policy.single_flight:Wait.holds_up",
        ("return is_awaited(self._task, self._loader)", "return True"),
        f"{CYCLES}test_a_task_that_a_loader_does_not_wait_for_gets_the_value",
    ),
    Row(
        "cycle_looked_for_once",
        "flight.cycle",
        "A loader that later begins to wait for its task hangs.",
        "policy.waits:Waits._hear",
        ("wait.check()", "pass"),
        f"{CYCLES}test_it_is_a_cycle_as_soon_as_the_loader_waits_for_that_task_after_all",
    ),
    Row(
        "waits_for_its_own_lease",
        "flight.cycle",
        "A loader that asks for its own key after a removal waits for its own lease.",
        "policy.loading:Loading._waited",
        ("None if holder is None else", "None if True else"),
        f"{CYCLES}test_a_loader_that_asks_for_its_key_after_a_removal_is_a_cycle",
    ),
    Row(
        "batch_waits_for_its_own_lease",
        "flight.cycle",
        "A loader that asks for many keys waits for its own lease, too.",
        "policy.batch_load:BatchLoad._wait_for_others",
        ("None if holder is None else", "None if True else"),
        f"{CYCLES}test_a_loader_that_asks_for_its_key_after_a_removal_is_a_cycle",
    ),
    Row(
        "loader_under_the_rules",
        "threads.loader",
        "A loader runs with the frames of the rules below it, and while they hold the monitor.",
        "engine.threads.runtime:ThreadRuntime.run_loader",
        ("return await AwaitOutside(partial(call, loader, *args))", "return call(loader, *args)"),
        "tests/loading/test_recursion.py::test_a_hundred_levels_load_and_every_one_is_stored",
    ),
)
