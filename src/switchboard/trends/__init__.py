"""What changes from one week to the next: topics that rise, questions without an answer, ratings that fall.

    weeks.py   each week that is over is compared with the four before it, once, by upkeep
    routes.py  `GET /api/trends`: what stood out, in figures

Promises: every figure comes with the sizes of its samples, and what is too small to say anything is left out; no word
is kept that fewer than three customers have said; the work on a week has a bound, however much was written in it. The
rules are SQL: `77_trends.sql`, and `73_feedback_days.sql` for ratings. Does not know: why anything changed.
"""
