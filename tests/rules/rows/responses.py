"""Cached responses of FastAPI and Starlette: their keys, the recording of requests, the stored response, the answer."""

from typing import Any

from fleetcache.contrib.responses.views import RequestHeaders
from tests.rules.rule import Exchange, Row

EARLIER = "tests/frameworks/test_fastapi_earlier.py::"
IDENTITY = "tests/frameworks/test_fastapi_identity.py::"
KEYS = "tests/frameworks/test_fastapi_keys.py::"
RECORDING = "tests/frameworks/test_fastapi_recording.py::"
RULES = "tests/frameworks/test_fastapi_rules.py::"
SERVING = "tests/frameworks/test_fastapi_serving.py::"


def _headers_past_all() -> list[Exchange]:
    def inside(headers: Any) -> Any:
        return vars(headers)["_RequestHeaders__plain"].raw

    return [(RequestHeaders, "_list", property(inside))]


ROWS = [
    Row(
        "credentials_are_no_matter",
        "contrib.responses.keys.1",
        "A request with Authorization is answered from the cache.",
        "contrib.responses.keys:ResponseKeys.bypass",
        ('options.authorization == "bypass" and', "False and"),
        IDENTITY + "test_a_response_made_for_one_is_never_given_to_another",
    ),
    Row(
        "own_parameters_are_left_out",
        "contrib.responses.keys.2",
        "Calls with different parameters of the endpoint share a response.",
        "contrib.responses.keys:ResponseKeys.call_of",
        ("if name in kwargs", "if name not in kwargs"),
        KEYS + "test_requests_share_a_response_by_what_the_endpoint_can_see",
    ),
    Row(
        "query_as_it_is_ordered",
        "contrib.responses.keys.3",
        "The order of query parameters changes the key.",
        "contrib.responses.keys:ResponseKeys.key",
        ("[sorted(items, key=lambda item: item[0])]", "[items]"),
        KEYS + "test_requests_share_a_response_by_what_the_endpoint_can_see",
    ),
    Row(
        "early_declarations_are_left_out",
        "contrib.responses.keys.3",
        "A client gets the answer for another header that a dependency of the app declares.",
        "contrib.responses.reads:_described",
        ("every = [*tops, *others]", "every = [*tops, *below]"),
        EARLIER + "test_a_declared_header_decides",
    ),
    Row(
        "early_queries_are_left_out",
        "contrib.responses.keys.3",
        "A client gets the answer for another query parameter that a dependency of the app declares.",
        "contrib.responses.reads:_described",
        ("others = [*earlier, *below]", "others = below"),
        EARLIER + "test_a_declared_query_parameter_decides",
    ),
    Row(
        "ignored_declarations_decide",
        "contrib.responses.keys.3",
        "A declared header that is ignored keeps responses apart.",
        "contrib.responses.keys:ResponseKeys._counting",
        ("""if f"{kind} {name.lower()}" not in self._options.ignore""", ""),
        EARLIER + "test_what_is_ignored_does_not_decide",
    ),
    Row(
        "variants_of_a_route_stay",
        "contrib.responses.keys.7",
        "Variants that the dependencies of a route make outlive invalidate().",
        "contrib.responses.serving:Endpoint._tags",
        ("(options.clearable or self.keys.varies is None)", "options.clearable"),
        EARLIER + "test_a_removal_by_an_instance_that_never_saw_the_route_finds_every_variant",
    ),
    Row(
        "first_field_alone",
        "contrib.responses.keys.3",
        "Only the first field of a repeated header counts.",
        "contrib.responses.keys:ResponseKeys.key",
        ("headers.getlist(name)) for", "headers.get(name)) for"),
        KEYS + "test_a_header_that_is_sent_twice_is_not_the_first_of_its_fields",
    ),
    Row(
        "url_is_not_seen",
        "contrib.responses.keys.4",
        "An endpoint that takes the request shares a response between two hosts.",
        "contrib.responses.keys:ResponseKeys.key",
        ('str(request.url.replace(query="", fragment=""))', '""'),
        KEYS + "test_requests_share_a_response_by_what_the_endpoint_can_see",
    ),
    Row(
        "path_of_the_proxy_is_not_seen",
        "contrib.responses.keys.4",
        "An answer holds links below the path of another proxy.",
        "contrib.responses.keys:ResponseKeys.key",
        ('parts.append(["url", url, below])', 'parts.append(["url", url])'),
        KEYS + "test_one_app_below_two_paths_of_a_proxy_has_two_answers",
    ),
    Row(
        "read_and_not_declared",
        "contrib.responses.keys.5",
        "A response made from a field outside the key is given to the next client.",
        "contrib.responses.keys:ResponseKeys.undeclared",
        ("return sorted(found)", "return []"),
        RECORDING + "test_nobody_gets_what_was_made_for_another",
    ),
    Row(
        "early_ones_are_unseen",
        "contrib.responses.keys.5",
        "A dependency of the app that takes the request counts as having read nothing.",
        "contrib.responses.reads:_earlier",
        ("each.call is not record", "False"),
        RECORDING + "test_who_looks_before_they_can_be_seen_may_have_seen_everything",
    ),
    Row(
        "secrets_in_keys",
        "contrib.responses.keys.6",
        "A client's credentials are in the key in plain text.",
        "contrib.responses.keys:ResponseKeys.key",
        ("_digest(msgspec.json.encode(parts))", "msgspec.json.encode(parts).decode()"),
        IDENTITY + "test_no_key_shows_a_secret",
    ),
    Row(
        "requests_of_ones_own_are_trusted",
        "contrib.responses.recording.1",
        "A request that answers in its own way counts as not read.",
        "contrib.responses.recording:recorded",
        ("recorder.note(ALL_SCOPE)", "pass"),
        RECORDING + "test_a_request_that_answers_in_its_own_way_may_have_shown_everything",
    ),
    Row(
        "nothing_is_noted",
        "contrib.responses.recording.2",
        "The reads of a request are not recorded.",
        "contrib.responses.recording:Recorder.note",
        ("self._names.add(name)", "pass"),
        RECORDING + "test_each_look_has_a_name",
    ),
    Row(
        "own_state_is_noted",
        "contrib.responses.recording.3",
        "State that a recorded dependency put there counts as that of middleware.",
        "contrib.responses.recording:Recorder.note_state",
        ("if name in self._own:", "if False:"),
        RECORDING + "test_what_looks_at_nothing_of_anybodys_is_cached",
    ),
    Row(
        "all_of_a_scope_is_nothing",
        "contrib.responses.views.1",
        "Iterating over a whole scope counts as reading nothing.",
        "contrib.responses.views:Scope.noted",
        ("self._told(ALL_SCOPE)", "pass"),
        RECORDING + "test_each_look_has_a_name",
    ),
    Row(
        "absent_is_not_read",
        "contrib.responses.views.2",
        "A read of a missing field counts as no read.",
        "contrib.responses.views:Scope.__contains__",
        ("self.noted(key)", "key in self._plain and self.noted(key)"),
        RECORDING + "test_each_look_has_a_name",
    ),
    Row(
        "headers_by_another_method",
        "contrib.responses.views.3",
        "A method of the headers that is not overridden shows all of them unrecorded.",
        "contrib.responses.views:RequestHeaders",
        _headers_past_all,
        RECORDING + "test_each_look_has_a_name",
    ),
    Row(
        "included_routers_settings_are_lost",
        "contrib.responses.rendering.1",
        "A value is rendered without the settings with which its router was included.",
        "contrib.responses.rendering:route_of",
        ("return context if context is not None and context.original_route is route else route", "return route"),
        SERVING + "test_one_function_on_two_routes_that_render_differently_is_never_answered_with_the_others_bytes",
    ),
    Row(
        "refreshed_with_what_is_closed",
        "contrib.responses.rendering.2",
        "A background refresh uses the dependencies of a request that has ended.",
        "contrib.responses.loading:Call.again",
        ("if self.shared is not None:", "if False:"),
        "tests/frameworks/test_fastapi_refresh.py::"
        "test_a_stale_response_is_answered_at_once_and_made_anew_by_a_request_of_its_own",
    ),
    Row(
        "private_is_kept",
        "contrib.responses.rules.1",
        "A response that says it is for one client is kept for all.",
        "contrib.responses.rules:refusal",
        ("if (word := for_one(headers)) is not None:", "if (word := None) is not None:"),
        RULES + "test_what_is_for_one_client_or_varies_by_what_is_not_in_the_key_is_not_kept",
    ),
    Row(
        "s_maxage_comes_second",
        "contrib.responses.rules.2",
        "max-age wins over s-maxage.",
        "contrib.responses.rules:lifetime",
        ('("s-maxage", "max-age")', '("max-age", "s-maxage")'),
        RULES + "test_a_response_says_for_itself_how_long_it_is_fresh",
    ),
    Row(
        "fields_of_one_connection_are_kept",
        "contrib.responses.rules.3",
        "Fields of the connection are stored with a response.",
        "contrib.responses.rules:stored_response",
        ("if header[0] not in dropped", "if True"),
        RULES + "test_fields_of_one_connection_and_cookies_are_not_kept",
    ),
    Row(
        "304_with_all_fields",
        "contrib.responses.rules.4",
        "A 304 carries all fields of the response.",
        "contrib.responses.rules:answer",
        ("(not unchanged or name in _IN_304)", "True"),
        RULES + "test_a_304_tells_how_to_go_on_and_nothing_of_the_body",
    ),
    Row(
        "304_to_a_post",
        "contrib.responses.rules.5",
        "A POST with If-None-Match is answered with a 304.",
        "contrib.responses.rules:answer",
        ('method in {"GET", "HEAD"} and', "True and"),
        RULES + "test_only_get_and_head_ask_whether_their_copy_is_still_good",
    ),
    Row(
        "headers_of_dependencies_are_lost",
        "contrib.responses.serving.1",
        "A hit lacks the headers of this request's dependencies.",
        "contrib.responses.serving:Endpoint._answer",
        ("[] if stored.direct else call.given", "[]"),
        "tests/frameworks/test_fastapi_dependencies.py::test_what_dependencies_put_on_a_response_is_each_requests_own",
    ),
    Row(
        "other_dependencies_are_no_matter",
        "contrib.responses.serving.2",
        "A route answers with a response that was made behind the dependencies of another route.",
        "contrib.responses.reads:_described",
        ('behind=",".join(', 'behind="".join("" and '),
        EARLIER + "test_two_routes_behind_different_dependencies_never_share_an_answer",
    ),
    Row(
        "what_a_load_has_read_is_no_matter",
        "contrib.responses.serving.2",
        "A response is stored although the endpoint read a field outside its key.",
        "contrib.responses.loading:Load.__call__",
        ("        if self.undeclared:\n            return NoStore(UNSTORED)\n", ""),
        RECORDING + "test_nobody_gets_what_was_made_for_another",
    ),
    Row(
        "all_queue_for_what_cannot_be_kept",
        "contrib.responses.serving.3",
        "Requests for a response that cannot be stored wait for each other's loads in turn.",
        "contrib.responses.serving:Endpoint._pause",
        ("self._past[key] = (monotonic() + _PAUSE, why)", "pass"),
        SERVING + "test_what_is_not_for_everybody_is_answered_and_not_stored",
    ),
    Row(
        "a_failure_is_one_callers",
        "contrib.responses.serving.4",
        "Only one caller gets a failure, and each waiting caller causes its own.",
        "contrib.responses.loading:Load.__call__",
        ("if not answers and not self.undeclared:", "if False:"),
        SERVING + "test_a_failure_reaches_all_who_waited",
    ),
    Row(
        "no_store_is_stored",
        "contrib.responses.serving.5",
        "A request that says no-store causes a response that is stored.",
        "contrib.responses.serving:Endpoint._cached",
        ('if "no-store" in said or request.method == "HEAD":', 'if request.method == "HEAD":'),
        "tests/frameworks/test_fastapi_refresh.py::test_what_a_client_wants_not_stored_is_not",
    ),
    Row(
        "ages_by_the_last_look",
        "life.age",
        "The age of a near entry counts from its copy into near.",
        "shared.entries:Entries.see",
        ("born = fresh_until - header.ttl", "born = sent_at"),
        "tests/unit/api/test_reads_lookup.py::test_another_instance_is_told_the_same_age",
    ),
]
