"""The way in: a channel's webhook is verified, parsed and stored, and only then acknowledged.

Promises: a message is durable before its 200; what the channel repeats is stored once; what is not understood
is kept raw.
Does not know: how an answer is made. It rings the bell, and the turn is in the database whoever hears it.
"""
