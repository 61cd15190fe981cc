"""Who is calling: one `Authorization` header in, one `Caller` out.

    caller.py           Caller, the ladder of roles, `require`
    identify.py         Auth: which kind of token is this, and whose
    asked.py            who sends a request, found out once
    bearer.py           the header, and the one answer to whatever does not hold
    signed.py           what every JWT is checked for
    supabase_tokens.py  people who signed in through Supabase
    signing_keys.py     Supabase's public keys, fetched and kept
    local_tokens.py     tokens this installation signs itself
    local_secret.py     the secret it signs them with
    guest_tokens.py     tokens of a web page's visitors, for one conversation each
    api_keys.py         keys for programs
    remembered.py       answers kept for seconds, asked for once

Promises: credentials are read from the Authorization header and nowhere else; whatever does not hold gets the same
`Unauthenticated`, whatever is wrong with it; when it cannot be found out whether a token holds, the answer is
`Unavailable`, never a guess; no token, key or secret appears in a log line, an exception or a repr.

Does not know: routes, what a role may do (the SQL functions decide, given `Caller.as_json()`), the web framework.
"""

from switchboard.auth.api_keys import make_api_key
from switchboard.auth.asked import caller_of
from switchboard.auth.caller import Caller, Guest, Role, require
from switchboard.auth.identify import Auth
from switchboard.auth.local_secret import local_secret, shared_secret
from switchboard.auth.local_tokens import make_token

__all__ = [
    "Auth",
    "Caller",
    "Guest",
    "Role",
    "caller_of",
    "local_secret",
    "make_api_key",
    "make_token",
    "require",
    "shared_secret",
]
