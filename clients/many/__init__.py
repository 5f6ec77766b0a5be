"""A whole table asked: rows in, answers out, and a state between the two that survives being killed."""
