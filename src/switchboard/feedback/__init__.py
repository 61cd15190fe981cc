"""What people think of the AI's answers: a rating and flags for each person and message, and what they would have said.

    ratings.py      `/api/ratings`: 1 to 5, one for each person and message of the AI
    flags.py        `/api/flags`: what is wrong with it, one of each type
    review.py       `/admin/flags`: claimed and resolved by people
    corrections.py  `/api/corrections`: better answers, kept beside the AI's
    shapes.py       what the first three take and answer

Promises: however many requests come at once, everybody has one rating of a message and one flag of each type; a deleted
conversation keeps them, an erased one does not. The rules are SQL: `50_feedback.sql`, `51_corrections.sql`. Does not
know: how answers are made and sent.
"""
