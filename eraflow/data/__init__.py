"""What the files of a round are: footers, eras and the purge, the catalog of features, and the data contract."""
