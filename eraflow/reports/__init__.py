"""What people look at: charts, tables, and the report of the week."""
