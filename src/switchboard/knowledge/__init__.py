"""What a workspace knows: documents, cut into passages, found by Postgres' full text search (`search_knowledge`).

Does not know: who asks, or what is done with what is found.
"""
