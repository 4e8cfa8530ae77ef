//! What an operator sees and does: the JSON API on the admin address.
