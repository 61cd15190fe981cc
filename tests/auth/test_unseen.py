"""Nothing secret is ever printed: not in a repr, not in an error, not in a log line."""

import traceback

import pytest
from structlog.testing import capture_logs

from switchboard.auth import Caller, make_api_key
from switchboard.auth.signed import shared_key
from switchboard.errors import SwitchboardError

SECRET = "jwt-secret-canary-0123456789abcdef"
LEGACY = "legacy-secret-canary-0123456789abcdef"


async def test_no_token_in_errors_or_logs(postgres, supabase, open_auth):
    auth = open_auth(postgres, supabase_url=supabase.url, supabase_jwt_secret=LEGACY, jwt_secret=SECRET)
    tokens = [
        supabase.token(exp=1),
        supabase.token(role="anon"),
        supabase.token()[:-8] + "canarycan",
        make_api_key()[0],
        "sbk_canary",
        "canary.canary.canary",
        "canary-canary",
    ]
    await supabase.stop()
    tokens.append(supabase.token("unknown", key=supabase.private["ec"]))
    for token in tokens:
        with capture_logs() as lines, pytest.raises(SwitchboardError) as refused:
            await auth.identify(f"Bearer {token}")
        printed = "".join(traceback.format_exception(refused.value)) + repr(refused.value) + str(lines)
        assert not any(part in printed for part in token.split("."))
        assert "canary" not in printed


async def test_no_secret_in_a_repr(postgres, supabase, open_auth):
    auth = open_auth(postgres, supabase_url=supabase.url, supabase_jwt_secret=LEGACY, jwt_secret=SECRET)
    seen = [repr(auth), *(repr(part) for part in vars(auth).values()), repr(shared_key("JWT_SECRET", SECRET.encode()))]
    assert "canary" not in "".join(seen)
    assert repr(Caller("ann", admin=False, roles={1: "owner"})).startswith("Caller(subject='ann', admin=False")
