//! With what a session logs in to nodes: as much of the user's password as its login has told (pure).

use zeroize::Zeroizing;

use super::native::{self, HASH_BYTES, Sha1Password};

/// A proven password. Wiped on drop, never printed.
#[derive(Clone)]
pub enum Secret {
    /// What an answer with mysql_native_password tells: enough for that plugin.
    Hashed(Sha1Password),
    /// The password itself, for accounts of other plugins.
    Clear(Box<Zeroizing<Vec<u8>>>),
}

impl Secret {
    /// A password in clear.
    pub fn clear(password: &[u8]) -> Self {
        Self::Clear(Box::new(Zeroizing::new(password.to_vec())))
    }

    /// The password, if it is known.
    pub fn password(&self) -> Option<&[u8]> {
        match self {
            Self::Hashed(_) => None,
            Self::Clear(password) => Some(password),
        }
    }

    /// What a server stores of it for mysql_native_password; none of the empty password.
    pub fn stored(&self) -> Option<[u8; HASH_BYTES]> {
        match self {
            Self::Hashed(password) => Some(password.stored()),
            Self::Clear(password) => Sha1Password::of(password).map(|password| password.stored()),
        }
    }

    /// The answer to a server's challenge with mysql_native_password; none for the empty password.
    pub fn native_answer(&self, scramble: &[u8; HASH_BYTES]) -> Option<[u8; HASH_BYTES]> {
        match self {
            Self::Hashed(password) => Some(native::answer(password, scramble)),
            Self::Clear(password) => Sha1Password::of(password).map(|password| native::answer(&password, scramble)),
        }
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("Secret(..)")
    }
}
