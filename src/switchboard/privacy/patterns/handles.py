"""Names in social networks: `@anna.k`, `t.me/anna_k`, `https://instagram.com/anna.k/`. They are the same person's."""

import re
from collections.abc import Iterator

from switchboard.privacy.patterns.context import IN_WORD
from switchboard.privacy.pseudonyms import SHIELD
from switchboard.privacy.spans import Span

_AT = re.compile(rf"(?<![{IN_WORD}@./:{SHIELD}\])%+-])@([A-Za-z0-9_][A-Za-z0-9_.]{{1,63}})(?![{IN_WORD}@])")
_HOSTS = (
    r"t\.me|telegram\.me|instagram\.com|instagr\.am|facebook\.com|fb\.com|fb\.me|m\.me|twitter\.com|x\.com|tiktok\.com"
    r"|threads\.net|threads\.com|linkedin\.com/in|vk\.com|ok\.ru|snapchat\.com/add|youtube\.com|pinterest\.com|bsky\.app/profile"
    r"|github\.com|twitch\.tv|medium\.com|reddit\.com/u(?:ser)?|wa\.me|line\.me/ti/p|paypal\.me|venmo\.com|cash\.app"
)
_PROFILE = re.compile(
    rf"(?<![{IN_WORD}.-])(?:(?:www|m|web|mobile)\.)?(?:{_HOSTS})/[@~$]?([\w.+-]{{2,64}})", re.IGNORECASE
)
HINTS = (".com/", ".me/", ".net/", ".ru/", ".app/", ".tv/", ".am/")
"""Without one of these, in small letters, a text holds no profile's address."""
_ELSE = """
all channel here everyone media import property override param return deprecated 2x 3x p reel reels explore
stories tv share sharer sharer.php profile.php groups events pages watch marketplace help home search login
signup about privacy terms settings hashtag intent i status joinchat addstickers c user playlist shorts feed
results embed legal policies business ads developers docs features pricing gist topics
"""
_NOT_PEOPLE = frozenset(_ELSE.split())


def find(text: str) -> Iterator[Span]:
    """With a sign before the name, or an address of a profile; what such addresses hold besides people is left."""
    for sign in _AT.finditer(text):
        name = sign[1].rstrip(".")
        if _personal(name):
            yield Span(sign.start(), sign.start(1) + len(name), "handle", same(name))


def find_profiles(text: str) -> Iterator[Span]:
    """The name in a profile's address; the rest of the address stays."""
    for profile in _PROFILE.finditer(text):
        name = profile[1].rstrip(".-")
        if _personal(name) or name.isdigit():
            yield Span(profile.start(1), profile.start(1) + len(name), "handle", same(name))


def same(handle: str) -> str:
    """The form in which handles are compared."""
    return handle.strip().lstrip("@").lower()


def _personal(name: str) -> bool:
    return len(name) > 1 and not name.replace(".", "").isdigit() and name.lower() not in _NOT_PEOPLE
