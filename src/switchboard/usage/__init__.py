"""What calls to models cost: the ledger's roll-ups and the statistics that are read from them.

    try_model.py  one small call to a model, to see whether it answers, in the ledger as a test
    roll_up.py    the ledger and the events, counted into days
    routes.py     the statistics of a workspace and of the installation
    shapes.py     what they answer

Promises: every call that was made is in the ledger, once; what is shown equals the ledger at any moment, to the last
decimal. The rules are SQL: `70_usage.sql` (the ledger), `72_usage_days.sql` and `74_activity.sql` (the days),
`76_usage_reports.sql` (the statistics). Does not know: who makes calls, and why.
"""
