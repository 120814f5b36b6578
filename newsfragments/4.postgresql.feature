PostgreSQL works: `pip install 'pxed[postgresql]'` and `database = "postgresql://..."`. A second appliance on the same database is refused. See docs/database.md.
