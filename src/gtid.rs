//! Replication positions.
