"""What Numerai defines: schema, eras and purge, scoring, submission, client, and the sandbox that stands in for it."""
