"""Attack this machine's own locked workers, and say what held."""
