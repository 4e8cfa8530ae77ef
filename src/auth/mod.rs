//! Who may log in: the cluster's accounts, and both sides of a login.
