"""Whether an installation can do its job: everything it is made of and leans on, one line each, with what to do.

line.py         what a line says
examine.py      all looks, one after the other
database.py     database, schema, clock, workspaces, upkeep
surroundings.py broker, files, spool, models, prices, embeddings, channels
"""
