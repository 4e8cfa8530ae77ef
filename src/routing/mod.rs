//! Where a statement goes (pure).
