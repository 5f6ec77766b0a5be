"""A bundle over a whole table, in process: rows in, answers out, part by part, and nothing lost by a kill."""
