"""The way in: a channel's webhook is verified, kept and acknowledged, and made into conversations right after.

    routes.py   the webhooks
    accept.py   one webhook, durable: in the database, or in the spool while that is away
    read.py     what a kept webhook reports
    spool.py    a local file that survives everything but its disk, shared by the processes of a machine
    spool_file.py   how it is made, and mended
    sort.py     what is durable becomes messages; what was spooled goes to the database

Promises: a webhook is durable before its 200; what the channel repeats is stored once; what is not understood is kept
raw. Does not know: how an answer is made. It rings the bell, and the turn is in the database whoever hears it.
"""
