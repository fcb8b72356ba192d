"""Commands that compare Eraflow with the plain way; they print, they do not assert."""
