"""Secrets are compared with `hmac.compare_digest`: how long `==` takes tells where the first difference is."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[2] / "src" / "switchboard"
WORDS = "sig signature hmac mac digest hexdigest token secret password passphrase key apikey credential"
SECRETIVE = re.compile(rf"(?:^|_)(?:{WORDS.replace(' ', '|')})s?(?:$|_)")

ALLOWED = {
    ("database/postgres.py", "fresh == signature"): "the signature of a function in the catalog: names and types",
    ("exports/verify.py", "digest.hexdigest() != closed.get('sha256')"): "a checksum that stands in the file itself",
}
"""(file below src/switchboard, the comparison) and why timing gives nothing away there."""


def comparisons(source: str) -> Iterator[str]:
    """Each `==` and `!=` of a value whose name says it is secret with a value that is not written in the source.

    What is written in the source is no secret, so comparing with it gives nothing away.
    """
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Compare):
            continue
        sides = [node.left, *node.comparators]
        for left, operator, right in zip(sides, node.ops, sides[1:], strict=False):
            if not isinstance(operator, ast.Eq | ast.NotEq) or is_written_out(left) or is_written_out(right):
                continue
            if any(SECRETIVE.search(name_of(side)) for side in (left, right)):
                yield ast.unparse(node)


def is_written_out(node: ast.expr) -> bool:
    """Whether the value stands in the source: a literal, or a constant, which has a name in capitals."""
    match node:
        case ast.Constant():
            return True
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name.isupper()
        case ast.Tuple(elts=items) | ast.List(elts=items) | ast.Set(elts=items):
            return all(is_written_out(item) for item in items)
        case _:
            return False


def name_of(node: ast.expr) -> str:
    """The name a value goes by: of the variable, the member, the entry, the function that gives it."""
    match node:
        case ast.Call(func=ast.Attribute(attr="keys"), args=[]):
            return ""  # the names in a mapping
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()
        case ast.Subscript(slice=ast.Constant(value=str(entry))):
            return re.sub(r"\W", "_", entry).lower()
        case ast.Subscript(value=inner) | ast.Await(value=inner) | ast.Call(func=inner) | ast.NamedExpr(value=inner):
            return name_of(inner)
        case _:
            return ""


@pytest.mark.parametrize("file", sorted(SOURCE.rglob("*.py")), ids=lambda file: file.relative_to(SOURCE).as_posix())
def test_no_secret_is_compared_with_equals(file):
    place = file.relative_to(SOURCE).as_posix()
    found = set(comparisons(file.read_text()))
    assert {each for each in found if (place, each) not in ALLOWED} == set()


def test_every_exception_is_still_needed():
    found = {
        (file.relative_to(SOURCE).as_posix(), each)
        for file in SOURCE.rglob("*.py")
        for each in comparisons(file.read_text())
    }
    assert set(ALLOWED) <= found
    assert all(ALLOWED.values())


@pytest.mark.parametrize(
    "source",
    [
        "token == given",
        "given != settings.verify_token",
        "headers['X-Hub-Signature-256'] == expected",
        "hmac.new(a, b).hexdigest() == given",
        "settings.app_secret.get_secret_value() == given",
        "row['key_hash'] == given",
        "1 < apiKey == given",
        "await signature() != given",
        "signature[7:] == given",
        "tokens[0] == given",
    ],
)
def test_what_must_not_be_is_found(source):
    assert list(comparisons(source)) == [source]


@pytest.mark.parametrize(
    "source",
    [
        "hmac.compare_digest(token, given)",
        "token is None",
        "len(token) == given",
        "key == 'id'",
        "tokens == 5",
        "design == given",
    ],
)
def test_what_may_be_is_not(source):
    assert list(comparisons(source)) == []
