//! Node connections: the pure login as a client of a node.
