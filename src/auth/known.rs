//! Passwords that the configuration tells (pure): of accounts whose plugin tells the proxy too little to log in to nodes.
//!
//! Clients prove such a password as any other, with mysql_native_password or by itself, and nodes get what their plugin asks for.

use zeroize::Zeroizing;

use super::native::{self, HASH_BYTES};
use super::secret::Secret;

/// A password, and what a client's answer is compared with.
#[derive(Clone, PartialEq, Eq)]
pub struct Known {
    password: Zeroizing<Vec<u8>>,
    stored: Zeroizing<[u8; HASH_BYTES]>,
}

/// Whose it is: the account of this user and this host pattern.
#[derive(Clone, Debug)]
#[allow(missing_docs)]
pub struct Told {
    pub user: Box<str>,
    pub host: Box<str>,
    pub password: Known,
}

impl Known {
    /// Of a password, which is not empty.
    pub fn new(password: &str) -> Self {
        let password = Zeroizing::new(password.as_bytes().to_vec());
        Self { stored: Zeroizing::new(native::stored(&password)), password }
    }

    /// What nodes can be told, if this answer to a scramble is right.
    pub fn by_answer(&self, scramble: &[u8; HASH_BYTES], answer: &[u8]) -> Option<Secret> {
        native::verify(scramble, answer, &self.stored).map(|_| Secret::clear(&self.password))
    }

    /// The same of a password.
    pub fn by_password(&self, password: &[u8]) -> Option<Secret> {
        native::is_password(password, &self.stored).then(|| Secret::clear(&self.password))
    }
}

/// The password is left out.
impl std::fmt::Debug for Known {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("Known(..)")
    }
}
