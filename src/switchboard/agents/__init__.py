"""Who answers: agents with a name, a role, instructions, a model and the documents they answer from.

    routes.py   `/api/agents`
    shapes.py   what it takes and answers
    usable.py   whether an agent's model can be asked
    models.py   `/api/models`: the models that may be chosen
    refresh.py  keeping that list

Promises: every system prompt that was ever in force is kept with who wrote it; an agent that a conversation has is
never gone. The rules are SQL: `58_agents.sql` and `59_models.sql`. Does not know: how an answer is made.
"""
