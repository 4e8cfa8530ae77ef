//! Real servers on loopback addresses.
