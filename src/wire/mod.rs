//! The MariaDB protocol as bytes (pure): packets, handshake, commands, replies.
