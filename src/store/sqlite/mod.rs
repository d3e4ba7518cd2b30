//! HOW it is kept: SQLite.
