"""Everything that keeps state, on a real PostgreSQL."""
