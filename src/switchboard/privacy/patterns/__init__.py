"""What a value of each kind looks like in a text: a file for each kind, `find(text) -> Iterator[Span]` or a check.

All of them look at a `Reading` in which pseudonyms are shields, in time proportional to its length.
"""
