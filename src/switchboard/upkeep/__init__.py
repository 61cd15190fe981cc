"""Periodic work: what keeps the tables small and right, and says in time what does not work.

Promises: each task is done once for each time it is due, however many processes there are, by whichever is free; one
that was due while none was there is done late, once. Each may be done again at any moment, and does no harm then.
Does not know: which broker carries the word, nor how often a process looks.
"""
