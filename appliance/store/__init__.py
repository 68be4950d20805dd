"""What the box keeps in SQLite: the database, its entities and one module per noun."""
