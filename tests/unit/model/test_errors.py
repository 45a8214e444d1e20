import pytest

from ctid.model.errors import (
    AuditUnavailable,
    AuthRequired,
    CtidError,
    Forbidden,
    InvalidRequest,
    LinkError,
    LinkRefused,
    NotFound,
    PbxRefused,
    PbxTimeout,
    PbxUnavailable,
    SupervisionRefused,
)


@pytest.mark.parametrize(
    ("error", "code", "status"),
    [
        (CtidError("x"), "internal", 500),
        (InvalidRequest("x"), "request.invalid", 422),
        (AuthRequired("x"), "auth.required", 401),
        (Forbidden("x"), "auth.forbidden", 403),
        (PbxUnavailable("x"), "pbx.link_down", 503),
        (PbxRefused("x"), "pbx.refused", 502),
        (PbxTimeout("x"), "pbx.timeout", 504),
        (AuditUnavailable("x"), "audit.unavailable", 503),
        (SupervisionRefused("no_live_call", "x"), "supervision.no_live_call", 409),
        (SupervisionRefused("phone_not_allowed", "x"), "supervision.phone_not_allowed", 403),
        (SupervisionRefused("not_yours", "x"), "supervision.not_yours", 403),
    ],
)
def test_each_error_has_its_stable_code_and_status(error: CtidError, code: str, status: int) -> None:
    """The code is part of the API; the detail is the text for a person."""
    assert (error.code, error.status, error.detail, str(error)) == (code, status, "x", "x")
    assert error.title


@pytest.mark.parametrize("kind", ["agent", "call", "queue", "device", "supervision"])
def test_what_is_not_found_is_named_with_where_to_look(kind: str) -> None:
    """The code names the kind, the text the id and the list of those there are."""
    error = NotFound(kind, "x1")
    assert (error.code, error.status, error.field) == (f"{kind}.unknown", 404, None)
    assert "'x1'" in error.detail
    assert f"GET /api/v1/{kind}s" in error.detail
    assert (f"`ctid {kind}s` or GET" in error.detail) == (kind != "device")


def test_one_error_s_code_is_not_another_s() -> None:
    """Codes that are made for an instance stay with it."""
    first, second = NotFound("agent", "a"), NotFound("call", "c")
    refused = SupervisionRefused("not_yours", "x")
    assert (first.code, second.code) == ("agent.unknown", "call.unknown")
    assert (SupervisionRefused("ended", "x").status, refused.status) == (409, 403)
    assert CtidError.code == "internal"


def test_an_invalid_request_names_the_field() -> None:
    """The field is a path into the request."""
    assert InvalidRequest("x", field="$.via.phone").field == "$.via.phone"


def test_a_refused_login_is_a_failure_of_the_link_and_no_answer_to_a_client() -> None:
    """Whoever handles lost links handles a refused login, unless he asks; neither is a CtidError."""
    assert issubclass(LinkRefused, LinkError)
    assert not issubclass(LinkError, CtidError)
