"""What happens, told while it happens: one feed for every event, read as a stream (SSE) or over a WebSocket.

    ring.py       the newest events in memory, shared by all readers, and how one looks on either wire
    reader.py     one reader: what it may see, how far it has read, what wakes it
    feed.py       follows the table: one loop for each process, however many read
    stream.py     what a reader is told, from its last event on, until it ends
    access.py     whether whoever opened a stream may still read it
    places.py     how many streams may be open, in all and for each caller
    sse.py        `GET /api/events`
    websocket.py  `WS /ws/events`
    writes.py     a request that changed something wakes the feed of its process

Promises: a reader that names the last event it has seen gets every later one that it may see, once and in order, from
memory or from the table, or is told `resync` when some of them are no longer kept. A reader that does not read costs
the others nothing: it falls out of the ring, and its stream ends at a place from which it can go on. Who may read is
asked again while a stream is open. Streams end by themselves, and say how long to wait before coming back.

Does not know: what an event means. It carries ids, never the text of a message.
"""
