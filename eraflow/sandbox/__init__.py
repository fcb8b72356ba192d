"""A loopback server that speaks Numerai's protocol over generated or given data."""
