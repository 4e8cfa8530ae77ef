//! Replication between sites: the links by which this site follows others.

pub mod link;
