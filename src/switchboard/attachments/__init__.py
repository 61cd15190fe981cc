"""The files of messages.

    copy.py     copies to storage what customers have sent, before the platform's links expire
    routes.py   shows a file to whoever holds a signed link

Promises: what is to be copied is in the database, so that nothing is forgotten; a copy that fails says why. Does not
know: what a file says.
"""
