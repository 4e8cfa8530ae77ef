//! One client's connection, from accept to close.
