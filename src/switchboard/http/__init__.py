"""What HTTP asks of every route alike: bodies within limits, strict JSON, errors as problems, repeated requests once.

Does not know: any route.
"""
