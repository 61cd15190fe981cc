"""What a model or its server wrote goes to a database that holds neither NUL nor half a surrogate pair."""

from switchboard.providers import Done, Text, Usage, storable


def test_what_no_database_can_hold_is_replaced_where_it_comes_in() -> None:
    assert storable("a\0b\ud83dc \U0001f600") == "a\ufffdb\ufffdc \U0001f600"
    assert Text("nine\0").text == "nine\ufffd"
    assert Done(Usage(), "stop", "gpt\0-5").model == "gpt\ufffd-5"
